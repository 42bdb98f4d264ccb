"""What a tail fit finds where there is no tail: quantiles of alpha, of D and of the size of the tail over noise, by shape.

Noise are N x M matrices of iid entries with a finite fourth moment. The search for xmin always finds some tail in the bulk
of their eigenvalues, and its alpha depends on the shape and on chance; no one number tells signal from noise. A quantile
does, at a rate of false positives that is known.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import scipy
from jaxtyping import ArrayLike, Float, Int

from rmt.calibration.storage import check_shapes, chosen, damaged, load_arrays, save_table, shipped_arrays
from rmt.errors import InputError
from rmt.laws import MarchenkoPastur

KIND = "heavytail-lab table of noise, version 1"
WHAT = ("alpha", "ks", "n_tail", "hill")
"""alpha, D and the size of the tail by the default fit, `rmt.fit_tail(s)`; alpha of `rmt.Hill(xmin="median")`."""

LEVELS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
LEVELS = (*LEVELS, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

DEGREES = (4, 3)
"""Of the polynomial in ln M and ln Q, each alone; see `NoiseTable`."""

TOTAL_DEGREE = 4

DETERMINED = 100
"""Condition of the polynomials on a grid up to which the grid determines them; on the shipped one it is at most 14."""

SMALLEST_M: Mapping[float, int] = {1.0: 25, 1.5: 50, 2.0: 140}
"""mu -> the M from which on alpha tells square matrices of signed Pareto entries from noise: with power 0.8, at level 5 %.

At Q = 2 it is 25, 35 and 100. For mu = 2.5 and above there is none up to M = 200: `tests/benchmarks/thresholds.json` has power
0.22 at mu = 2.5 and no more than the level at mu = 3, where lambda_max tells 9 in 10 (`spike_threshold` at kurtosis 0). One
spike makes alpha larger, not smaller. A square layer with fewer than 140 columns is better not judged by its alpha.
"""

SMALLEST_N_TAIL = 75
"""Independent values of a power law from which on alpha - 1 is within a factor 1.5 of the truth in 95 % of samples.

