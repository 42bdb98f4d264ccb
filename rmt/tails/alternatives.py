"""Laws to hold a power law against, fitted above the same xmin: log-normal, exponential, stretched exponential, truncated."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rmt import laws
from rmt.laws.base import bisect
from rmt.laws.gaussian import log_upper
from rmt.tails.base import Method, Sample, Status, TailFit, graver, total
from rmt.tails.clauset import Clauset
from rmt.tails.options import positive


class Tail(eqx.Module):
    """The values >= xmin, in float64 and without unit; those in front of them are 0.

    Attributes:
        xmin: in the units of the data.
        n: number of values.
        inside: which of the sample's values they are.
        excess: x/xmin - 1.
        log: u = ln(x/xmin).
    """

    xmin: Float[Array, ""]
    n: Float[Array, ""]
    inside: Bool[Array, " n"]
    excess: Float[Array, " n"]
    log: Float[Array, " n"]

    def mean(self, value: Float[Array, " n"]) -> Float[Array, ""]:
        """Over the tail."""
        return total(jnp.where(self.inside, value, 0)) / self.n


class Fitted(eqx.Module):
    """What an alternative makes of a tail: a law, the code of a note or of NO_CONVERGENCE, and its alpha if it has one."""

    law: laws.Law
    status: Int[Array, ""]
    alpha: Float[Array, ""] = eqx.field(default=jnp.nan, converter=jnp.asarray)
    stderr: Float[Array, ""] = eqx.field(default=jnp.nan, converter=jnp.asarray)


class Alternative(Method):
    """A law with a maximum-likelihood fit to the values >= xmin, given that they are >= xmin.

    Attributes:
        xmin: where the tail starts; None for the xmin that `Clauset()` finds.
        parameters: how many are fitted, without xmin.
        nested: whether the power law is one of these laws, or a limit of them.
    """

    xmin: Float[Array, ""] | None = None
    parameters: ClassVar[int]
    nested: ClassVar[bool]

    def __init__(self, xmin=None):
        self.xmin = None if xmin is None else positive(f"{type(self).__name__}(xmin)", xmin)

    def fit(self, sample: Sample) -> TailFit:
        """The tail of the power law above xmin, with this law in its place."""
        power = Clauset(xmin=self.xmin).fit(sample)
        inside = jnp.arange(sample.x.size) >= sample.x.size - power.n_tail
        xmin = power.xmin.astype(float)
        # From x itself: ln x - ln xmin would lose the digits in which values near xmin differ.
        excess = jnp.where(inside, (sample.x.astype(float) - xmin) / xmin, 0)
        tail = Tail(xmin, jnp.maximum(power.n_tail, 1).astype(float), inside, excess, jnp.log1p(excess))
        fitted = self.above(tail)
        ks = sample.distance(sample.x.size - power.n_tail, fitted.law.cdf(sample.x))
        alpha, stderr, ks = (number.astype(sample.x.dtype) for number in (fitted.alpha, fitted.stderr, ks))
        status = graver(power.status, fitted.status)
        return TailFit(alpha, stderr, power.xmin, power.xmax, ks, power.n_tail, status, fitted.law)

    @abstractmethod
    def above(self, tail: Tail) -> Fitted:
        """The fit to a tail."""


def note(converged: Any, at_bound: Any) -> Int[Array, ""]:
    """The status of a fit with a range."""
    return jnp.select([~converged, at_bound], [int(Status.NO_CONVERGENCE), int(Status.BOUND_REACHED)], int(Status.OK))


class Exponential(Alternative):
    """Exponential above xmin: P(X > x) = exp(-rate (x - xmin)), with rate = 1/(mean(x) - xmin).

    Args:
        xmin: where the tail starts; None for the xmin that `Clauset()` finds.

    Raises:
        ValueError: xmin is not a positive number.

    Accuracy: closed form.
    """

    parameters: ClassVar[int] = 1
    nested: ClassVar[bool] = False

    def above(self, tail: Tail) -> Fitted:
        """1/rate is the mean excess."""
        rate = 1 / (tail.mean(tail.excess) * tail.xmin)
        converged = (rate > 0) & (rate < jnp.inf)
        return Fitted(laws.Above(laws.Exponential(jnp.where(converged, rate, 1)), tail.xmin), note(converged, False))


class LogNormal(Alternative):
    """Log-normal above xmin: u = ln(x/xmin) is Gaussian with mean m and deviation s, given u > 0; log_mean = m + ln xmin.

    The mean and the mean square of u are sufficient, and their ratio r = mean(u^2)/mean(u)^2 determines a = -m/s alone: it
    rises with a from 1 to 2. At 2, a = inf, is the power law. So for r < 2 there is one maximum, and for r >= 2 none: a then
    stays at the end of its range, a = 100, which no data can tell from the power law (BOUND_REACHED).

    Args:
        xmin: where the tail starts; None for the xmin that `Clauset()` finds.

    Raises:
        ValueError: xmin is not a positive number.

    Source: del Castillo & Puig, JASA 94 1999, for the condition r < 2.
    Accuracy: log_mean and log_sd to 1e-10 relative, against mpmath; nothing on a grid of the whole range is likelier
        (`tests/test_alternatives.py`). Equal values above xmin have no likeliest law: NO_CONVERGENCE.
    """

    parameters: ClassVar[int] = 2
    nested: ClassVar[bool] = True

    def above(self, tail: Tail) -> Fitted:
        """a from r, then s from a."""
        mean = tail.mean(tail.log)
        spread = tail.mean((tail.log - mean) ** 2) / mean**2  # r - 1
        at_bound = spread >= _relative_variance(_FAR)[0]
        rest = 1 - spread

        def gap(a):
            near, far = _relative_variance(a)
            return jnp.where(a < _SPLIT, spread - near, far - rest)

        a, converged = root(gap, -1 / jnp.sqrt(spread), jnp.asarray(_FAR))
        a = jnp.where(at_bound, _FAR, a)
        # The maximum over s at this a: s^2 - a mean(u) s - mean(u^2) = 0.
        square = mean**2 * (1 + spread)
        size = jnp.sqrt((a * mean) ** 2 + 4 * square)
        s = jnp.where(a > 0, (a * mean + size) / 2, 2 * square / (size - a * mean))
        converged = at_bound | (converged & (spread > _EQUAL**2))
        law = laws.LogNormal(jnp.log(tail.xmin) - a * s, jnp.where(converged, s, 1))
        return Fitted(laws.Above(law, tail.xmin), note(converged, at_bound))


_EQUAL = 1e-13  # relative spread of u, from rounding alone: the likelihood of equal values has no maximum
_FAR = 100.0
_SPLIT = 5.0
_LEVELS = 60


def _relative_variance(a):
    """var(u)/mean(u)^2 of a unit Gaussian given that it is > a, u its excess; and 1 minus that, exact for a >= _SPLIT.

    With the hazard h, mean(u) = h - a and var(u) = 1 + a h - h^2. Far out both are small differences, and Laplace's continued
    fraction h - a = 1/(a + K), K = 2/(a + L), L = 3/(a + 4/(a + ...)) has none: 1 - ratio = 2 (L - K)/(a + L).
    """
    near = jnp.minimum(a, _SPLIT)
    h = jnp.exp(-near * near / 2 - jnp.log(2 * jnp.pi) / 2 - log_upper(near))
    far = jnp.maximum(a, _SPLIT)
    L = jax.lax.fori_loop(0, _LEVELS, lambda i, below: (_LEVELS + 2 - i) / (far + below), jnp.zeros_like(far))
    K = 2 / (far + L)
    rest = 2 * (L - K) / (far + L)
    return jnp.where(a < _SPLIT, (1 + near * h - h * h) / (h - near) ** 2, 1 - rest), rest


class StretchedExponential(Alternative):
    """Stretched exponential, or Weibull, above xmin: P(X > x) = exp(-k ((x/xmin)^shape - 1)), k = (rate xmin)^shape.

    At a given shape, 1/k = mean((x/xmin)^shape - 1), and with it the mean log-likelihood, but for a constant, is

        ln(shape) - ln(mean((x/xmin)^shape - 1)) + shape mean(u),   u = ln(x/xmin)

    As the shape goes to 0, with k shape = alpha - 1, the law turns into the power law. For mean(u^2) >= 2 mean(u)^2 that is the
    maximum, and the shape stays at the end of its range (BOUND_REACHED): where rate = k^(1/shape)/xmin would pass
    e^600/xmin, and float64. That is at a shape of 0.005 to 0.01 for alpha in [1.5, 4].

    Args:
        xmin: where the tail starts; None for the xmin that `Clauset()` finds.

    Raises:
        ValueError: xmin is not a positive number.

    Accuracy: shape and ln(rate) to 1e-10 relative, against mpmath; nothing on a grid of the whole range is likelier
        (`tests/test_alternatives.py`). Equal values above xmin have no likeliest law: NO_CONVERGENCE.
    """

    parameters: ClassVar[int] = 2
    nested: ClassVar[bool] = True

    def above(self, tail: Tail) -> Fitted:
        """The zero of the profile's slope."""
        mean, largest = tail.mean(tail.log), jnp.max(tail.log)
        low = _smallest_shape(mean)
        at_bound = _profile(tail, largest, low)[0] <= 0
        # The slope is negative there: mean(u) and the logarithm of a mean of exponentials bound it.
        high = (1 + jnp.log(tail.n)) / (largest - mean)
        shape, converged = root(lambda shape: _profile(tail, largest, shape)[0], low, jnp.maximum(low, high))
        shape = jnp.where(at_bound, low, shape)
        log_rate = -_profile(tail, largest, shape)[1] / shape - jnp.log(tail.xmin)
        converged &= largest - mean > _EQUAL * mean
        converged = (at_bound | converged) & (jnp.abs(log_rate) < 700)
        law = laws.Weibull(jnp.where(converged, shape, 1), jnp.exp(jnp.where(converged, log_rate, 0)))
        return Fitted(laws.Above(law, tail.xmin), note(converged, at_bound))


