"""Sweeps: a measure over a grid into one labelled dataset; resumable, bit-identical, one cell a time on disk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
