"""The largest eigenvalue of X = W^T W / N for iid heavy-tailed entries of finite variance: its law at finite N.

One entry w of the N x M matrix W is a rank-one spike of squared strength w^2/N, and puts an eigenvalue outside the bulk once
|w| > sigma (N M)^(1/4) (`rmt.spikes.outlier_map`, `rmt.spikes.spike_threshold`). What is below makes the bulk and its edge.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from rmt import spikes
from rmt.laws import Law, TracyWidom, johnstone
from rmt.laws.above import exponential_rule
from rmt.laws.base import attached, bisect, check_law, derivative, implicit, implicit_above, log_or_never


class LargestEigenvalue(Law):
    """P(lambda_max <= x) = exp(-N M P(|w| > sqrt(N t(x)))) F_1((N x/(sigma^2 (1 + kappa/sqrt(N M))) - centre)/scale).

    The first factor says that no entry makes an outlier beyond x, t(x) being the inverse of the outlier map; the second is
    the edge of the bulk, Tracy-Widom with the centre and scale of `johnstone`. `corrected` takes what the entries below
    the threshold T = sigma (N M)^(1/4) do to both, to first order in 1/N: sigma^2 and the excess kurtosis kappa are
    those of w given |w| <= T; the edge moves by the factor 1 + kappa/sqrt(N M); the outlier map becomes, with
    phi = sigma^2/t, eps = kappa/N and q = phi + eps phi^2,

        g(t) = t (1 + q)(1 + c q)

    and the fluctuation of the mean of w^2, sigma^4 (kappa + 2)/(N M), of which Tracy-Widom holds the Gaussian part, widens
    (kappa > 0) or narrows the scale. Otherwise kappa = 0 and sigma^2 is the variance of w.
    For mu < 4 and N -> inf, N lambda_max/b^2 with b = law.abs_isf(1/(N M)) tends to `Frechet(mu/2)`; for mu > 4 it is
    Tracy-Widom that remains; at mu = 4 the edge keeps the mass `edge_atom(law)`.

    Args:
        law: the law of the entries: mean 0 and finite variance, so a tail index above 2.
        N: rows of W, static.
        M: columns of W, 2 <= M <= N, static.
        corrected: with the corrections in 1/N, or the product of the two limits alone; static.

    Raises:
        ValueError: `law` is not a law, is not centred, or has infinite variance; or N and M do not fit. Of a traced law only
            the sizes are checked.

    Source: the idea of the product is from G. Biroli, J.-P. Bouchaud, M. Potters, Europhys. Lett. 78 (2007) 10001. The shift
        of the edge is that of J. O. Lee, K. Schnelli, Probab. Theory Relat. Fields 171 (2018) 543 and J. Y. Hwang, J. O. Lee,
        K. Schnelli, Ann. Appl. Probab. 29 (2019) 3006 in their setting of sparse entries; here it is derived from
        m = -(1 + eps phi^2)/(z (1 + r)), r = -(1 + c eps phi^2)/(z (1 + c m)), phi = z m r, for the Stieltjes transforms m and
        r of W^T W/N and W W^T/N with sigma = 1: the fourth cumulant is the variance that sum_i w_ij^2/N keeps.
    Accuracy: an approximation to the law of lambda_max. KS distances to 1,000 simulated draws (critical at 5 %: 0.043) stand in
        `tests/benchmarks/largest_eigenvalue.json`, for signed Pareto, Student t and centred Lomax entries with mu = 2.5, 3,
        3.5, 4, 5. At 1000 x 1000 it holds in 13 of 15 cells (not at Student mu = 4, 0.100, and Lomax mu = 5, 0.083), at
        600 x 300 in 6, the others between 0.047 and 0.103. Where there are few outliers the correction is what was missing:
        Student's t at mu = 5, 600 x 300, 0.226 without and 0.036 with it; the signed Pareto law at mu = 6, 400 x 200, 0.121
        and 0.029. It does not reach where kappa is 10 and more below the threshold and outliers crowd at the edge (Student
        at mu = 4, 0.170 and 0.091), and below mu = 4 it gains nothing: there 7 of 9 cells of 600 x 300 hold without it. What
        is left out: the sums of squares of the one row and column of the large entry vary, and an entry near the threshold
        moves the edge by a random amount. The formula itself: `tests/test_extremes.py` asserts cdf + sf = 1, the power of
        the tail to 1e-12, and both limits.
    """

    law: Law
    N: int = eqx.field(static=True)
    M: int = eqx.field(static=True)
    corrected: bool = eqx.field(default=True, static=True)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """Half of that of the entries."""
        return self.law.tail_index / 2

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """k N M N^(-mu/2), k the constant of the entries."""
        mu = self.law.tail_index
        return self.law.tail_constant * self.N ** (1 - jnp.where(mu < jnp.inf, mu, 0.0) / 2) * self.M

    @property
    def mean(self) -> Float[Array, ""]:
        """By quadrature."""
        edge, first, _ = _moments(self)
        return edge + first

    @property
    def var(self) -> Float[Array, ""]:
        """By quadrature; inf for mu <= 4."""
        _, first, second = _moments(self)
        return jnp.where(second < jnp.inf, second - jnp.where(second < jnp.inf, first, 0.0) ** 2, jnp.inf)

    def __check_init__(self):
        check_entries("LargestEigenvalue", self.law, self.N, self.M)
        if not isinstance(self.corrected, bool):
            raise ValueError(f"LargestEigenvalue(corrected) must be True or False, got {self.corrected!r}")

    def _bulk(self) -> "_Bulk":
        """Once a call, outside the loops of its quantiles."""
        var, kurtosis = self.law.var, jnp.zeros(())
        if self.corrected:
            var, kurtosis = truncated_moments(self.law, _threshold(self.law.var, self.N, self.M))
        return _Bulk(var, kurtosis, _critical(self.M / self.N, kurtosis / self.N), self.N, self.M)

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        edge_key, entry_key = jax.random.split(key)
        bulk = self._bulk()
        edge = bulk.unstandard(TracyWidom()._draw(edge_key, shape))
        # The largest of N M entries: N M P(|w| > size) is an exponential variable
        share = jax.random.exponential(entry_key, shape, float) / (self.N * self.M)
        strength = self.law._abs_isf(jnp.minimum(share, 1.0)) ** 2 / (self.N * bulk.var)
        outside = strength > bulk.critical
        outlier = bulk.var * bulk.location(jnp.where(outside, strength, bulk.critical))
        return jnp.where(outside, jnp.maximum(outlier, edge), edge)

    def _rate(self, bulk: "_Bulk", x: Array) -> Array:
        """N M P(|w| > sqrt(N t(x))): the expected number of outliers beyond x, or beyond the edge."""
        strength = bulk.var * bulk.strength(x / bulk.var)
        return self.N * self.M * self.law._abs_sf(jnp.sqrt(self.N * strength))

    def _below(self, bulk: "_Bulk", x: Array) -> Array:
        return jnp.exp(-self._rate(bulk, x)) * TracyWidom()._cdf(bulk.standard(x))

    def _above(self, bulk: "_Bulk", x: Array) -> Array:
        outlier, edge = -jnp.expm1(-self._rate(bulk, x)), TracyWidom()._sf(bulk.standard(x))
        return outlier + edge - outlier * edge

    def _logpdf(self, x: Array) -> Array:
        bulk, one = self._bulk(), jnp.ones_like(x)
        rate, slope = jax.jvp(lambda x: self._rate(bulk, x), (x,), (one,))
        s, step = jax.jvp(bulk.standard, (x,), (one,))
        density = -slope * TracyWidom()._cdf(s) + step * jnp.exp(TracyWidom()._logpdf(s))
        return log_or_never(density) - rate

    def _cdf(self, x: Array) -> Array:
        return self._below(self._bulk(), x)

    def _sf(self, x: Array) -> Array:
        return self._above(self._bulk(), x)

    def _ppf(self, q: Array) -> Array:
        x = self._solve(q, jnp.full_like(q, -jnp.inf), q < 2)
        return implicit(self, jnp.where(q == 0, -jnp.inf, jnp.where(q == 1, jnp.inf, x)), q)

    def _quantile_above(self, log_p: Array) -> Array:
        # near p = 1 it is cdf = 1 - p that has the digits
        x = self._solve(-jnp.expm1(log_p), log_p, log_p > -jnp.log(2.0))
        x = jnp.where(log_p == 0, -jnp.inf, jnp.where(log_p == -jnp.inf, jnp.inf, x))
        return implicit_above(self, x, log_p)

    def _solve(self, q: Array, log_p: Array, by_cdf: Array) -> Array:
        """The x with cdf(x) = q, or else with logsf(x) = log_p."""
        bulk, bound = self._bulk(), jnp.full_like(q, jnp.arcsinh(1e300))

        def excess(u: Array) -> Array:
            x = jnp.sinh(u)
            return jnp.where(by_cdf, self._below(bulk, x) - q, log_p - log_or_never(self._above(bulk, x)))

        return jnp.sinh(bisect(excess, -bound, bound))


def edge_atom(law: Law) -> Float[Array, ""]:
    """exp(-k/sigma^4) at mu = 4: the mass that the limit law of lambda_max has at lambda_plus, whatever Q is.

    It is exp(-expected number of entries beyond sigma (N M)^(1/4)); for mu < 4 that number grows and the atom is 0, for
    mu > 4 it goes to 0 and the atom is 1. The unit Pareto law with random signs has e^(-1/4).

    Args:
        law: the law of the entries: mean 0 and finite variance.

    Source: derived from `expected_outliers`.
    """
    mu = law.tail_index
    atom = jnp.exp(-law.tail_constant / law.var**2)
    return jnp.where(mu < 4, 0.0, jnp.where(mu > 4, 1.0, atom))


def expected_outliers(law: Law, N: int, M: int) -> Float[Array, ""]:
    """N M P(|w| > sigma (N M)^(1/4)): the expected number of entries that put an eigenvalue outside the bulk.

    sqrt(N) times the threshold sigma Q^(-1/4) of a spike is sigma (N M)^(1/4): it does not depend on Q at given N M.

    Args:
        law: the law of the entries: mean 0 and finite variance.
        N: rows of W.
        M: columns of W, 2 <= M <= N.

    Raises:
        ValueError: as `LargestEigenvalue`.
    """
    check_entries("expected_outliers", law, N, M)
    return N * M * law.abs_sf(_threshold(law.var, N, M))


def expected_outliers_limit(law: Law, N: int, M: int) -> Float[Array, ""]:
    """k (N M)^(1 - mu/4) sigma^-mu: what `expected_outliers` tends to for P(|w| > t) ~ k t^-mu; exact for the Pareto law.

    Args:
        law: the law of the entries: mean 0, finite variance, and a `tail_constant`.
        N: rows of W.
        M: columns of W, 2 <= M <= N.

    Raises:
        ValueError: as `LargestEigenvalue`.
    """
    check_entries("expected_outliers_limit", law, N, M)
    mu = law.tail_index
    return law.tail_constant * (N * M) ** (1 - mu / 4) * law.var ** (-mu / 2)


def outliers_beyond(law: Law, N: int, M: int, x: ArrayLike) -> Float[Array, "*batch"]:
    """N M P(|w| > sqrt(N g^-1(x))): the expected number of outliers beyond x; `expected_outliers` at and below lambda_plus.

    g is `rmt.spikes.outlier_map`; for the Pareto law it grows as (N M)^(1 - mu/4) at every x, as a share of M it falls.

    Args:
        law: the law of the entries: mean 0 and finite variance.
        N: rows of W.
        M: columns of W, 2 <= M <= N.
        x: eigenvalue of X = W^T W / N.

    Raises:
        ValueError: as `LargestEigenvalue`.

    Source: as `LargestEigenvalue`, without its corrections.
    """
    check_entries("outliers_beyond", law, N, M)
    return N * M * law.abs_sf(jnp.sqrt(N * spikes.outlier_inverse(x, N / M, jnp.sqrt(law.var))))


def edge_shift(kurtosis: ArrayLike, N: int, M: int) -> Float[Array, "*batch"]:
    """kappa/sqrt(N M): by which factor, less 1, the edge lambda_plus of the bulk moves.

    Args:
        kurtosis: excess kurtosis of the entries.
        N: rows of W.
        M: columns of W.

    Source: see `LargestEigenvalue`.
    Accuracy: first order in 1/N; `tests/test_extremes.py` finds it for signs, kappa = -2.
    """
    return jnp.asarray(kurtosis, float) / (N * M) ** 0.5


def truncated_moments(law: Law, size: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Variance E[w^2; |w| <= T] and excess kurtosis E[w^4; |w| <= T]/variance^2 - 3 of what lies within the size T.

    Args:
        law: the law of the entries, mean 0. The probability of |w| > T is taken to be small, and so is the mean within.
        size: T > 0.

    Returns:
        (variance, excess kurtosis); the variance is in units of w squared.

    Accuracy: 1e-12 relative for smooth laws, 1e-3 where the density has a jump within, as the centred Lomax law has.
    """
    depth = -jnp.log(jnp.maximum(law.abs_sf(size), _NEVER))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    l = depth * jnp.asarray((nodes + 1) / 2)  # -log P(|w| > t)
    mass = depth * jnp.asarray(weights / 2) * jnp.exp(-l)
    squares = law.abs_isf(jnp.exp(-l)) ** 2
    var, fourth = (squares * mass).sum(), (squares**2 * mass).sum()
    return var, fourth / var**2 - 3


