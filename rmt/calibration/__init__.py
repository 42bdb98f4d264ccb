"""Calibration: what a fitted alpha is worth, where noise ends, and what a spectrum says of the entries behind it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
