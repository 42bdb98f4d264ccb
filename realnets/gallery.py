"""Many models side by side: a page for each, and one that puts all their layers on the plane of alpha and lambda_max."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from realnets.analysis import ALPHA_CUT, nothing_read
from realnets.cutting import Conv
from realnets.kept import kept, page_names, stamp
from realnets.layers import MIN_M, Layers, nothing_planned
from realnets.nulls import compare, cost
from realnets.page import TEMPLATES, shown
from realnets.readers import Checkpoint
from realnets.sources import open_source
from rmt import inference
from rmt.calibration.card import JUDGED, LEVEL
from rmt.calibration.nulls import VERDICTS, spike_edge
from rmt.console import one_line, write_text
from rmt.ensembles import IID, Ensemble, Spiked
from rmt.errors import InputError
from rmt.inline_svg import svg_element
from rmt.keys import point_key, trial_keys
from rmt.laws import Gaussian, Pareto
from rmt.provenance import versions
from rmt.report import template
from rmt.spectra import Spectrum
from rmt.spikes import spike_threshold
from rmt.sweeps.progress import Progress
from rmt.tails import fit_tail

INDEX = "index"

SHAPE, MATRICES = (400, 200), 100
"""Of the synthetic matrices, and how many there are of each class."""


@dataclass(frozen=True)
class Model:
    """One of the files.

    Attributes:
        source: as it was named.
        page: name of its page and of its JSON, without suffix.
        found: the JSON of its comparison; None if it could not be read.
        error: why not, in one line.
    """

    source: str
    page: str
    found: dict[str, Any] | None
    error: str = ""


def gallery(
    sources: Sequence[str],
    folder: Path,
    n_nulls: int = 20,
    seed: int = 0,
    conv: Conv = Conv.SLICES,
    min_M: int = MIN_M,
    workers: int = 1,
    say: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> list[Model]:
    """Compare each model with its nulls and write PAGE.html and PAGE.json of each, and index.html, into a folder.

    A model that cannot be read is named on the index and hides nothing else. One whose PAGE.json is of the same files by size
    and time of change, the same settings and the same versions is not compared again; so a run that was ended goes on with the
    model that it was at.

    Args:
        sources: as of `open_source`; equal ones count once.
        folder: made if it is not there.
        n_nulls, workers: as of `compare`.
        seed: of the nulls.
        conv, min_M: as of `Layers`.
        say: told in a line what is fetched, what is reused and what cannot be read.
        progress: show it on stderr.

    Returns:
        The models, in their order.

    Raises:
        InputError: none of them could be read; index.html says so too.
    """
    settings = {"min_M": min_M, "conv": conv.value, "n_nulls": n_nulls, "level": LEVEL, "seed": seed}
    wanted = {"settings": settings, "versions": versions()}
    models: dict[str, Model] = {}
    waiting: dict[str, list[tuple[int, int]]] = {}
    pages = page_names(sources, [INDEX])
    for source, page in pages.items():
        try:
            checkpoint = open_source(source, say)
            layers = _layers(checkpoint, source, min_M, conv)
            found = _stored(folder / f"{page}.json", wanted | {"files": stamp(checkpoint)})
        except (InputError, OSError) as error:
            models[source] = _failed(source, page, error, say)
            continue
        if found is None:
            waiting[source] = [(N, M) for _, N, M in layers.planned]
        else:
            say(f"{shown(source)}: {page}.json is of the same file, settings and version; reused")
            models[source] = Model(source, page, found)
    shapes = [shape for each in waiting.values() for shape in each]
    with Progress(
        progress and "gallery", len(shapes), 0, sum(cost(*shape, n_nulls) for shape in shapes), "layers"
    ) as bar:
        for source in waiting:
            try:
                checkpoint = open_source(source)
                layers = _layers(checkpoint, source, min_M, conv)
                files = stamp(checkpoint)
                key = jax.random.key(seed)
                result = compare(
                    layers, key, n_nulls, workers, lambda row: bar.advance(cost(row["N"], row["M"], n_nulls))
                )
                if not result.rows:
                    raise InputError(nothing_read(result))
            except (InputError, OSError) as error:
                models[source] = _failed(source, pages[source], error, say)
                continue
            result.settings["seed"] = seed
            found = json.loads(result.to_json()) | {"files": files}
            # The JSON last: where it is, the page is too.
            write_text(folder / f"{pages[source]}.html", result.to_html())
            write_text(folder / f"{pages[source]}.json", json.dumps(found, allow_nan=False) + "\n")
            models[source] = Model(source, pages[source], found)
    ordered = [models[source] for source in pages]
    write_text(folder / f"{INDEX}.html", index_page(ordered))
    if all(model.found is None for model in ordered):
        raise InputError(f"none of {len(ordered)} files could be read; {folder / f'{INDEX}.html'} says why")
    return ordered


def index_page(models: Sequence[Model]) -> str:
    """A row for each model, the plane of all their layers, and what could not be read."""
    read = [(model, model.found) for model in models if model.found is not None]
    verdicts = [name for name in VERDICTS if any(found["verdicts"].get(name) for _, found in read)]
    return template("gallery.html", TEMPLATES).render(
        verdicts=verdicts,
        models=[_row(model, found, 2 * len(read), verdicts) for model, found in read],
        errors=[shown(_error(model), of_end=False) for model in models if model.found is None],
        cut=f"{ALPHA_CUT:g}",
        plane=_plane(read) if read else "",
        synthetic=f"{MATRICES} of {SHAPE[0]} x {SHAPE[1]}",
    )


def _layers(checkpoint: Checkpoint, source: str, min_M: int, conv: Conv) -> Layers:
    layers = Layers(checkpoint.tensors, min_M, source, checkpoint.format, conv)
    if not layers.planned:
        raise InputError(nothing_planned(layers))
    return layers


def _failed(source: str, page: str, error: Exception, say: Callable[[str], None]) -> Model:
    line = one_line(error)
    say(f"error: {line}")
    return Model(source, page, None, line)


def _stored(path: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The comparison that is there, if its page is, and it is of these settings, versions and files."""
    return kept(path, wanted) if path.with_suffix(".html").is_file() else None