_LOG_RATE = 600.0


def _smallest_shape(mean):
    """The shape where k^(1/shape) is at most e^600: 1/k >= shape mean(u), so it is enough that shape mean(u) = e^(-600 shape)."""
    log_shape = bisect(
        lambda v: v + jnp.log(mean) + _LOG_RATE * jnp.exp(v), -jnp.abs(jnp.log(mean)) - 30, jnp.asarray(0.0)
    )
    return jnp.exp(log_shape)


def _profile(tail: Tail, largest, shape):
    """Slope of the profile at a shape, and ln(1/k): all sums scaled by (x_max/xmin)^-shape, so that none overflows."""
    t = shape * tail.log
    scale = jnp.exp(-shape * largest)
    power = jnp.exp(shape * (tail.log - largest))
    small = t < 0.5
    little = jnp.where(small, t, 0)
    # e^t - 1 - t e^t loses two digits a decade below t = 1
    curved = jnp.where(small, -scale * little**2 * jnp.polyval(jnp.array(_CURVED), little), power * (1 - t) - scale)
    mass = tail.mean(jnp.where(small, scale * jnp.expm1(little), power - scale))
    return tail.mean(tail.log) + tail.mean(curved) / (shape * mass), jnp.log(mass) + shape * largest


# (k + 1)/(k + 2)! for k = 13 ... 0: t^2 times this series is 1 + t e^t - e^t.
_CURVED = tuple((k + 1) / math.factorial(k + 2) for k in reversed(range(14)))


