"""Two families of small convolutional networks for images of 28 x 28: VGG-like, and network-in-network.

Weights lie as PyTorch's do, (outputs, inputs) and (outputs, inputs, k, k), so that `realnets` cuts them as those of any file.
"""

import math
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key

from realnets.images import CLASSES, SIDE

_HIDDEN = 128  # units between a VGG's convolutions and its classes
_BLOCK = 3  # weight layers of a block of a network-in-network


class Affine(eqx.Module):
    """W x + b, of a dense layer or of the patches of a convolution.

    Attributes:
        weight: (outputs, inputs), or (outputs, inputs, k, k).
        bias: (outputs,).
    """

    weight: Float[Array, "outputs inputs *kernel"]
    bias: Float[Array, " outputs"]


class VGG(eqx.Module):
    """Convolutions of 3 x 3, two poolings, two dense layers: depth - 2 of the former in all.

    The first has stride 2 and is pooled at once, 28 to 7 pixels a side, since what comes at full size costs the most. The second
    pooling, to 3, stands halfway through the others. Dropout is before either dense layer.

    Attributes:
        convolutions: 1 to width channels, then width to width.
        dense: 9 width inputs to 128 units to the classes.

    Source: K. Simonyan & A. Zisserman, arXiv:1409.1556, for the kind; without normalisation, as there.
    """

    convolutions: tuple[Affine, ...]
    dense: tuple[Affine, Affine]

    def __call__(
        self, x: Float[Array, "n pixels"], dropout: ArrayLike = 0.0, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n classes"]:
        """Logits; with a key, after dropout at this rate, which may be traced."""
        keys = _keys(key, 2)
        stem, *others = self.convolutions
        x = _pooled(jax.nn.relu(_convolved(stem, _as_images(x), stride=2)))
        for i, layer in enumerate(others, 1):
            x = jax.nn.relu(_convolved(layer, x))
            x = _pooled(x) if 2 * i in (len(others), len(others) + 1) else x
        x = _dropped(x.reshape(len(x), -1), dropout, next(keys))
        hidden = _dropped(jax.nn.relu(_affine(self.dense[0], x)), dropout, next(keys))
        return _affine(self.dense[1], hidden)


class NIN(eqx.Module):
    """Network-in-network: blocks of a k x k and two 1 x 1 convolutions, a 1 x 1 convolution to the classes, the mean of its pixels.

    The first block has k = 5 and stride 2, the others k = 3. The first is pooled, 14 to 7 pixels a side, and the second, to 3,
    where there are more than two. Dropout follows every block but the last.

    Attributes:
        blocks: (depth - 1) / 3 of them, 1 to width channels, then width to width.
        classes: width to the classes.

    Source: M. Lin, Q. Chen & S. Yan, arXiv:1312.4400.
    """

    blocks: tuple[tuple[Affine, ...], ...]
    classes: Affine

    def __call__(
        self, x: Float[Array, "n pixels"], dropout: ArrayLike = 0.0, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n classes"]:
        """Logits; with a key, after dropout at this rate, which may be traced."""
        keys, x = _keys(key, len(self.blocks)), _as_images(x)
        for i, block in enumerate(self.blocks):
            for j, layer in enumerate(block):
                x = jax.nn.relu(_convolved(layer, x, stride=2 if i == j == 0 else 1))
            if i + 1 < len(self.blocks):
                x = _dropped(_pooled(x) if i < 2 else x, dropout, next(keys))
        return jnp.mean(_convolved(self.classes, x), axis=(1, 2))


Network = VGG | NIN
FAMILIES = ("VGG", "NIN")


def initial(key: Key[Array, ""], family: str, depth: int, width: int) -> Network:
    """A network before its training, in float32: weights normal of variance 2 / inputs, biases zero.

    Args:
        key: of all its draws.
        family: "VGG" or "NIN".
        depth: weight layers: 4 or more of a VGG, 7, 10, 13, ... of a NIN.
        width: channels of every convolution but the last.

    Raises:
        ValueError: there is no such network.

    Source: K. He et al., arXiv:1502.01852, eq 10, for the variance.
    """
    keys = iter(jax.random.split(key, max(depth, 1)))
    if width < 1:
        raise ValueError(f"a network needs a width of at least 1, got {width}")
    if family == "VGG" and depth >= 4:
        convolutions = tuple(_drawn(next(keys), width, width if i else 1, 3, 3) for i in range(depth - 2))
        smallest = (SIDE // 8) ** 2
        dense = _drawn(next(keys), _HIDDEN, smallest * width), _drawn(next(keys), CLASSES, _HIDDEN)
        return VGG(convolutions, dense)
    if family == "NIN" and depth > _BLOCK and depth % _BLOCK == 1:
        kernels = [(5, 1, 1), *[(3, 1, 1)] * (depth // _BLOCK - 1)]
        inputs = iter([1, *[width] * depth])
        blocks = tuple(tuple(_drawn(next(keys), width, next(inputs), k, k) for k in block) for block in kernels)
        return NIN(blocks, _drawn(next(keys), CLASSES, width, 1, 1))
    raise ValueError(f"families are VGG of depth 4 or more and NIN of depth 4, 7, 10, ...; got {family!r} of {depth}")


def _drawn(key: Key[Array, ""], *shape: int) -> Affine:
    scale = math.sqrt(2 / math.prod(shape[1:]))
    return Affine(scale * jax.random.normal(key, shape, jnp.float32), jnp.zeros(shape[0], jnp.float32))


def _as_images(x: Array) -> Array:
    return x.reshape(-1, SIDE, SIDE, 1)


def _affine(layer: Affine, x: Array) -> Array:
    return x @ layer.weight.T + layer.bias[None, :]


def _convolved(layer: Affine, x: Float[Array, "n h w inputs"], stride: int = 1) -> Float[Array, "n h w outputs"]:
    """A convolution with zeros around the image, as one product of its patches: XLA's own takes 25 times as long on a CPU."""
    outputs, inputs, k, _ = layer.weight.shape
    _, h, w, _ = x.shape
    around = jnp.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    patches = [around[:, i : i + h : stride, j : j + w : stride] for i in range(k) for j in range(k)]
    x = jnp.concatenate(patches, axis=-1) if k > 1 else patches[0]
    weight = layer.weight.transpose(2, 3, 1, 0).reshape(k * k * inputs, outputs)
    return (x.reshape(-1, k * k * inputs) @ weight + layer.bias[None, :]).reshape(*x.shape[:3], outputs)


def _pooled(x: Float[Array, "n h w c"]) -> Array:
    """The largest of every 2 x 2 pixels; an odd row or column at the end is left out."""
    n, h, w, c = x.shape
    even = x[:, : h // 2 * 2, : w // 2 * 2]
    return jnp.max(even.reshape(n, h // 2, 2, w // 2, 2, c), axis=(2, 4))


def _keys(key: Key[Array, ""] | None, n: int) -> Iterator[Key[Array, ""] | None]:
    return iter([None] * n if key is None else list(jax.random.split(key, n)))


def _dropped(x: Array, rate: ArrayLike, key: Key[Array, ""] | None) -> Array:
    if key is None:
        return x
    kept = 1 - jnp.asarray(rate, x.dtype)
    return jnp.where(jax.random.bernoulli(key, kept, x.shape), x / kept, jnp.zeros_like(x))
