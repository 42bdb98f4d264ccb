"""The table behind `estimate_mu`: moments of summaries of simulated matrices, and what they say of known mu.

For entries of a family, N x M matrices and a tail index mu, the summary of a spectrum is nearly normal, with a mean and a
covariance that change smoothly. That gives a likelihood of mu (a synthetic one: S. N. Wood, Nature 466 (2010) 1102) and
a statistic, the posterior mean of ln mu. How the statistic is distributed at each mu is simulated too, so that what is
read off it is right however good the likelihood is.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from rmt.calibration.storage import check_shapes, damaged, load_arrays, save_table, shipped_arrays
from rmt.calibration.summary import N_FEATURES
from rmt.errors import InputError

KIND = "heavytail-lab table of mu, version 2"
LEVELS = (0.005, 0.025, 0.05, 0.16, 0.5, 0.84, 0.95, 0.975, 0.995)
FIT_LEVEL = 0.99
FINE = 200  # points in ln mu of a likelihood
FEWEST_COLUMNS = 13
"""M from which on the ten numbers of a summary are independent functions of the eigenvalues."""

FEWEST_TRIALS = 2 * (N_FEATURES + 1)
"""Matrices of a cell: twice as many as the covariance needs for its full rank."""

SAME_Q = 0.05
"""Of ln Q: how far the columns of a table may be from one Q each, as M are whole numbers."""

TOLERANCE = 0.005
"""Of an interpolated mean summary: added to the covariance, so that no likelihood is sharper than the table."""


class Likelihoods(NamedTuple):
    """What the summaries of some matrices say of mu, if their entries are of one family.

    Attributes:
        statistic: posterior mean of ln mu, from a flat prior over the table's range of ln mu.
        misfit: squared Mahalanobis distance of the summary from the nearest mean.
        log_evidence: logarithm of the mean likelihood under the prior.
    """

    statistic: Float[np.ndarray, "*batch"]
    misfit: Float[np.ndarray, "*batch"]
    log_evidence: Float[np.ndarray, "*batch"]


@dataclass(frozen=True)
class Moments:
    """Of the summaries of matrices of one shape, whose entries are of one family: a likelihood of mu.

    Attributes:
        log_mu: ln mu of a grid, J values.
        mean: mean summary at each.
        cov: its covariance.
    """

    log_mu: Float[np.ndarray, " J"]
    mean: Float[np.ndarray, "J K"]
    cov: Float[np.ndarray, "J K K"]

    @cached_property
    def _fine(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        fine = np.linspace(self.log_mu[0], self.log_mu[-1], FINE)
        cov = _linear(self.log_mu, self.cov, fine) + TOLERANCE**2 * np.eye(self.mean.shape[1])
        return (
            fine,
            scipy.interpolate.CubicSpline(self.log_mu, self.mean)(fine),
            np.linalg.inv(cov),
            np.linalg.slogdet(cov)[1],
        )

    def likelihoods(self, summaries: Float[np.ndarray, "*batch K"]) -> Likelihoods:
        """The likelihood of each summary."""
        fine, mean, precision, log_det = self._fine
        # (x - m)' P (x - m), written out: all of it by matrix products
        K = mean.shape[1]
        pairs = (summaries[..., :, None] * summaries[..., None, :]).reshape(*summaries.shape[:-1], K * K)
        weighted = np.einsum("jkl,jl->jk", precision, mean)
        squares = pairs @ precision.reshape(-1, K * K).T - 2 * summaries @ weighted.T + np.sum(weighted * mean, axis=1)
        log = -(squares + log_det) / 2
        top = log.max(axis=-1, keepdims=True)
        p = np.exp(log - top)
        return Likelihoods((p @ fine) / p.sum(axis=-1), squares.min(axis=-1), np.log(p.mean(axis=-1)) + top[..., 0])


@dataclass(frozen=True)
class Family(Moments):
    """And how what is read off that likelihood is distributed.

    Attributes:
        quantiles: of the statistic at each mu, at the levels `LEVELS`, rising with mu.
        misfit: the misfit that 1 % of matrices exceed, at each mu.
    """

    quantiles: Float[np.ndarray, "J P"]
    misfit: Float[np.ndarray, " J"]

    def statistic_at(self, mu: Float[np.ndarray, "*batch"], level: float) -> Float[np.ndarray, "*batch"]:
        """The quantile of the statistic at mu."""
        return self._quantile(level)(np.log(mu))

    def _quantile(self, level: float) -> "scipy.interpolate.PchipInterpolator":
        """In ln mu: monotone where the nodes are, since a cubic overshoots where a spectrum ceases to tell mu."""
        return scipy.interpolate.PchipInterpolator(self.log_mu, self.quantiles[:, LEVELS.index(level)])

    def mu_at(self, statistic: Float[np.ndarray, "*batch"], level: float) -> Float[np.ndarray, "*batch"]:
        """The mu at which the statistic would be the quantile of that level: 0 or inf where that is beyond the grid."""
        log_mu = np.linspace(self.log_mu[0], self.log_mu[-1], 10 * FINE)
        quantile = np.maximum.accumulate(self._quantile(level)(log_mu))
        mu = np.exp(np.interp(statistic, quantile, log_mu))
        return np.where(statistic < quantile[0], 0.0, np.where(statistic > quantile[-1], np.inf, mu))

    def fits(self, found: Likelihoods) -> Bool[np.ndarray, "*batch"]:
        """Whether so large a misfit is common, at the 1 % level, where the statistic is the median."""
        median = np.maximum.accumulate(self.quantiles[:, LEVELS.index(0.5)])
        return found.misfit <= np.interp(found.statistic, median, self.misfit)


@dataclass(frozen=True)
class MuTable:
    """Families of entries at the shapes N x M of a grid, over the same mu; see the module.

    Attributes:
        entries: names of the families.
        N: rows, rising.
        M: columns, M[i] those that go with N[i], falling.
        mu: tail indices, rising.
        mean, cov, quantiles, misfit: as in `Family`, by entries, N and M.
        n_trials: matrices simulated for each of them, by N.
        seed: of the simulation.
    """

    entries: tuple[str, ...]
    N: Float[np.ndarray, " n"]
    M: Float[np.ndarray, "n m"]
    mu: Float[np.ndarray, " J"]
    mean: Float[np.ndarray, "E n m J K"]
    cov: Float[np.ndarray, "E n m J K K"]
    quantiles: Float[np.ndarray, "E n m J P"]
    misfit: Float[np.ndarray, "E n m J"]
    n_trials: Int[np.ndarray, " n"]
    seed: int

    def family(self, entries: str, N: int, M: int) -> Family:
        """The family at a shape, interpolated.

        Raises:
            InputError: the shape is outside of the grid, or the family is not in it.
        """
        if entries not in self.entries:
            raise InputError(f"the table of mu knows entries {', '.join(self.entries)}; got {entries!r}")
        self.check_shape(N, M)
        e = self.entries.index(entries)
        log_N, log_Q = math.log(N), math.log(N / M)
        mean, quantiles = (self._at(log_N, log_Q, values[e], _smooth) for values in (self.mean, self.quantiles))
        # Linear, as a mean of covariances is one
        cov, misfit = (self._at(log_N, log_Q, values[e], _linear) for values in (self.cov, self.misfit))
        return Family(np.log(self.mu), mean, cov, quantiles, misfit)

    def check_shape(self, N: int, M: int) -> None:
        """Raise InputError unless the grid reaches around N x M."""
        # Sorted, as of one M for each N the one Q that they all are about has such ends
        Q_low, Q_high = sorted((self._log_Q.min(axis=1).max(), self._log_Q.max(axis=1).min()))
        if not (self.N[0] <= N <= self.N[-1] and Q_low - 0.01 <= math.log(N / M) <= Q_high + 0.01):
            raise InputError(
                f"the table of mu reaches N = {self.N[0]:g} to {self.N[-1]:g} and Q = N/M = {math.exp(Q_low):.2g} to "
                f"{math.exp(Q_high):.2g}; got {N} x {M}. Take a block of the matrix, whose entries have the same law, or "
                f"make a table: rmt calibrate mu --shapes {N}x{M} --out FILE"
            )

    @cached_property
    def _log_Q(self) -> np.ndarray:
        return np.log(self.N[:, None] / self.M)

    def _at(self, log_N: float, log_Q: float, values: np.ndarray, between: Callable[..., np.ndarray]) -> np.ndarray:
        rows = [between(at, row, log_Q) for at, row in zip(self._log_Q, values, strict=True)]
        return between(np.log(self.N), np.stack(rows), log_N)


def _smooth(at: np.ndarray, values: np.ndarray, x: float) -> np.ndarray:
    """Cubic interpolation along the first axis, of three values a parabola, of two a line; one holds where it is."""
    if len(at) == 1:
        return values[0]
    return scipy.interpolate.CubicSpline(at, values)(x)


def _linear(at: np.ndarray, values: np.ndarray, x: "float | np.ndarray") -> np.ndarray:
    """Linear interpolation along the first axis, constant beyond it."""
    if len(at) == 1:
        return np.broadcast_to(values[0], np.shape(x) + values.shape[1:])
    x = np.clip(x, at[0], at[-1])
    i = np.clip(np.searchsorted(at, x) - 1, 0, len(at) - 2)
    share = ((x - at[i]) / (at[i + 1] - at[i])).reshape(np.shape(x) + (1,) * (values.ndim - 1))
    return (1 - share) * values[i] + share * values[i + 1]


def rows_and_columns(shapes: Iterable[tuple[int, int]]) -> tuple[list[int], list[list[int]]]:
    """N, rising, and for each its M, falling: the axes of a table of these shapes.

    Raises:
        InputError: they are no grid.
    """
    shapes = sorted(shapes)
    rows = sorted({N for N, _ in shapes})
    columns = [sorted((M for at, M in shapes if at == N), reverse=True) for N in rows]
    if len({len(Ms) for Ms in columns}) > 1:
        counts = ", ".join(f"{len(Ms)} at N = {N}" for N, Ms in zip(rows, columns, strict=True))
        raise InputError(f"a table of mu needs as many M for every N, at the same Q = N/M; got {counts}")
    log_Q = np.log(np.array(rows)[:, None] / np.array(columns))
    for i in np.flatnonzero(np.ptp(log_Q, axis=0) > SAME_Q):
        got = ", ".join(f"{N} x {Ms[i]}" for N, Ms in zip(rows, columns, strict=True))
        raise InputError(f"a table of mu needs the same Q = N/M for every N, within {SAME_Q:.0%}; got {got}")
    return rows, columns


def save(table: MuTable, path: Path) -> None:
    """Write a table, its moments in single precision, far finer than their standard errors."""
    save_table(path, KIND, table)


def load(path: Path) -> MuTable:
    """A table that `save` wrote.

    Raises:
        InputError: it is no such table, or of another version, or damaged.
    """
    return _checked(load_arrays(path, KIND, MuTable), path)


@cache
def shipped() -> MuTable:
    """The table inside the package."""
    return _checked(shipped_arrays("mu.npz", KIND, MuTable), "mu.npz")


def _checked(values: Mapping[str, np.ndarray], where: object) -> MuTable:
    names = ("N", "M", "mu", "mean", "cov", "quantiles", "misfit")
    numbers = {name: np.asarray(values[name], float) for name in names}
    entries, n_trials, seed = tuple(map(str, values["entries"])), values["n_trials"].astype(int), int(values["seed"])
    table = MuTable(entries=entries, n_trials=n_trials, seed=seed, **numbers)
    grid = (len(entries), *table.M.shape, len(table.mu))
    shapes = {
        "N": table.M.shape[:1],
        "n_trials": table.M.shape[:1],
        "mean": (*grid, N_FEATURES),
        "cov": (*grid, N_FEATURES, N_FEATURES),
        "quantiles": (*grid, len(LEVELS)),
        "misfit": grid,
    }
    check_shapes(numbers | {"n_trials": n_trials}, shapes, where)
    if not all(np.all(np.diff(axis) > 0) for axis in (table.N, table.mu, -table.M)):
        raise damaged(where, "its axes are not in order")
    return table
