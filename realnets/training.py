"""Training of small networks on images: one loop of SGD, deterministic from its key, and the share of images they get right."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, Int, Key

from realnets.families import Network

MOMENTUM = 0.9
_AT_ONCE = 512  # images, where no gradient is asked for

N = TypeVar("N", bound=Network)


def cross_entropy(
    network: Callable[..., Array], x: Float[Array, "n pixels"], y: Int[Array, " n"], *dropout: ArrayLike
) -> Float[Array, ""]:
    """Mean over the images of -log p(y), p the softmax of the logits; `dropout` is the network's own further arguments."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(network(x, *dropout), y))


def train(
    key: Key[Array, ""],
    network: N,
    x: Float[Array, "n pixels"],
    y: Int[Array, " n"],
    *,
    batch_size: int,
    epochs: ArrayLike,
    rate: ArrayLike,
    dropout: ArrayLike = 0.0,
    weight_decay: ArrayLike = 0.0,
    most_epochs: int,
) -> tuple[N, Float[Array, " most_epochs"]]:
    """SGD with momentum 0.9 on the cross-entropy; every epoch is a new order of all images, whole batches of it.

    All but `batch_size` and `most_epochs` may be traced, so one compiled program serves every value of them.

    Args:
        key: of the orders and of the dropout.
        network: where it starts.
        x: images to train on, as rows of pixels.
        y: their classes.
        batch_size: images of a step, at most n.
        epochs: passes over the images, at most `most_epochs`.
        rate: the learning rate.
        dropout: the rate at which units are dropped.
        weight_decay: half of it times ||W||_F^2 is added to the loss, of weights and not of biases.
        most_epochs: how many losses are returned.

    Returns:
        The trained network, and the mean loss of each epoch, dropout and weights as they were in its steps; 0 after the last.
    """
    steps = len(y) // batch_size
    regularised = jax.tree.map(lambda p: p.ndim > 1, network)
    dtype = jnp.result_type(*jax.tree.leaves(network))
    decay, rate, epochs = (jnp.asarray(a, dtype) for a in (weight_decay, rate, epochs))
    sgd: Any = optax.chain(optax.add_decayed_weights(decay, regularised), optax.sgd(rate, momentum=MOMENTUM))

    def step(drop_key, state, of_step):
        network, moments = state
        j, batch = of_step
        dropped = dropout, jax.random.fold_in(drop_key, j)
        loss, gradient = jax.value_and_grad(cross_entropy)(network, x[batch], y[batch], *dropped)
        updates, moments = sgd.update(gradient, moments, network)
        return (eqx.apply_updates(network, updates), moments), loss

    def epoch(i, state):
        *state, losses = state
        order_key, drop_key = jax.random.split(jax.random.fold_in(key, i))
        batches = jax.random.permutation(order_key, len(y))[: steps * batch_size].reshape(steps, batch_size)
        state, loss = jax.lax.scan(partial(step, drop_key), tuple(state), (jnp.arange(steps), batches))
        return *state, losses.at[i].set(jnp.mean(loss))

    start = network, sgd.init(network), jnp.zeros(most_epochs, dtype)
    network, _, losses = jax.lax.fori_loop(0, epochs.astype(int), epoch, start)
    return network, losses


def accuracy(network: Callable[..., Array], x: Float[Array, "n pixels"], y: Int[Array, " n"]) -> Float[Array, ""]:
    """The share of the images whose largest logit is that of their class; a network of NaN gets none right."""

    def right(image):
        logits = network(image[0][None, :])[0]
        return (jnp.argmax(logits) == image[1]) & jnp.all(jnp.isfinite(logits))

    return jnp.mean(jax.lax.map(right, (x, y), batch_size=min(_AT_ONCE, len(y))))
