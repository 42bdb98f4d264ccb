"""Spectra: eigenvalues of W^T W / N by the cheapest way that is accurate enough, each with a bound on its error."""

from rmt.spectra.base import Bidiagonal, Route, Spectrum
from rmt.spectra.blocks import spectrum_of_rows
from rmt.spectra.compute import METHODS, spectrum
from rmt.spectra.host import spectrum_on_host

__all__ = ["METHODS", "Bidiagonal", "Route", "Spectrum", "spectrum", "spectrum_of_rows", "spectrum_on_host"]