_NODES, _NEVER = 200, 1e-40


def check_entries(name: str, law: Any, N: Any, M: Any) -> None:
    """Raise ValueError unless the law is centred with finite variance and 2 <= M <= N; a traced law goes unchecked."""
    check_law(name, law, "rmt.Pareto(mu=3)")
    if not all(isinstance(n, int) for n in (N, M)) or not 2 <= M <= N:
        raise ValueError(
            f"{name}(N, M) needs integers N >= M >= 2, got ({N!r}, {M!r}); the spectrum of W is that of W.T"
        )
    mean, var = law.mean, law.var
    if isinstance(mean, Tracer) or isinstance(var, Tracer):
        return
    if not np.all(np.isfinite(var)):
        raise ValueError(
            f"{name}(law) needs entries of finite variance, got tail index {law.tail_index}; for mu <= 2 the law of "
            "N lambda_max/b^2 with b = law.abs_isf(1/(N M)) is rmt.Frechet(mu / 2)"
        )
    if not np.all(np.abs(mean) <= 1e-9 * np.sqrt(var)):
        raise ValueError(f"{name}(law) needs entries of mean 0, got {mean}; wrap the law in rmt.Centred")


def _threshold(var: Array, N: int, M: int) -> Array:
    """sigma (N M)^(1/4)."""
    return jnp.sqrt(float(N)) * spikes.spike_threshold(N / M, jnp.sqrt(var))


