"""Real trained networks through the tail-fitting engine of rmt: weight file -> layers -> table, beside matched nulls.

    layers = realnets.read_layers("zoo:minilm")
    table = realnets.compare(layers, jax.random.key(0))
    print(table.verdicts)

A model in memory goes the same way, by `realnets.model_layers(model)`. Nothing in a weight file is ever run, no
deep-learning framework is needed, and one tensor is in memory at a time.
"""

import rmt  # noqa: F401 (first: it imports JAX, in two thirds of the time)
from realnets.analysis import Analysis, analyze
from realnets.corpus import Columns, Corpus, examine, read_table
from realnets.cutting import Conv
from realnets.layers import Layer, Layers, Skipped
from realnets.live import model_layers
from realnets.nulls import Comparison, compare
from realnets.readers import Checkpoint, Tensor, open_checkpoint
from realnets.simpson import Simpson, simpson, simpson_each
from realnets.sources import cached_layer, cached_layers, open_source, read_layers
from realnets.swept import NO_NETWORK, NOT_CACHED, eagerly, layer_axis, per_draw, per_layer

__all__ = [
    "NOT_CACHED",
    "NO_NETWORK",
    "Analysis",
    "Checkpoint",
    "Columns",
    "Comparison",
    "Conv",
    "Corpus",
    "Layer",
    "Layers",
    "Simpson",
    "Skipped",
    "Tensor",
    "analyze",
    "cached_layer",
    "cached_layers",
    "compare",
    "eagerly",
    "examine",
    "layer_axis",
    "model_layers",
    "open_checkpoint",
    "open_source",
    "per_draw",
    "per_layer",
    "read_layers",
    "read_table",
    "simpson",
    "simpson_each",
]