At n_tail = 56 it is so in 94 %, at 27 in 85 %, at 14 in 70 %; within a factor 1.25 in 95 % from some 200 on
(`tests/benchmarks/thresholds.json`).
"""


@dataclass(frozen=True)
class NoiseTable:
    """Quantiles of fits to noise, simulated at the shapes of a grid and smoothed over it.

    Between the shapes, ln(alpha - 1), ln D and ln n_tail at each level are polynomials in ln M and ln Q, fitted to all of
    the grid by least squares with the numbers of matrices as weights. Of Hill's alpha it is M times the distance of
    ln(alpha - 1) from that of the Marchenko-Pastur law, with terms for an odd M. Between the levels they are linear in the
    normal quantile of the level. A table whose shapes are too few for that, or of one kind, tells of these shapes alone, as
    simulated.

    Attributes:
        N: rows of each shape.
        M: its columns.
        n_trials: matrices simulated for it.
        quantiles: of `WHAT`, at each shape, at `LEVELS`, as simulated.
        n_independent: sizes of samples of exact Pareto values.
        independent: quantiles of sqrt(n_tail) D over such samples, at `LEVELS`.
        seed: of the simulation.
    """

    N: Int[np.ndarray, " S"]
    M: Int[np.ndarray, " S"]
    n_trials: Int[np.ndarray, " S"]
    quantiles: Float[np.ndarray, "W S P"]
    n_independent: Int[np.ndarray, " n"]
    independent: Float[np.ndarray, "n P"]
    seed: int

    @cached_property
    def coefficients(self) -> Mapping[str, Float[np.ndarray, "K P"]]:
        """Of the polynomials of what the grid determines."""
        weight = np.sqrt(self.n_trials)[:, None]
        found = {}
        for what, of in zip(WHAT, self.quantiles, strict=True):
            if not self._determines(what):
                continue
            limit, unit = _limit(what, self.N, self.M)
            values = (_straight(what, of) - limit) / unit
            found[what] = np.linalg.lstsq(self._basis(what, self.N, self.M) * weight, values * weight, rcond=None)[0]
        return found

    def at(self, what: str, N: int, M: int) -> Float[np.ndarray, " P"]:
        """The quantiles at `LEVELS`, rising, on the straight scale: ln(alpha - 1) of an alpha, ln of the others.

        Raises:
            InputError: the shape is outside of the grid, or `what` is not in the table.
        """
        self.check(what, N, M)
        if what not in self.coefficients:
            as_simulated = self.quantiles[WHAT.index(what), self._place(N, M)]
            return np.maximum.accumulate(_straight(what, as_simulated))
        shape = np.array([N]), np.array([M])
        limit, unit = _limit(what, *shape)
        values = limit + unit * (self._basis(what, *shape) @ self.coefficients[what])
        return np.maximum.accumulate(values[0])

    def independent_at(self, n: int) -> Float[np.ndarray, " P"]:
        """ln of the quantiles of sqrt(n_tail) D at `LEVELS`, rising, over samples of n values: a cubic in ln n."""
        log_n = np.log(self.n_independent)
        cubic = np.polynomial.polynomial.polyfit(log_n, np.log(self.independent), 3)
        return np.maximum.accumulate(np.polynomial.polynomial.polyval(math.log(n), cubic))

    def check(self, what: str, N: int, M: int) -> None:
        """Raise InputError unless the table has such quantiles of N x M matrices."""
        if what not in WHAT:
            raise InputError(f"the table of noise has quantiles of {', '.join(WHAT)}; got {what!r}")
        if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in (N, M)) or not 1 <= M <= N:
            raise InputError(
                f"noise of N x M needs integers N >= M, got {N!r} x {M!r}; the spectrum of W is that of W.T"
            )
        make = f"rmt calibrate noise --shapes {N}x{M} --out FILE"
        if what not in self.coefficients:
            if self._place(N, M) is None:
                of = ", ".join(f"{n} x {m}" for n, m in zip(self.N, self.M, strict=True))
                raise InputError(
                    f"the table of noise tells {what} of {of} alone; got {N} x {M}. To make another: {make}"
                )
            return
        low, high, Q = self.M.min(), self.M.max(), (self.N / self.M).max()
        if not (low <= M <= high and N / M <= Q * (1 + 1e-9)):
            raise InputError(
                f"the table of noise reaches M = {low} to {high} and Q = N/M up to {Q:g}; got {N} x {M}. Larger matrices: "
                f"take a block of it, or simulate its noise: {make}; smaller ones hold no tail to be told from noise"
            )

    def _place(self, N: int, M: int) -> int | None:
        """Where the shape is among those that were simulated."""
        there = np.flatnonzero((self.N == N) & (self.M == M))
        return int(there[0]) if len(there) else None

    def _determines(self, what: str) -> bool:
        """Whether the grid determines the polynomials: enough M, odd ones too for Hill's, and enough Q of each."""
        if np.ptp(self.M) == 0 or np.ptp(self.N / self.M) == 0:
            return False
        basis = self._basis(what, self.N, self.M)
        return bool(basis.shape[0] >= basis.shape[1] and np.linalg.cond(basis) < DETERMINED)

    def _basis(self, what: str, N: np.ndarray, M: np.ndarray) -> Float[np.ndarray, "n K"]:
        """Chebyshev polynomials in ln M and ln Q, each scaled to [-1, 1], and what an odd M adds."""
        log_M, log_Q = np.log(self.M), np.log(self.N / self.M)
        u = _scaled(np.log(M), log_M.min(), log_M.max())
        v = _scaled(np.log(N / M), log_Q.min(), log_Q.max())
        of_u, of_v = (np.polynomial.chebyshev.chebvander(x, n) for x, n in zip((u, v), DEGREES, strict=True))
        terms = [(i, j) for i in range(DEGREES[0] + 1) for j in range(DEGREES[1] + 1) if i + j <= TOTAL_DEGREE]
        basis = np.stack([of_u[:, i] * of_v[:, j] for i, j in terms], axis=-1)
        if what != "hill":
            return basis
        # From the median of an odd number of values on there are (M + 1)/2 of them, which counts in 1/M
        return np.concatenate([basis, (M % 2)[:, None] * of_v[:, :3]], axis=-1)


