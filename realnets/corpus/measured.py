"""The metrics of many models from their weight files, several at once; each is kept as it is done, and not measured again."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from realnets.analysis import Row, analyze, at_once, in_order, nothing_read
from realnets.corpus.metrics import of_layers, with_noise
from realnets.corpus.table import Model
from realnets.cutting import Conv
from realnets.diff import distances
from realnets.kept import kept, page_names, stamp
from realnets.layers import Layers, nothing_planned
from realnets.sources import open_source
from realnets.zoo import Unreachable
from rmt.console import one_line, plain, write_text
from rmt.errors import InputError
from rmt.provenance import versions
from rmt.sweeps.progress import Progress

MODELS = "models"
"""The folder of the kept results."""


@dataclass(frozen=True)
class Measured:
    """What a model's weights give.

    Attributes:
        metrics: of `of_layers`, and distance_from_init; empty if the file cannot be read.
        layers: the rows of its layers.
        remarks: what could not be read, in lines.
        unreachable: whether only the network is missing.
    """

    metrics: dict[str, float]
    layers: list[Row]
    remarks: list[str]
    unreachable: bool = False


@dataclass(frozen=True)
class _Job:
    """A model that waits for its turn; its files are opened again when that comes."""

    model: Model
    path: Path | None
    wanted: dict[str, Any]
    shapes: list[tuple[int, int]]
    workers: int
    remarks: list[str]


def measure_models(
    models: Sequence[Model],
    folder: Path | None,
    conv: Conv,
    min_M: int,
    workers: int = 1,
    say: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> dict[str, Measured]:
    """Analyze the weights of models, `workers` models at once.

    With a folder every model's result is written there as soon as it is done, so that a run that was ended has lost no more than
    the models that it was at; one of the same files by size and time of change, settings and versions is not measured again.

    Args:
        models: those with a file to be measured.
        folder: of the results; None keeps none.
        conv, min_M: as of `Layers`.
        workers: models at once; one where any has a layer that is too large for two.
        say: told in a line what is fetched and how much is reused.
        progress: show it on stderr.

    Returns:
        Name -> what was found, in the order of the models.
    """
    names = page_names(model.name for model in models)
    found: dict[str, Measured] = {}
    jobs: list[_Job] = []
    for model in models:
        path = folder / MODELS / f"{names[model.name]}.json" if folder else None
        try:
            job = _job(model, path, min_M, conv, workers, say)
        except (InputError, OSError) as error:
            found[model.name] = Measured({}, [], [_line(model.file, error)], isinstance(error, Unreachable))
            continue
        if path is not None and (stored := kept(path, job.wanted)) is not None:
            found[model.name] = _of_stored(stored)
        else:
            jobs.append(job)
    if reused := sum(bool(of.metrics) for of in found.values()):
        say(f"{reused} of {len(models)} models are of the same files, settings and version; reused")
    costs = [[_cost(*shape) for shape in job.shapes] for job in jobs]
    with Progress(progress and "corpus", sum(map(len, costs)), 0, sum(map(sum, costs)), "layers") as bar:
        lock = Lock()

        def advance(row: Row) -> None:
            with lock:
                bar.advance(_cost(row["N"], row["M"]))

        def work(job: _Job) -> dict[str, Any]:
            return {"name": job.model.name, "measured": _measure(job, min_M, conv, advance)}

        for one in in_order(work, jobs, min((job.workers for job in jobs), default=1), lambda row: None):
            found[one["name"]] = one["measured"]
    return {model.name: found[model.name] for model in models}


def _cost(N: int, M: int) -> float:
    return N * M * M


def _open(
    source: str, min_M: int, conv: Conv, say: Callable[[str], None] = lambda line: None
) -> tuple[Layers, list[list[Any]]]:
    """The layers of a file, and what it is known by."""
    checkpoint = open_source(source, say)
    layers = Layers(checkpoint.tensors, min_M, source, checkpoint.format, conv)
    if not layers.planned:
        raise InputError(nothing_planned(layers))
    return layers, stamp(checkpoint)


def _job(model: Model, path: Path | None, min_M: int, conv: Conv, workers: int, say: Callable[[str], None]) -> _Job:
    layers, files = _open(model.file, min_M, conv, say)
    initial, remarks = None, []
    if model.initial:
        try:
            initial = _open(model.initial, min_M, conv, say)[1]
        except (InputError, OSError) as error:
            remarks.append(_line(model.initial, error))
    wanted = {
        "settings": {"min_M": min_M, "conv": conv.value},
        "versions": versions(),
        "files": files,
        "initial": initial,
    }
    shapes = [(N, M) for _, N, M in layers.planned]
    return _Job(model, path, wanted, shapes, at_once(workers, layers), remarks)


def _measure(job: _Job, min_M: int, conv: Conv, on_row: Callable[[Row], None]) -> Measured:
    file, initial, remarks = job.model.file, job.model.initial, list(job.remarks)
    try:
        layers, _ = _open(file, min_M, conv)
        result = analyze(layers, on_row=on_row)
        if not result.rows:
            raise InputError(nothing_read(result))
    except (InputError, OSError) as error:
        return Measured({}, [], [_line(file, error)])
    if unreadable := [s for s in result.skipped if s.reason == "unreadable"]:
        remarks.append(f"{file}: {len(unreadable)} tensors cannot be read; {unreadable[0].note}")
    moved: list[float] = []
    if job.wanted["initial"]:
        try:
            moved = distances(_open(initial, min_M, conv)[0], layers)
            if len(moved) < len(result.rows):
                remarks.append(f"{initial}: has {len(moved)} of the {len(result.rows)} matrices of {file}")
        except (InputError, OSError) as error:
            remarks.append(_line(initial, error))
    rows = [with_noise(row, known=conv is not Conv.POOLED) for row in result.rows]
    stored = {**job.wanted, "model": job.model.name, "layers": rows, "distances": moved, "remarks": remarks}
    if job.path is not None:
        write_text(job.path, json.dumps(plain(stored), allow_nan=False) + "\n")
    return _of_stored(stored)


def _of_stored(stored: dict[str, Any]) -> Measured:
    rows = [{name: math.nan if value is None else value for name, value in row.items()} for row in stored["layers"]]
    metrics = of_layers(rows)
    if stored["distances"]:
        metrics["distance_from_init"] = float(np.mean(np.array(stored["distances"], float)))
    return Measured(metrics, rows, stored["remarks"])


def _line(source: str, error: Exception) -> str:
    line = one_line(error)
    return line if line.startswith(source) else f"{source}: {line}"
