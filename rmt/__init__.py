"""A simulation lab for heavy-tailed random matrices: key -> W -> Spectrum -> TailFit -> Dataset -> Verdict -> figure.

    W = rmt.IID(rmt.Pareto(mu=1.5)).sample(jax.random.key(0), (2000, 1000))
    fit = rmt.fit_tail(rmt.spectrum(W))

Importing this turns on JAX's 64-bit mode for the whole process: heavy-tailed draws span 20 decades and more, which float32
can neither hold apart nor sample far enough into the tail. Ask for float32 by dtype where it will do.

The names are in `__init__.pyi`; each is imported when it is first asked for, so that nobody waits for what he does not use.
"""

import gc

import lazy_loader

# Importing JAX makes some hundred thousand objects that stay, and no garbage: looking for it would take a third of the time, and
# a twentieth of a second whenever it is looked for again.
_collects_garbage = gc.isenabled()
gc.disable()

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)  # first, so that nothing here can be traced in 32 bits

import equinox  # noqa: E402, F401 (whose modules all values here are)

gc.freeze()
if _collects_garbage:
    gc.enable()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
