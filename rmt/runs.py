"""One claim from its grid to its files: the store of its trials, the compact dataset, the figure, the record of verdicts."""

import json
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from rmt.claims import Claim, Verdict
from rmt.console import names, write_text, written_whole
from rmt.keys import point_key
from rmt.netcdf import compact, write
from rmt.sweeps import Executor, count_nonfinite, sweep

if TYPE_CHECKING:
    import xarray as xr

VERSIONS = ("rmt", "jax", "jaxlib", "numpy", "scipy", "python", "device")


def run_claim(
    file: Path,
    claim: Claim,
    size: str,
    out: Path,
    seed: int,
    executor: Executor | None = None,
    shard: tuple[int, int] | None = None,
    restart: bool = False,
) -> tuple["xr.Dataset", Sequence[Verdict]]:
    """Sweep a claim's grid, check it, draw its figure, and keep all in OUT/<claim>/<size>.zarr, .nc, .svg and .json.

    The store (.zarr) is what a run continues from, and alone has the outputs in `claim.stored`; the netCDF file is for readers, see
    `rmt.netcdf.compact`.

    The sweep's key is `point_key(jax.random.key(seed), {"claim": name})`: claims share no draws, and a claim's draws do
    not depend on what else is run. Data, figure and record appear whole or not at all. A shard (see `rmt.sweep`) that ends
    while cells of others are missing leaves them to the others, and returns no verdicts.

    Raises:
        InputError: the store in OUT is of another sweep, damaged or in use.
        OSError: OUT cannot be written.
        Exception: whatever the claim's own functions raise.
    """
    base = out / claim.name / size
    store = base.with_suffix(".zarr")
    journal = base.with_name(f".{base.name}.time" if shard is None else f".{base.name}.{shard[0]}of{shard[1]}.time")
    keep = store.exists() and not restart
    earlier = _spent(base, store, journal) if keep else 0.0
    start = time.perf_counter()
    parts = claim.sizes[size].parts
    with names(store):
        base.parent.mkdir(parents=True, exist_ok=True)
        for old in _journals(base) if shard is None and not keep else ():
            old.unlink()
        journal.write_text(json.dumps({"start": time.time(), "earlier": earlier}), encoding="utf-8")
        swept = [
            sweep(
                claim.measure,
                part.grid,
                key=point_key(jax.random.key(seed), {"claim": claim.name}),
                n_trials=part.n_trials,
                block=claim.sizes[size].block,
                store=store,
                executor=executor,
                shard=shard,
                progress=claim.name if len(parts) == 1 else f"{claim.name} {i} of {len(parts)}",
                restart=restart and i == 1,
            ).drop_vars(claim.stored)
            for i, part in enumerate(parts, 1)
        ]
    ds = _union(swept).assign_attrs(failures=_failures(swept))
    with names(store):
        journal.write_text(json.dumps({"seconds": earlier + time.perf_counter() - start}), encoding="utf-8")
    if ds.attrs["missing_cells"]:
        return ds, ()
    verdicts = claim.check(ds)
    figure = claim.figure(ds)
    with written_whole(base.with_suffix(".svg")) as path:
        figure.savefig(path, format="svg", metadata={"Date": None})
    write(compact(ds), base.with_suffix(".nc"))
    seconds = sum(_spent(base, store, each) for each in _journals(base))
    record = _record(file, claim, size, seed, seconds, ds, verdicts)
    write_text(base.with_suffix(".json"), json.dumps(record, indent=1, allow_nan=False) + "\n")
    return ds, verdicts


def _union(parts: Sequence["xr.Dataset"]) -> "xr.Dataset":
    """One dataset over the axes of all parts, numbers ascending and names in their order; NaN where no part has a value."""
    first, *others = parts
    if not others:
        return first
    axes = {str(name): list(dict.fromkeys(v for ds in parts for v in ds[name].values)) for name in first.coords}
    axes = {name: values if isinstance(values[0], str) else sorted(values) for name, values in axes.items()}
    axes["trial"] = list(range(max(ds.sizes["trial"] for ds in parts)))
    first, *others = (ds.assign_coords(trial=range(ds.sizes["trial"])).reindex(axes) for ds in parts)
    for ds in others:
        first = first.combine_first(ds)
    missing = sum(ds.attrs["missing_cells"] for ds in parts)
    return first.drop_vars("trial").assign_attrs({**parts[-1].attrs, "missing_cells": missing})


def _failures(parts: Sequence["xr.Dataset"]) -> str:
    """Which outputs are not finite in how many trials of those that were asked for, in words; "" if all are."""
    counts: Counter[str] = Counter()
    for ds in parts:
        counts.update(count_nonfinite(ds))
    asked = sum(math.prod(ds.sizes[name] for name in (*ds.coords, "trial")) for ds in parts)
    return "; ".join(f"{name} is not finite in {count} of {asked} trials" for name, count in counts.items())


def _record(
    file: Path, claim: Claim, size: str, seed: int, seconds: float, ds: "xr.Dataset", verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    folders = "".join(f"{name}=FOLDER " for name in claim.folders if os.environ.get(name))
    command = f"{folders}rmt run {file.as_posix()} --size {size}" + (f" --seed {seed}" if seed else "")
    return {
        "claim": claim.name,
        **{name: getattr(claim, name) for name in ("title", "quote", "source", "criterion", "caption")},
        "size": size,
        "file": file.as_posix(),
        "command": command,
        "seconds": round(seconds, 1),
        "seed": seed,
        "versions": {name: ds.attrs[name] for name in VERSIONS},
        "git": ds.attrs["git"],
        "verdicts": [verdict.to_json() for verdict in verdicts],
    }


def _journals(base: Path) -> list[Path]:
    """Where the runs of one size note their seconds: one file, or one for each shard."""
    return list(base.parent.glob(f".{base.name}.*time"))


def _spent(base: Path, store: Path, journal: Path) -> float:
    """Seconds that the runs of one journal, all but a shard's, spent so far: up to the last cell if the last was killed."""
    try:
        entry = json.loads(journal.read_text(encoding="utf-8"))
        if "seconds" in entry:
            return float(entry["seconds"])
        end = max(file.stat().st_mtime for file in (store / "done").rglob("*"))
        return float(entry["earlier"]) + max(0.0, end - float(entry["start"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or killed before it had a store
    if _journals(base):
        return 0.0
    try:  # results that were brought here without their journals
        return float(json.loads(base.with_suffix(".json").read_text(encoding="utf-8"))["seconds"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0.0
