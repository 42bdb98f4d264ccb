"""The power law with an exponential cutoff: two parameters, one concave likelihood."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from rmt.laws import ExpTruncatedPowerLaw
from rmt.laws.exp_truncated import log_scaled_integral
from rmt.tails.alternatives import Alternative, Fitted, Tail, note


class ExpTruncated(Alternative):
    """rho(x) ~ x^-alpha exp(-rate x) for x >= xmin, with alpha >= 0 and rate >= 0.

    With y = x/xmin, z = rate xmin and the exponential integral E the mean log-likelihood

        -alpha mean(ln y) - z mean(y - 1) - ln(e^z E_alpha(z)) - ln xmin

    is concave in (alpha, z). So its slopes at the two ends decide, exactly, whether the maximum is there (BOUND_REACHED):
    rate = 0, the power law, where mean(y - 1) is at least the power law's, which is 1/(alpha - 2) and infinite for alpha <= 2;
    and alpha = 0, the exponential, where mean(ln y) is at least the exponential's. A cutoff that does not reach the data,
    rate x_max < 1e-10, counts as rate = 0. A tail lighter than every exponential, as the edge of a Marchenko-Pastur bulk, is
    at alpha = 0: it takes a rising power, alpha < 0, to follow it, and that is not the law meant here.

    Between the ends it is found by Newton's method, with the covariance of (ln y, y) as the curvature.

    Args:
        xmin: where the tail starts; None for the xmin that `Clauset()` finds.

    Raises:
        ValueError: xmin is not a positive number.

    Accuracy: alpha and rate to 1e-10 relative, against mpmath; nothing on a grid of the whole range is likelier; stderr is the
        spread of alpha (`tests/test_alternatives.py`). Data over more than 100 decades may end in NO_CONVERGENCE.
    """

    parameters: ClassVar[int] = 2
    nested: ClassVar[bool] = True

    def above(self, tail: Tail) -> Fitted:
        """The maximum; its stderr from the information of both parameters, at rate = 0 from that of alpha."""
        logs, excess = tail.mean(tail.log), tail.mean(tail.excess)
        power_law, exponential = 1 + 1 / logs, 1 / excess  # the ends of the range: of alpha, and of z
        low = _NO_CUTOFF / (1 + jnp.max(tail.excess))
        no_power = logs >= jnp.exp(log_scaled_integral(jnp.asarray(1.0), exponential))
        log_ratio = log_scaled_integral(power_law - 1, low) - log_scaled_integral(power_law, low)
        no_cutoff = jnp.log1p(excess) >= log_ratio
        at_bound = no_power | no_cutoff
        start = jnp.where(no_power, 0, 0.9 * power_law), jnp.where(no_power, exponential, _START / _NO_CUTOFF * low)
        start = start[0], jnp.where(no_power, exponential, jnp.clip(start[1], 2 * low, exponential / 2))
        alpha, z, (a, c, b), found = _maximum(logs, excess, start, at_bound)
        alpha = jnp.where(no_cutoff, power_law, alpha)
        variance = jnp.where(no_cutoff, (alpha - 1) ** 2, b / (a * b - c * c))
        rate = jnp.where(no_cutoff, 0, z / tail.xmin)
        law = ExpTruncatedPowerLaw(jnp.where(found, alpha, 2), jnp.where(found, rate, 0), tail.xmin)
        return Fitted(law, note(found, at_bound), alpha, jnp.sqrt(variance / tail.n))


_NO_CUTOFF = 1e-10
_START = 3.0
_LEAST_ALPHA = -3.0  # on the way; the law's functions are good to -5
_ENOUGH = 1e-18
_STEPS = 100


def _moments(alpha, log_z):
    """ln(e^z E), the means of ln y and z (y - 1) under the law, and their variances and covariance (a, c, b)."""

    def along(direction):
        """Value, slope and second derivative on a line through the point."""

        def value(t):
            return log_scaled_integral(alpha + t * direction[0], jnp.exp(log_z + t * direction[1]))

        def slope(t):
            return jax.jvp(value, (t,), (jnp.ones_like(t),))

        zero = jnp.zeros_like(alpha)
        (norm, first), (_, second) = jax.jvp(slope, (zero,), (zero + 1,))
        return norm, first, second

    norm, first, second = jax.vmap(along)(jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    a, b = second[0], second[1]
    return norm[0], (-first[0], -first[1]), (a, (second[2] - a - b) / 2, b - first[1])


def _maximum(logs, excess, start, frozen):
    """(alpha, z, their information a value in (alpha, ln z), whether found).

    A step takes at most nine tenths off z, or makes it ten times as large, with the alpha that then is best; it is halved
    until the likelihood rises by a share of what its slope promises. The last one is taken when the likelihood has less than
    1e-18 a value to gain. Where `frozen` none is.
    """

    def step(state):
        alpha, z, _, _, count = state
        norm, (mean_log, mean_cut), (a, c, b) = _moments(alpha, jnp.log(z))
        slope = logs - mean_log, z * excess - mean_cut
        by_z = jnp.clip((c * slope[0] - a * slope[1]) / (a * b - c * c), -0.9, 9)
        by_alpha = -(slope[0] + c * by_z) / a
        gain = jnp.where(frozen, 0, -(slope[0] * by_alpha + slope[1] * by_z))
        before = alpha * logs + z * excess + norm

        def point(share):
            return jnp.maximum(alpha + share * by_alpha, _LEAST_ALPHA), z + share * by_z * z

        def worse(share):
            p, q = point(share)
            after = p * logs + q * excess + log_scaled_integral(p, q)
            return (gain > 1e-12) & (share > 1e-9) & (after > before - 1e-4 * share * gain)

        share = jax.lax.while_loop(worse, lambda share: share / 2, jnp.where(frozen, 0, jnp.ones_like(z)))
        return *point(share), (a, c, b), gain, count + 1

    def unfinished(state):
        return (state[3] > _ENOUGH) & (state[4] < _STEPS)

    zero = jnp.zeros_like(logs)
    alpha, z, information, gain, _ = jax.lax.while_loop(
        unfinished, step, (*start, (zero, zero, zero), zero + jnp.inf, 0)
    )
    return alpha, z, information, gain <= _ENOUGH
