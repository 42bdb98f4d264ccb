"""How a batch of unlike work runs: row by row where one row waits for another, in lockstep where there are cores to spare."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp


def row_by_row(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of arrays and modules with a `vmap` that runs its rows one after another on a CPU.

    In lockstep every search would last as long as the longest and both branches of every choice would run, and sums come
    out in another order: so a batch is faster, and its rows are bit for bit what they are alone. Accelerators run it in
    lockstep. Arrays must come as arguments: what the function closes over cannot be batched.
    """

    def wrapped(*args):
        arrays, others = eqx.partition(args, eqx.is_array)
        one = jax.custom_batching.custom_vmap(lambda arrays: function(*eqx.combine(arrays, others)))

        @one.def_vmap
        def _(size, is_batched, arrays):
            full = jax.tree.map(lambda a, b: a if b else jnp.broadcast_to(a, (size, *a.shape)), arrays, is_batched[0])
            out = jax.lax.platform_dependent(full, cpu=lambda rows: jax.lax.map(one, rows), default=jax.vmap(one.fun))
            return out, jax.tree.map(lambda _: True, out)

        return one(arrays)

    return wrapped
