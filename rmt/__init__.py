"""A simulation lab for heavy-tailed random matrices: key -> W -> Spectrum -> TailFit -> Dataset -> Verdict -> figure.

    W = rmt.IID(rmt.Pareto(mu=1.5)).sample(jax.random.key(0), (2000, 1000))
    fit = rmt.fit_tail(rmt.spectrum(W))

Importing this turns on JAX's 64-bit mode for the whole process: heavy-tailed draws span 20 decades and more, which float32
can neither hold apart nor sample far enough into the tail. Ask for float32 by dtype where it will do.
"""

import gc
import importlib
from typing import TYPE_CHECKING

# Imports make some hundred thousand objects that stay, and no garbage: looking for it would take a third of their time, and
# a twentieth of a second whenever it is looked for again.
_collects_garbage = gc.isenabled()
gc.disable()

import jax

jax.config.update("jax_enable_x64", True)

# ruff: noqa: E402 (x64 comes first, so that nothing below can be traced in 32 bits)
from rmt import extremes as extremes
from rmt import laws as laws
from rmt import metrics as metrics
from rmt import phases as phases
from rmt import spikes as spikes
from rmt.ensembles import (
    HTMP,
    IID,
    Correlated,
    Correlation,
    Ensemble,
    Resampled,
    Shuffled,
    Spiked,
    SpikedCovariance,
    Toeplitz,
    Wishart,
)
from rmt.errors import InputError
from rmt.laws import (
    Centred,
    Frechet,
    Gaussian,
    Laplace,
    Law,
    Lomax,
    MarchenkoPastur,
    Pareto,
    Signed,
    Stable,
    StudentT,
    TracyWidom,
    johnstone,
)
from rmt.spectra import Bidiagonal, Route, Spectrum, spectrum
from rmt.tails import (
    Bootstrap,
    Clauset,
    Comparison,
    Diagnosis,
    Exponential,
    ExpTruncated,
    Hill,
    LogNormal,
    Scan,
    Status,
    StretchedExponential,
    TailFit,
    TruncatedPareto,
    WeightWatcher,
    bootstrap,
    compare,
    diagnose,
    fit_tail,
    scan,
)

gc.freeze()
if _collects_garbage:
    gc.enable()

if TYPE_CHECKING:
    from rmt.claims import Claim, Size, Verdict
    from rmt.replicates import MatrixBootstrap, bootstrap_matrix
    from rmt.sweeps import Dask, Processes, Threads, sweep

# These pull in xarray, zarr or scipy.stats, which nobody should wait for who only fits a tail.
_LAZY = {
    "sweep": "rmt.sweeps",
    "Threads": "rmt.sweeps",
    "Processes": "rmt.sweeps",
    "Dask": "rmt.sweeps",
    "bootstrap_matrix": "rmt.replicates",
    "MatrixBootstrap": "rmt.replicates",
    "Claim": "rmt.claims",
    "Size": "rmt.claims",
    "Verdict": "rmt.claims",
}

__all__ = [
    "HTMP",
    "IID",
    "Bidiagonal",
    "Bootstrap",
    "Centred",
    "Claim",
    "Clauset",
    "Comparison",
    "Correlated",
    "Correlation",
    "Dask",
    "Diagnosis",
    "Ensemble",
    "ExpTruncated",
    "Exponential",
    "Frechet",
    "Gaussian",
    "Hill",
    "InputError",
    "Laplace",
    "Law",
    "LogNormal",
    "Lomax",
    "MarchenkoPastur",
    "MatrixBootstrap",
    "Pareto",
    "Processes",
    "Resampled",
    "Route",
    "Scan",
    "Shuffled",
    "Signed",
    "Size",
    "Spectrum",
    "Spiked",
    "SpikedCovariance",
    "Stable",
    "Status",
    "StretchedExponential",
    "StudentT",
    "TailFit",
    "Threads",
    "Toeplitz",
    "TracyWidom",
    "TruncatedPareto",
    "Verdict",
    "WeightWatcher",
    "Wishart",
    "bootstrap",
    "bootstrap_matrix",
    "compare",
    "diagnose",
    "extremes",
    "fit_tail",
    "johnstone",
    "laws",
    "metrics",
    "phases",
    "scan",
    "spectrum",
    "spikes",
    "sweep",
]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rmt' has no attribute {name!r}")
