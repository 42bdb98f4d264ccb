"""Laws: one-dimensional distributions of matrix entries and of eigenvalues, one family a file."""

from rmt.laws.base import Law
from rmt.laws.centred import Centred
from rmt.laws.entries import ENTRY_LAWS
from rmt.laws.frechet import Frechet
from rmt.laws.gaussian import Gaussian
from rmt.laws.marchenko_pastur import MarchenkoPastur
from rmt.laws.pareto import Lomax, Pareto
from rmt.laws.student import StudentT
from rmt.laws.tracy_widom import TracyWidom, johnstone, ma

__all__ = [
    "ENTRY_LAWS",
    "Centred",
    "Frechet",
    "Gaussian",
    "Law",
    "Lomax",
    "MarchenkoPastur",
    "Pareto",
    "StudentT",
    "TracyWidom",
    "johnstone",
    "ma",
]
