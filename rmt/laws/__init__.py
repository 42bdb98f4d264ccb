"""Laws: one-dimensional distributions of matrix entries, of eigenvalues and of their tails, one family a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