class _Bulk(eqx.Module):
    """What the small entries make: the edge, and the map of the outliers, in units of their variance."""

    var: Array
    kurtosis: Array
    critical: Array
    N: int = eqx.field(static=True)
    M: int = eqx.field(static=True)

    def location(self, t: Array) -> Array:
        """Where an entry of squared strength t has its outlier."""
        return _location(t, self.M / self.N, self.kurtosis / self.N)

    def strength(self, x: Array) -> Array:
        """The larger t with g(t) = x; the critical one at and below the edge."""
        outside = x > self.location(self.critical)
        x = jnp.where(outside, x, 4 * (1 + self.critical))
        t = bisect(lambda t: self.location(t) - x, jnp.broadcast_to(self.critical, x.shape), x)
        t = attached(t, self.location(t) - x, derivative(self.location, t))
        return jnp.where(outside, t, self.critical)

    def _scales(self) -> tuple[Array, Array]:
        """Centre and scale of lambda_max."""
        centre, scale = johnstone(self.N, self.M)
        size = self.N * self.M
        unit = self.var / self.N * (1 + edge_shift(self.kurtosis, self.N, self.M))
        # The relative variance of mean(w^2), beyond that of Gaussian entries, is added to the one of Tracy-Widom.
        wider = 1 + self.kurtosis / size * (centre / scale) ** 2 / TracyWidom().var
        wider = jnp.sqrt(jnp.maximum(wider, 0.1))  # only a few columns make it less, and there it is not Tracy-Widom
        return unit * (centre + (1 - wider) * scale * TracyWidom().mean), unit * scale * wider

    def standard(self, x: Array) -> Array:
        """The argument of F_1."""
        centre, scale = self._scales()
        return (x - centre) / scale

    def unstandard(self, s: Array) -> Array:
        """The x of an argument of F_1."""
        centre, scale = self._scales()
        return centre + scale * s


