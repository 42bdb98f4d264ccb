"""What every fit is made of: its result, its status codes, and what a method of fitting provides."""

from abc import abstractmethod
from enum import IntEnum

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int

MIN_POINTS = 10
"""Fewer points than this are not fitted: with nine, the search over xmin ends on two or three of them."""


class Status(IntEnum):
    """Why a fit is or is not there; every code but OK comes with NaN results."""

    OK = 0
    TOO_FEW = 1
    NON_FINITE = 2
    NON_POSITIVE = 3
    CONSTANT = 4

    @property
    def remedy(self) -> str:
        """Cause and cure in one line."""
        return _REMEDIES[self]


_REMEDIES = {
    Status.OK: "fitted",
    Status.TOO_FEW: f"fewer than {MIN_POINTS} positive values: no tail can be fitted; use a larger matrix or sample",
    Status.NON_FINITE: "NaN or infinite values in the data: remove or repair them first",
    Status.NON_POSITIVE: "zeros or negative values in the data: a power law has positive support; select the positive ones",
    Status.CONSTANT: "all values are equal: there is no tail",
}


class TailFit(eqx.Module):
    """A fitted power-law tail rho(x) ~ x^-alpha on [xmin, inf); fields gain a batch axis under `vmap`.

    Attributes:
        alpha: exponent of the density.
        stderr: (alpha - 1) / sqrt(n_tail), the standard error given xmin.
        xmin: start of the tail, one of the data values, in their units.
        xmax: largest data value.
        ks: Kolmogorov-Smirnov distance D between the tail and the fit, at xmin.
        n_tail: number of values >= xmin.
        status: a `Status` code; unless OK the other fields are NaN and n_tail is 0.
    """

    alpha: Float[Array, "*batch"]
    stderr: Float[Array, "*batch"]
    xmin: Float[Array, "*batch"]
    xmax: Float[Array, "*batch"]
    ks: Float[Array, "*batch"]
    n_tail: Int[Array, "*batch"]
    status: Int[Array, "*batch"]

    def interval(self, level: float = 0.95) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
        """alpha -+ z stderr, the normal interval *given xmin*.

        Accuracy: it ignores that xmin was chosen from the data, so it covers less than `level`: on exact Pareto data with
            alpha = 2.5, nominal 95 % covers about 90, 89 and 84 % at n = 50, 200 and 1000 (`tests/test_tails.py` replays
            the middle one). On a spectrum, whose eigenvalues repel, it is a rough scale and no more.
        """
        if not 0 < level < 1:
            raise ValueError(f"interval(level) needs 0 < level < 1, got {level}")
        z = jax.scipy.stats.norm.ppf(0.5 + level / 2)
        return self.alpha - z * self.stderr, self.alpha + z * self.stderr


class Method(eqx.Module):
    """A way to choose xmin and estimate alpha on sorted data."""

    @abstractmethod
    def estimate(
        self, x: Float[Array, " n"], usable: Bool[Array, " n"]
    ) -> tuple[Int[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """From ascending `x`: the index of xmin, alpha and the KS distance; xmin must be one of the `usable` values."""
