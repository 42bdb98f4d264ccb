"""Metrics with data: what training accuracy a network keeps when its weights are clipped (scale) or smoothed (shape).

They take any callable pytree of JAX arrays that maps rows to logits. Each is a predictor of test accuracy that needs no test
images; the baseline is the training accuracy itself, `realnets.training.accuracy`.

Source: C. H. Martin & M. W. Mahoney, arXiv:2106.00734.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from realnets.analysis import columns_of
from realnets.layers import MIN_M
from realnets.live import Model, matrices_of, with_matrices
from realnets.training import accuracy, cross_entropy

_AT_ONCE = 256  # images whose activations are held for a gradient


def svd_smoothed(model: Model, percent: ArrayLike, min_M: int = MIN_M) -> Model:
    """The model with the top percentage of the singular vectors of each matrix: U_k S_k V_k^T, k = ceil(percent M / 100).

    Of the matrices that the spectra are of, `realnets.live.matrices_of`: slices of convolutions one by one, and none with fewer than
    `min_M` columns, such as those to ten classes. It is W less the part left out, in double precision: 100 % is the model to the bit.

    Args:
        model: a pytree of JAX arrays.
        percent: more than 0; may be traced.
        min_M: as of `Layers`.
    """
    counts = {name: top_percent(W.shape[1], percent) for name, W in matrices_of(model, min_M).items()}
    return svd_kept(model, counts, min_M)


def svd_smoothed_to_tail(model: Model, min_M: int = MIN_M) -> Model:
    """The model with the singular vectors of each matrix's fitted tail alone: those with s^2 / N >= xmin.

    A matrix that cannot be fitted stays as it is. Otherwise as `svd_smoothed`.
    """
    matrices = matrices_of(model, min_M)
    n_tail = dict(zip(matrices, columns_of(matrices)["n_tail"], strict=True))
    return svd_kept(model, {name: in_tail(W.shape[1], n_tail[name]) for name, W in matrices.items()}, min_M)


def top_percent(M: int, percent: ArrayLike) -> Float[Array, "*n"]:
    """ceil(percent M / 100), how many of M singular vectors are the top percentage."""
    return jnp.ceil(jnp.asarray(percent, float) * M / 100)


def in_tail(M: int, n_tail: ArrayLike) -> Float[Array, "*n"]:
    """n_tail as a count of singular vectors to keep; all M of a matrix that could not be fitted, whose n_tail is 0."""
    return jnp.where(jnp.asarray(n_tail) > 0, jnp.asarray(n_tail, float), float(M))


def svd_kept(model: Model, counts: Mapping[str, Float[Array, "*n"]], min_M: int = MIN_M) -> Model:
    """The model with the first counts[name] singular vectors of each matrix, or n such models along a new first axis of its arrays.

    One decomposition of each matrix serves all n. Biases and what is no matrix are repeated n times.

    Args:
        model: a pytree of JAX arrays.
        counts: of each matrix by name, a number or n of them.
        min_M: as of `Layers`.
    """
    matrices = matrices_of(model, min_M)

    def smooth(of: tuple[Array, Array]) -> Array:
        W, kept = of[0].astype(float), of[1]
        U, s, Vt = jnp.linalg.svd(W, full_matrices=False)
        left_out = jnp.where(jnp.arange(len(s))[None, :] < kept.reshape(-1, 1), 0, s[None, :])
        return (W[None] - (U[None] * left_out[:, None, :]) @ Vt).reshape(*kept.shape, *W.shape)

    made: dict[str, Array] = {}
    for shape in {W.shape: None for W in matrices.values()}:  # one program for each
        names = [name for name, W in matrices.items() if W.shape == shape]
        stacks = jnp.stack([matrices[name] for name in names]), jnp.stack([counts[name] for name in names])
        made |= zip(names, jax.lax.map(smooth, stacks), strict=True)
    n = {counts[name].shape for name in matrices}
    if n <= {()}:
        return with_matrices(model, made, min_M)
    return jax.vmap(lambda one: with_matrices(model, one, min_M))(made)


def sharpened(
    model: Model,
    x: Float[Array, "n pixels"],
    y: Int[Array, " n"],
    *,
    rate: ArrayLike,
    clip: ArrayLike = 2.0,
    times: int = 3,
) -> Model:
    """The model after several rounds of clipping and one step down the gradient of the cross-entropy over all images.

    In a round each element of a weight W (not of a bias) is moved to within `clip` standard deviations of the mean of all of W's, and
    then W to W - rate dL/dW, biases too. The papers give neither what counts as extreme nor the rate; these are ours.

    Args:
        model: a callable pytree of JAX arrays.
        x: images to train on, as rows.
        y: their classes.
        rate: of the steps.
        clip: in standard deviations.
        times: rounds; 3 to 10 in the papers.
    """

    def clipped(W: Array) -> Array:
        if W.ndim < 2:
            return W
        middle, off = jnp.mean(W), jnp.asarray(clip, W.dtype) * jnp.std(W)
        return jnp.clip(W, middle - off, middle + off)

    def loss(model: Any) -> Array:
        # Of one image at a time and computed again for the gradient: memory is that of a few images.
        one = jax.checkpoint(lambda image: cross_entropy(model, image[0][None, :], image[1][None]))
        return jnp.mean(jax.lax.map(one, (x, y), batch_size=min(_AT_ONCE, len(y))))

    def round_(_: int, model: Model) -> Model:
        model = jax.tree.map(clipped, model)
        return jax.tree.map(lambda W, g: W - jnp.asarray(rate, W.dtype) * g, model, jax.grad(loss)(model))

    return jax.lax.fori_loop(0, times, round_, model)


def sharpness(model: Callable[..., Array], x: Array, y: Array, **options: ArrayLike) -> Float[Array, ""]:
    """Sharpness, a scale metric: the training accuracy of the `sharpened` model, which takes the options."""
    return accuracy(sharpened(model, x, y, **options), x, y)  # pyright: ignore[reportArgumentType]


def svd_smoothing(model: Callable[..., Array], x: Array, y: Array, percent: ArrayLike, min_M: int = MIN_M) -> Array:
    """SVDSmoothing, a shape metric without gradients: the training accuracy of the `svd_smoothed` model."""
    return accuracy(svd_smoothed(model, percent, min_M), x, y)


def distance_from_init(model: Model, start: Model, min_M: int = MIN_M) -> Float[Array, ""]:
    """DistanceFromInit, a scale metric: the mean of ||W - W_init||_F over the matrices; that of `realnets diff INIT FINAL`."""
    first, last = matrices_of(start, min_M), matrices_of(model, min_M)
    return jnp.mean(jnp.stack([jnp.linalg.norm(last[name] - W) for name, W in first.items()]))