def _location(t: Array, c: float, eps: Array) -> Array:
    """g(t) = t (1 + q)(1 + c q), q = phi + eps phi^2, phi = 1/t."""
    q = (1 + eps / t) / t
    return t * (1 + q) * (1 + c * q)


def _critical(c: float, eps: Array) -> Array:
    """The t where g is smallest: sqrt c for eps = 0."""
    root = jnp.full_like(eps, c**0.5)

    def slope(t: Array) -> Array:
        return derivative(lambda t: _location(t, c, eps), t)

    t = bisect(slope, root / 4, root * 4)
    return attached(t, slope(t), derivative(slope, t))


@jax.jit
def _moments(law: LargestEigenvalue) -> tuple[Array, Array, Array]:
    """The edge, and E[(x - edge)^order] = int_0^inf (x(l) - edge)^order exp(-l) dl, logsf(x) = -l, for order 1 and 2."""
    nodes, weights = (jnp.asarray(values)[None, :] for values in exponential_rule())
    bulk, order = law._bulk(), jnp.array([[1.0], [2.0]])
    edge = bulk.var * bulk.location(bulk.critical)
    decay = 1 - order / law.tail_index  # the integrand's
    exists = decay > 0
    l = nodes / jnp.where(exists, decay, 1.0)
    gap = law._quantile_above(-l) - edge
    power = jnp.where(order == 1, jnp.sign(gap), 1.0) * jnp.exp(order * log_or_never(jnp.abs(gap)) - l)
    total = (weights * power).sum(1) / jnp.where(exists, decay, 1.0)[:, 0]
    first, second = jnp.where(exists[:, 0], total, jnp.inf)
    return edge, first, second
