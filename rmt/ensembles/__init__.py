"""Ensembles: random matrices to draw W from, one kind a file."""

from rmt.ensembles.base import IID, Ensemble
from rmt.ensembles.correlated import Correlated, Correlation, Toeplitz
from rmt.ensembles.given import Resampled, Shuffled
from rmt.ensembles.laguerre import HTMP, Wishart
from rmt.ensembles.spiked import Spiked, SpikedCovariance

__all__ = [
    "HTMP",
    "IID",
    "Correlated",
    "Correlation",
    "Ensemble",
    "Resampled",
    "Shuffled",
    "Spiked",
    "SpikedCovariance",
    "Toeplitz",
    "Wishart",
]
