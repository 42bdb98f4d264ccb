"""Laws: one-dimensional distributions of matrix entries, of eigenvalues and of their tails, one family a file."""

from rmt.laws.above import Above
from rmt.laws.base import Law
from rmt.laws.centred import Centred
from rmt.laws.entries import ENTRY_LAWS
from rmt.laws.exp_truncated import ExpTruncatedPowerLaw
from rmt.laws.exponential import Exponential
from rmt.laws.frechet import Frechet
from rmt.laws.frechet_order import FrechetOrder
from rmt.laws.free_levy_wishart import FreeLevyWishart
from rmt.laws.gaussian import Gaussian
from rmt.laws.htmp import HighTemperatureMarchenkoPastur
from rmt.laws.laplace import Laplace
from rmt.laws.levy_wishart import LevyWishart
from rmt.laws.log_normal import LogNormal
from rmt.laws.marchenko_pastur import MarchenkoPastur
from rmt.laws.pareto import Lomax, Pareto
from rmt.laws.power_law import PowerLaw
from rmt.laws.signed import Signed
from rmt.laws.stable import Stable
from rmt.laws.student import StudentT
from rmt.laws.tracy_widom import TracyWidom, johnstone, ma
from rmt.laws.weibull import Weibull

__all__ = [
    "ENTRY_LAWS",
    "Above",
    "Centred",
    "ExpTruncatedPowerLaw",
    "Exponential",
    "Frechet",
    "FrechetOrder",
    "FreeLevyWishart",
    "Gaussian",
    "HighTemperatureMarchenkoPastur",
    "Laplace",
    "Law",
    "LevyWishart",
    "LogNormal",
    "Lomax",
    "MarchenkoPastur",
    "Pareto",
    "PowerLaw",
    "Signed",
    "Stable",
    "StudentT",
    "TracyWidom",
    "Weibull",
    "johnstone",
    "ma",
]
