"""A spectrum thinned for the eye: its eigenvalues at some ranks, and where random matrices have theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

MOST = 60
"""Ranks that are kept: on a logarithmic axis more are not told apart."""

BAND = 0.9
"""Share of a null's replicates within its band."""


@dataclass(frozen=True)
class Ranks:
    """Eigenvalues at some ranks, the largest first, and bands of those of nulls.

    Attributes:
        M: how many eigenvalues there are.
        rank: 1 is that of the largest; rising by equal ratios to M, so that the top is complete. None of a spectrum that is not
            finite.
        eigenvalues: at these ranks.
        bands: null -> the middle 90 % of its replicates' eigenvalues at each of these ranks, lowest and highest; all of them
            where they are fewer than 20.
    """

    M: int
    rank: Int[np.ndarray, " k"]
    eigenvalues: Float[np.ndarray, " k"]
    bands: Mapping[str, Float[np.ndarray, "2 k"]] = field(default_factory=dict)

    @property
    def share(self) -> Float[np.ndarray, " k"]:
        """Share of the eigenvalues that are at least as large: their complementary distribution function."""
        return self.rank / self.M

    def plain(self) -> dict[str, Any]:
        """In lists and six digits, for JSON."""
        bands = {null: [_six_digits(end) for end in band] for null, band in self.bands.items()}
        return {"M": self.M, "rank": self.rank.tolist(), "eigenvalues": _six_digits(self.eigenvalues)} | bands


def ranks_of(
    eigenvalues: Float[np.ndarray, " M"], nulls: Mapping[str, Float[np.ndarray, "n M"]] | None = None
) -> Ranks:
    """The ranks of a spectrum, and the bands of its nulls.

    Args:
        eigenvalues: all of them, rising.
        nulls: those of the replicates of each null, as of `null_spectra`.
    """
    M = len(eigenvalues)
    if not np.all(np.isfinite(eigenvalues)):
        return Ranks(M, np.zeros(0, int), np.zeros(0))
    rank = np.unique(np.geomspace(1, M, MOST).round().astype(int))
    return Ranks(M, rank, eigenvalues[M - rank], {null: _band(x[:, M - rank]) for null, x in (nulls or {}).items()})


def _band(x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "2 k"]:
    """The quantiles of level k/(n + 1) are the order statistics; beyond the outer ones these stand for all."""
    return np.quantile(x, [(1 - BAND) / 2, (1 + BAND) / 2], axis=0, method="weibull")


def _six_digits(x: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in x]
