"""Labelled images to train small networks on: the IDX files of MNIST and its like, and made images, which need no files."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key

from rmt.errors import InputError

SIDE, CLASSES = 28, 10
_WAVES = 6  # cosines along each side of a template
_SHIFT = 3  # pixels
_BYTES = b"\0\0\x08"  # how an IDX file of bytes begins; after it the number of axes


class Images(NamedTuple):
    """Images as rows of pixels, of mean 0 and variance 1 over all pixels to train on, and their classes from 0 on.

    Attributes:
        x: n images to train on.
        y: their classes.
        x_test: images to test on, n // 4 of them unless another number was asked for.
        y_test: their classes.
    """

    x: Float[Array, "n pixels"]
    y: Int[Array, " n"]
    x_test: Float[Array, "n_test pixels"]
    y_test: Int[Array, " n_test"]


def idx_images(folder: str | Path, n: int, n_test: int | None = None) -> Images:
    """The first n images of the files train-*, and the first n_test of t10k-*, compressed by gzip (.gz) or not.

    In a program that is being traced they stand as bytes.

    Raises:
        InputError: a file is missing, damaged or no such IDX file, or holds too few images.
    """
    names = ("images-idx3", "labels-idx1")
    parts = [[_read(Path(folder), part, name, m) for name in names] for part, m in _split(n, n_test)]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    # Behind the barrier XLA does not turn the bytes into a constant of eight times their size.
    pixels = jax.lax.optimization_barrier(jnp.asarray(x.reshape(len(x), -1)))
    return _images(pixels.astype(float) / 255, y.astype(int), n)


def made_images(key: Key[Array, ""], n: int, n_test: int | None = None) -> Images:
    """Ten classes of two smooth templates each, cosines of low frequency, shifted by up to 3 pixels, in noise of variance 1."""
    keys, total = jax.random.split(key, 5), sum(m for _, m in _split(n, n_test))
    waves = jnp.cos(jnp.pi * (jnp.arange(SIDE)[:, None] + 0.5) * jnp.arange(_WAVES)[None, :] / SIDE)
    amplitudes = jax.random.normal(keys[0], (CLASSES, 2, _WAVES, _WAVES)) / 3
    templates = jnp.einsum("xi,ctij,yj->ctxy", waves, amplitudes, waves)
    label = jax.random.randint(keys[1], (total,), 0, CLASSES)
    image = templates[label, jax.random.randint(keys[2], (total,), 0, 2)]
    shift = jax.random.randint(keys[3], (total, 2), -_SHIFT, _SHIFT + 1)
    image = jax.vmap(lambda x, by: jnp.roll(x, by, (0, 1)))(image, shift)
    return _images((image + jax.random.normal(keys[4], image.shape)).reshape(total, -1), label, n)


def read_idx(file: Path) -> np.ndarray:
    """The array of bytes in an IDX file, compressed by gzip or not.

    Raises:
        InputError: the file is missing, damaged, or not an IDX file of bytes.

    Source: Y. LeCun, C. Cortes & C. J. C. Burges, The MNIST database: two zeros, the type (8: bytes), the number of axes, the
        length of each axis as a big-endian int32, and the values.
    """
    try:
        raw = file.read_bytes()
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    axes = data[3] if len(data) > 3 and data.startswith(_BYTES) else 0
    start = 4 + 4 * axes
    shape = struct.unpack(f">{axes}I", data[4:start]) if start <= len(data) else ()
    if not shape or len(data) != start + math.prod(shape):
        raise InputError(f"{file}: not an IDX file of bytes, or cut short")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _split(n: int, n_test: int | None) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("train", n), ("t10k", n // 4 if n_test is None else n_test)


def _read(folder: Path, part: str, name: str, n: int) -> np.ndarray:
    file = folder / f"{part}-{name}-ubyte"
    compressed = file.with_name(f"{file.name}.gz")
    file = compressed if compressed.exists() else file
    found = read_idx(file)
    if found.ndim != int(name[-1]) or len(found) < n:
        raise InputError(f"{file}: {n} {name[:6]} are needed, it holds an array of shape {found.shape}")
    return found[:n]


def _images(x: ArrayLike, y: ArrayLike, n: int) -> Images:
    x, y = jnp.asarray(x), jnp.asarray(y)
    x = ((x - jnp.mean(x[:n])) / jnp.std(x[:n])).astype(jnp.float32)
    return Images(x[:n], y[:n], x[n:], y[n:])
