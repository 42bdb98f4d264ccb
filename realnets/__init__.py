"""Real trained networks through the tail-fitting engine of rmt: weight file -> layers -> table, beside matched nulls.

    layers = realnets.read_layers("zoo:minilm")
    table = realnets.compare(layers, jax.random.key(0))
    print(table.verdicts)

A model in memory goes the same way, by `realnets.model_layers(model)`. Nothing in a weight file is ever run, no
deep-learning framework is needed, and one tensor is in memory at a time.
"""

import lazy_loader

import rmt  # noqa: F401 (first: it imports JAX, in two thirds of the time, and in 64 bits)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