class TruncatedPareto(Clauset):
    """A power law on [xmin, xmax]: `Clauset(xmin=..., xmax="max")`, with its likelihood normalised to the end of the data.

    Args:
        xmin: as for `Clauset`; a search compares truncated laws.
        xmax: "max", the largest value, which is its maximum-likelihood estimate; or a number, known before the data. Values
            above it are left out.

    Raises:
        ValueError: an option is none of the above.

    Source: Aban, Meerschaert, Panorska, JASA 101 2006.
    Accuracy: data cut at xmax = 10 xmin with alpha = 2.5 and n = 1000 give alpha with |bias| < 0.03, where the fit without an
        end gives 2.8 (`tests/test_alternatives.py`).
    """

    nested: ClassVar[bool] = True

    def __init__(self, xmin=None, xmax="max"):
        super().__init__(xmin=xmin, xmax=xmax)

    @property
    def parameters(self) -> int:
        """alpha, and xmax where it comes from the data."""
        return 2 if isinstance(self.xmax, str) else 1


def root(falling: Callable[[Array], Array], low, high) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """Where a function, positive at `low` and negative at `high`, is zero, and whether it was found to 1e-14 relative.

    Newton's method, with a halving of the bracket wherever a step would leave it or shrinks too slowly.
    """

    def unfinished(state):
        _, step, low, high, count = state
        middle = (low + high) / 2
        return (jnp.abs(step) > 1e-14 * jnp.abs(middle)) & (high - low > 1e-15 * jnp.abs(middle)) & (count < 100)

    def improve(state):
        x, last, low, high, count = state
        value, slope = jax.jvp(falling, (x,), (jnp.ones_like(x),))
        low, high = jnp.where(value > 0, x, low), jnp.where(value > 0, high, x)
        newton = x - value / slope
        good = (newton > low) & (newton < high) & (jnp.abs(newton - x) < 0.5 * jnp.abs(last))
        new = jnp.where(value == 0, x, jnp.where(good, newton, (low + high) / 2))
        return new, new - x, low, high, count + 1

    low, high = jnp.asarray(low, float), jnp.asarray(high, float)
    start = (low + high) / 2, high - low, low, high, 0
    x, _, low, high, count = jax.lax.while_loop(unfinished, improve, start)
    return x, jnp.isfinite(x) & (count < 100)
