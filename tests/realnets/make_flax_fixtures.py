"""Writes data/flax* and data/orbax*: a state of training of Flax as msgpack and in Orbax's three layouts.

JAX_PLATFORMS=cpu python make_flax_fixtures.py     # ran with flax 0.12.8, orbax-checkpoint 0.12.8, tensorstore 0.1.86

Parameter number k, in the order of jax.tree.leaves, is sin(k + 0, k + 1, ...), so that the tests can tell them.
"""

import shutil
from pathlib import Path

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import tensorstore as ts
from flax.training import train_state

DATA = Path(__file__).parent.resolve() / "data"


class Model(nn.Module):
    """An embedding, a convolution and a dense layer, of which the last is bfloat16."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(40, 8, name="embed")(tokens)
        x = nn.Conv(3, (2,))(x)
        return nn.Dense(2, param_dtype=jnp.bfloat16)(x)


def _tree(folder: Path) -> None:
    """The same layout with nodes so small that there are inner ones: array k is k, k + 1, ..., in chunks of 2 x 3."""
    shutil.rmtree(folder, ignore_errors=True)
    base = {
        "driver": "ocdbt",
        "base": f"file://{folder}/",
        "config": {"max_decoded_node_bytes": 200, "max_inline_value_bytes": 40},
    }
    for k in range(6):
        metadata = {"shape": [3, 5], "chunks": [2, 3], "dtype": "<f4", "compressor": None}
        spec = {"driver": "zarr", "kvstore": {**base, "path": f"layer_{k}.kernel/"}, "metadata": metadata}
        ts.open(spec, create=True).result()[...] = np.arange(k, k + 15, dtype=np.float32).reshape(3, 5)


def main() -> None:
    params = Model().init(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))["params"]
    leaves, tree = jax.tree.flatten(params)
    waves = [jnp.sin(k + jnp.arange(w.size)).reshape(w.shape).astype(w.dtype) for k, w in enumerate(leaves)]
    params = jax.tree.unflatten(tree, waves)
    state = train_state.TrainState.create(apply_fn=Model().apply, params=params, tx=optax.adam(1e-3))
    (DATA / "flax.msgpack").write_bytes(flax.serialization.to_bytes(state))
    flax.serialization.MAX_CHUNK_SIZE = 500
    (DATA / "flax_chunked.msgpack").write_bytes(flax.serialization.to_bytes(params))
    for name, ocdbt, zarr3 in (("ocdbt", True, False), ("zarr", False, False), ("zarr3", True, True)):
        folder = DATA / f"orbax_{name}"
        shutil.rmtree(folder, ignore_errors=True)
        handler = ocp.PyTreeCheckpointHandler(use_ocdbt=ocdbt, use_zarr3=zarr3)
        with ocp.Checkpointer(handler) as checkpointer:
            checkpointer.save(folder, {"params": params, "opt_state": [{"mu": params}], "step": 3})
        for extra in ("_sharding", "_METADATA", "array_metadatas"):  # long, and only names and shapes again
            place = folder / extra
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(folder.name, size)
    _tree(DATA / "orbax_tree")


main()