def noise_quantile(
    what: str, N: int, M: int, level: ArrayLike, table: "NoiseTable | str | Path | None" = None
) -> Float[np.ndarray, "*batch"]:
    """The value that a fit to N x M noise stays below with probability `level`.

    Args:
        what: "alpha", "ks" or "n_tail" of the default fit, `rmt.fit_tail(s)`; "hill" for alpha of `rmt.Hill(xmin="median")`.
        N: rows of W, N >= M.
        M: columns of W.
        level: from 0.001 to 0.999.
        table: another one than the shipped one, or the path of one, as `rmt calibrate noise` makes it.

    Raises:
        InputError: the shape or the level is beyond the table.

    Accuracy: see `noise_threshold`; n_tail, a whole number with atoms, within 6 % at the median.
    """
    table = chosen(table, shipped, load)
    _check_level(level)
    return _curved(what, np.interp(scipy.special.ndtri(level), scipy.special.ndtri(LEVELS), table.at(what, N, M)))


def noise_threshold(N: int, M: int, level: float = 0.05, table: "NoiseTable | str | Path | None" = None) -> float:
    """The alpha of the default fit below which a layer is not noise, at a rate `level` of false positives.

    Args:
        N: rows of W, N >= M.
        M: columns of W.
        level: share of N x M matrices of noise that have a smaller alpha, 0.001 to 0.999.
        table: another one than the shipped one, or the path of one, as `rmt calibrate noise` makes it.

    Raises:
        InputError: the shape or the level is beyond the table.

    Source: 2,000 to 20,000 Gaussian matrices at each of 76 shapes, M = 25 to 1000 and Q = 1 to 16
        (`rmt.calibration.noise_simulation`). Alone, the 1 % point of a shape has a rate of 1 % with a standard error of 0.07 %
        (20,000 matrices) to 0.22 %; the surface through all has a smaller one.
    Accuracy: at a shape that is left out of the surface, the rate at nominal 1 % is off by 0.09 % rms and 0.27 % at most, at
        5 % by 0.22 and 0.63 %, which is the sampling error of that shape's own matrices. At other shapes and for other
        entries: `tests/benchmarks/thresholds.json`, where 2,000 Gaussian, Laplace and Student t(10) matrices of four shapes
        are within the error of a binomial test. Excess kurtosis moves the edge away from the bulk, which makes alpha
        smaller: of 20,000 Laplace matrices of 120 x 80, 1.3 and 6.1 % are below the points of 1 and 5 %.
    """
    return float(noise_quantile("alpha", N, M, level, table))


def noise_p_value(
    alpha: ArrayLike, N: int, M: int, table: "NoiseTable | str | Path | None" = None
) -> Float[np.ndarray, "*batch"]:
    """P(alpha of N x M noise <= alpha): how rare so heavy a tail is where there is none.

    Never below 0.001 nor above 0.999, the outermost levels of the table; NaN for an alpha that is NaN, of a failed fit.

    Args:
        alpha: of the default fit, `rmt.fit_tail(s)`.
        N: rows of W, N >= M.
        M: columns of W.
        table: another one than the shipped one, or the path of one, as `rmt calibrate noise` makes it.

    Raises:
        InputError: the shape is beyond the table, or an alpha is at most 1, which no fit gives.
    """
    table = chosen(table, shipped, load)
    alpha = np.asarray(alpha, float)
    if np.any(alpha <= 1):
        raise InputError(f"noise_p_value(alpha) needs the exponent of a density, above 1; got {alpha.min()}")
    p = np.interp(_straight("alpha", alpha), table.at("alpha", N, M), scipy.special.ndtri(LEVELS))
    return np.where(np.isnan(alpha), np.nan, scipy.special.ndtr(p))[()]