def _row(model: Model, found: dict[str, Any], comparisons: int, verdicts: Sequence[str]) -> dict[str, Any]:
    alphas = np.array([layer["alpha"] for layer in found["layers"] if layer["fitted"]], float)
    averages = found["averages"]["all"]
    return {
        "name": shown(model.source),
        "page": model.page,
        "format": found["format"],
        "layers": len(found["layers"]),
        "means": [_interval(x, comparisons) for x in (alphas, alphas[alphas < ALPHA_CUT])],
        "log_spectral_norm": averages["log_spectral_norm"],
        "alpha_hat": averages["alpha_hat"],
        "verdicts": [found["verdicts"].get(name, 0) for name in verdicts],
    }


def _error(model: Model) -> str:
    return model.error if model.error.startswith(model.source) else f"{model.source}: {model.error}"


def _interval(x: np.ndarray, comparisons: int) -> tuple[str, str]:
    """The mean and its interval as text; Student's needs two layers."""
    mean = inference.mean_interval(x, comparisons=comparisons)
    value, low, high = (f"{each:.2f}" if math.isfinite(each) else "–" for each in (mean.value, *mean.interval))
    return value, f"[{low}, {high}]"


def _plane(read: Sequence[tuple[Model, dict[str, Any]]]) -> str:
    from rmt import plots

    networks = {}
    for model, found in read:
        # The edge of a large layer is that of a block of it; such a layer has no bands.
        layers = [layer for layer, ranks in zip(found["layers"], found["ranks"], strict=True) if JUDGED[0] in ranks]
        alpha, largest, edge = (
            np.array([layer[name] for layer in layers], float) for name in ("alpha", "lambda_max", "spike_edge")
        )
        networks[model.page] = alpha, largest / edge
    figure = plots.alpha_plane(synthetic(), networks)
    return svg_element(plots.svg(figure), "plane-", "layers of all models on the plane of alpha and lambda_max")


def classes() -> dict[str, Ensemble]:
    """The synthetic classes, by name; the spikes have 1.5, 2 and 3 times the strength at which one shows."""
    threshold = float(spike_threshold(SHAPE[0] / SHAPE[1]))
    return {
        "Marchenko-Pastur": IID(Gaussian()),
        "spiked": Spiked(IID(Gaussian()), [1.5 * threshold, 2 * threshold, 3 * threshold]),
        **{f"Pareto, μ = {mu}": IID(Pareto(float(mu))) for mu in (5, 3, 1)},
    }


def synthetic(matrices: int = MATRICES) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Class -> alpha of its matrices and lambda_max over their `spike_edge`, by the same fit, from fixed keys."""
    found = {}
    for name, ensemble in classes().items():
        keys = trial_keys(point_key(jax.random.key(0), {"gallery": name}), 0, matrices)
        x = jax.jit(lambda keys, of=ensemble: jax.lax.map(lambda key: of.spectrum(key, SHAPE).eigenvalues, keys))(keys)
        s = Spectrum(x, SHAPE[0])
        found[name] = np.asarray(fit_tail(s).alpha), np.asarray(s.lambda_max / spike_edge(s))
    return found
