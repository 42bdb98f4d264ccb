"""Networks that a sweep trained: flat rows of numbers in its store, and out of it files and a table for `realnets corpus`."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from realnets.analysis import ALPHA_CUT, columns_of, rows_as_csv
from realnets.families import Network, initial
from realnets.images import Images
from realnets.live import arrays_of, matrices_of
from realnets.training import accuracy
from realnets.transforms import distance_from_init, in_tail, sharpened, svd_kept, top_percent
from rmt.console import write_text, written_whole
from rmt.ensembles import Shuffled
from rmt.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

SETTINGS = ("family", "depth", "width", "batch_size", "dropout", "weight_decay", "rate", "epochs")
"""Axes of the sweep that the table has as columns."""

MEASURED = ("train_accuracy", "test_accuracy", "Sharpness", "SVDSmoothing10", "SVDSmoothing20", "SVDSmoothingTail")
"""Numbers with data, which a weight file does not hold: outputs of the sweep, and columns of the table."""

PERCENT = (10.0, 20.0)
"""Of the singular vectors, kept by SVDSmoothing."""

COLUMNS = ("alpha", "log_norm", "log_spectral_norm")
"""Of `Analysis.rows`, what the sweep keeps of every matrix."""

LOSS, WEIGHTS = "loss", "weights"
"""Outputs of the sweep: the loss of each epoch; final and initial weights, by `flat`."""


def size_of(family: str, depth: int, width: int) -> int:
    """How many numbers a network has, biases too."""
    return sum(leaf.size for leaf in jax.tree.leaves(_shapes(family, depth, width)))


def flat(network: Network, size: int) -> Float[Array, " size"]:
    """All numbers of a network in one row, NaN after the last: networks of any shape fit into one array of a store.

    Raises:
        ValueError: they are more than `size`.
    """
    row = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(network)])
    if row.size > size:
        raise ValueError(f"a row of {size} numbers has no room for a network of {row.size}")
    return jnp.pad(row, (0, size - row.size), constant_values=jnp.nan)


def unflat(row: ArrayLike, family: str, depth: int, width: int) -> Network:
    """The network that `flat` made a row of.

    Raises:
        ValueError: the row is too short for it.
    """
    leaves, shape_of_all = jax.tree.flatten(_shapes(family, depth, width))
    ends = np.cumsum([leaf.size for leaf in leaves])
    values = np.asarray(row)
    if values.ndim != 1 or len(values) < ends[-1]:
        raise ValueError(f"a {family} of depth {depth} and width {width} has {ends[-1]} numbers, got {values.shape}")
    parts = np.split(values, ends)[:-1]
    return jax.tree.unflatten(
        shape_of_all, [jnp.asarray(part.reshape(leaf.shape)) for part, leaf in zip(parts, leaves, strict=True)]
    )


def outputs_of(
    key: Key[Array, ""],
    network: Network,
    start: Network,
    losses: Array,
    images: Images,
    rate: float,
    rows: int,
    size: int,
) -> dict[str, Array]:
    """What a sweep keeps of a network that it trained, by the names of its outputs.

    `COLUMNS` of its matrices, of their initial values and of their shuffled entries, shape (3, rows) each, by the engine that files
    go through; `MEASURED`, of all images; DistanceFromInit, `LOSS` and `WEIGHTS`.

    Args:
        key: of the shuffles.
        network: as trained.
        start: as it was before.
        losses: of each epoch.
        images: what it was trained and is tested on.
        rate: of the steps of `sharpness`.
        rows: matrices of the largest network of the sweep; 0 after those of a smaller one.
        size: `size_of` that network.
    """
    x, y = images.x, images.y
    final, first = matrices_of(network), matrices_of(start)
    keys = jax.random.split(key, len(final))
    shuffled = {
        n: Shuffled(W).sample(k, (len(W), W.shape[1]), W.dtype) for (n, W), k in zip(final.items(), keys, strict=True)
    }
    columns = columns_of({(i, n): W for i, of in enumerate((final, first, shuffled)) for n, W in of.items()})
    # One program decomposes and one counts, for all transforms: compiling them takes as long as the training of a small network.
    counts = {
        n: jnp.stack([*top_percent(W.shape[1], jnp.array(PERCENT)), in_tail(W.shape[1], n_tail)])
        for (n, W), n_tail in zip(final.items(), columns["n_tail"], strict=False)
    }
    transformed = [network, sharpened(network, x, y, rate=rate)]
    all_of_them = jax.tree.map(
        lambda smooth, *others: jnp.concatenate([jnp.stack(others), smooth]), svd_kept(network, counts), *transformed
    )
    trained, *others = jax.lax.map(lambda one: accuracy(one, x, y), all_of_them)
    after = ((0, 0), (0, rows - len(final)))
    return {
        **{n: jnp.pad(columns[n].reshape(3, -1), after) for n in COLUMNS},
        "train_accuracy": trained,
        "test_accuracy": accuracy(network, images.x_test, images.y_test),
        **dict(zip(MEASURED[2:], others, strict=True)),
        "DistanceFromInit": distance_from_init(network, start),
        LOSS: losses,
        WEIGHTS: jnp.stack([flat(network, size), flat(start, size)]),
    }


FINAL, INITIAL, SHUFFLED = range(3)
"""Which weights a row of `COLUMNS` is of."""


class Models:
    """The networks of one family in a dataset of `outputs_of`.

    Attributes:
        rows: the dataset over the dimension `model`.
        quality: their test accuracies, in percent.
        depth: their depths.
    """

    def __init__(self, ds: "xr.Dataset", family: str):
        axes = [name for name in ds.train_accuracy.dims if name != "family"]
        rows = ds.sel(family=family).stack(model=axes, create_index=False)
        self.rows = rows.dropna("model", subset=["train_accuracy"])
        self.quality, self.depth = 100 * self.rows.test_accuracy.values, self.rows.depth.values

    def mean(self, name: str, of: int = FINAL) -> Float[np.ndarray, " model"]:
        """Alpha, LogSpectralNorm or AlphaHat = alpha log10 ||W||_2^2, mean over the layers with alpha < `ALPHA_CUT`; NaN without any.

        AlphaHat is the papers', of W^T W without 1/N.

        Args:
            name: of the metric.
            of: `FINAL`, `INITIAL` or `SHUFFLED`.
        """
        alpha, norm = (self.rows[n].transpose("model", ...).values[:, of] for n in ("alpha", "log_spectral_norm"))
        values = {"Alpha": alpha, "LogSpectralNorm": norm, "AlphaHat": alpha * norm}[name]
        few = (alpha > 0) & (alpha < ALPHA_CUT)
        n = few.sum(axis=1)
        return np.where(n > 0, np.where(few, values, 0).sum(axis=1) / np.maximum(n, 1), np.nan)


def write_corpus(store: Path, folder: Path) -> Path:
    """Write the networks of a finished sweep as files, with a table that names them.

    FOLDER/models has NAME.safetensors and NAME.initial.safetensors of every network; FOLDER/corpus.csv the columns model, file,
    initial, group (family and depth), those of `SETTINGS`, seed, and `MEASURED`; FOLDER/loss.csv the mean loss of each epoch.
    Paths in the table are relative to it. A file that is there already is written anew.

    Args:
        store: of a sweep over `SETTINGS`, with the outputs `MEASURED`, `LOSS` and `WEIGHTS`.
        folder: where; made if it is not there.

    Returns:
        The path of the table.

    Raises:
        InputError: there is no such store, or no trained network in it.
        OSError: it cannot be written there.
    """
    from safetensors.numpy import save

    table: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for row, losses, weights in _networks(store):
        for column, values in zip(("file", "initial"), weights, strict=True):
            row[column] = f"models/{row['model']}{'' if column == 'file' else '.initial'}.safetensors"
            network = unflat(values, row["family"], row["depth"], row["width"])
            arrays = {name: np.asarray(array) for name, array in arrays_of(network).items()}
            with written_whole(folder / row[column]) as part:
                part.write_bytes(save(arrays))
        table.append(row)
        curves += [
            {"model": row["model"], "epoch": i, "loss": float(loss)}
            for i, loss in enumerate(losses, 1)
            if i <= row["epochs"]
        ]
    if not table:
        raise InputError(f"{store}: has no trained network yet")
    for name, rows in (("loss.csv", curves), ("corpus.csv", table)):
        write_text(folder / name, rows_as_csv(rows))
    return folder / "corpus.csv"


def _networks(store: Path) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """The row of the table, the losses, and the final and initial weights of each network, one at a time."""
    with _opened(store) as ds:
        others = [name for name in ds.train_accuracy.dims if name not in (*SETTINGS, "trial")]
        for index in np.argwhere(np.isfinite(ds.train_accuracy.values)):
            at = dict(zip(ds.train_accuracy.dims, index.tolist(), strict=True))
            one = ds.isel(at)
            point = {name: one[name].values.item() for name in SETTINGS}
            name = "{family}{depth}-w{width}-b{batch_size}-d{dropout:g}-l{weight_decay:g}-r{rate:g}-e{epochs:g}".format(
                **point
            )
            more = "".join(f"-{other}{at[other]}" for other in others if ds.sizes[other] > 1)
            row = {"model": f"{name}{more}-s{at['trial']}", "file": "", "initial": ""}
            row |= {"group": f"{point['family']} {point['depth']}", **point, "seed": at["trial"]}
            row |= {name: one[name].values.item() for name in MEASURED}
            yield row, one[LOSS].values, one[WEIGHTS].values


def _opened(store: Path) -> "xr.Dataset":
    import xarray as xr

    try:
        ds = xr.open_zarr(store, consolidated=False, chunks=None)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{store}: no store of a sweep: {' '.join(str(error).split())[:160]}") from None
    missing = [name for name in (*SETTINGS, *MEASURED, LOSS, WEIGHTS) if name not in ds.variables]
    if missing:
        raise InputError(f"{store}: not of a sweep that trains networks: it has no {', '.join(missing)}")
    return ds


@lru_cache
def _shapes(family: str, depth: int, width: int) -> Any:
    return jax.eval_shape(lambda: initial(jax.random.key(0), family, depth, width))