def ks_threshold(n_tail: int, level: float = 0.05, table: "NoiseTable | str | Path | None" = None) -> float:
    """The D of the default fit above which a power law is rejected, for n_tail independent values above xmin.

    c/sqrt(n_tail), where sqrt(n_tail) D exceeds c = c(n) in a share `level` of samples of n exact Pareto values; c grows
    slowly, from 0.66 at n = 10 to 0.79 at 5000 for 5 %, and is taken at n = n_tail. The search for xmin has made D smaller
    than it is at a given xmin, so that the tables of the Kolmogorov-Smirnov test do not hold. Eigenvalues are not
    independent: they repel, which makes D smaller yet, so that a D below the threshold is no evidence for a power law of a
    spectrum. The p-value of given data is `rmt.bootstrap(...).p_scaled`.

    Args:
        n_tail: number of values from xmin on.
        level: share of samples of a power law that are rejected, 0.001 to 0.999.
        table: another one than the shipped one, or the path of one, as `rmt calibrate noise` makes it.

    Raises:
        InputError: n_tail or the level is beyond the table.
    """
    table = chosen(table, shipped, load)
    low, high = table.n_independent[[0, -1]]
    if not low <= n_tail <= high:
        raise InputError(
            f"ks_threshold reaches n_tail = {low} to {high}, got {n_tail}; use rmt.bootstrap(...).p_scaled"
        )
    _check_level(level)
    return float(
        np.exp(np.interp(scipy.special.ndtri(1 - level), scipy.special.ndtri(LEVELS), table.independent_at(n_tail)))
    ) / math.sqrt(n_tail)


def save(table: NoiseTable, path: Path) -> None:
    """Write a table, its quantiles in single precision, far finer than their standard errors."""
    save_table(path, KIND, table)


def load(path: Path) -> NoiseTable:
    """A table that `save` wrote.

    Raises:
        InputError: it is no such table, or of another version, or damaged.
    """
    return _checked(load_arrays(path, KIND, NoiseTable), path)


@cache
def shipped() -> NoiseTable:
    """The table inside the package."""
    return _checked(shipped_arrays("noise.npz", KIND, NoiseTable), "noise.npz")


def _checked(values: Mapping[str, np.ndarray], where: object) -> NoiseTable:
    numbers = {name: np.asarray(values[name], float) for name in ("quantiles", "independent")}
    whole = {name: values[name] for name in ("N", "M", "n_trials", "n_independent", "seed")}
    for name, of in whole.items():
        if of.dtype.kind not in "iu" or of.ndim != (name != "seed") or np.any(of < (name != "seed")):
            raise damaged(where, f"{name} are no whole numbers")
    shapes = {
        "n_trials": whole["N"].shape,
        "M": whole["N"].shape,
        "quantiles": (len(WHAT), *whole["N"].shape, len(LEVELS)),
        "independent": (*whole["n_independent"].shape, len(LEVELS)),
    }
    check_shapes(values, shapes, where)
    if not all(np.all(np.diff(of) >= 0) and np.all(of > 0) for of in numbers.values()) or np.any(
        whole["N"] < whole["M"]
    ):
        raise damaged(where, "its quantiles or its shapes are not in order")
    return NoiseTable(**{name: of for name, of in whole.items() if name != "seed"}, **numbers, seed=int(whole["seed"]))


def _straight(what: str, x: np.ndarray) -> np.ndarray:
    """The scale on which quantiles are smooth: ln(alpha - 1), or ln x."""
    return np.log(x - 1 if what in ("alpha", "hill") else x)


def _curved(what: str, x: np.ndarray) -> np.ndarray:
    """Undoes `_straight`."""
    return np.exp(x) + 1 if what in ("alpha", "hill") else np.exp(x)


def _limit(what: str, N: np.ndarray, M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the straight values of a matrix tend to, and by which order of M they differ from it."""
    if what != "hill":
        return np.zeros((len(M), 1)), np.ones((len(M), 1))
    return np.array([_log_slope(Q) for Q in N / M])[:, None], 1 / M[:, None]


@cache
def _log_slope(Q: float) -> float:
    """ln(alpha - 1) of Hill's estimator above the median of the Marchenko-Pastur law: -ln of the mean of ln(x/median)."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    above = np.log(np.asarray(MarchenkoPastur(Q=Q).isf((nodes + 1) / 4)))
    return -math.log(float(above @ weights) / 2 - math.log(float(MarchenkoPastur(Q=Q).isf(0.5))))


def _scaled(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return (2 * x - low - high) / (high - low)


def _check_level(level: ArrayLike) -> None:
    if not np.all((np.asarray(level) >= LEVELS[0]) & (np.asarray(level) <= LEVELS[-1])):
        raise InputError(f"the table of noise has levels from {LEVELS[0]} to {LEVELS[-1]}; got {level}")
