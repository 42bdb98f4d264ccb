"""The tail-fitting engine: `fit_tail(data, method)`, one method a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
