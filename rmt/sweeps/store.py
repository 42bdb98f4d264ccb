"""The store of a sweep: a zarr v3 group in which every finished cell is on disk, whatever kills the process.

One array per output, of dims (axes of the grid, trial, dims of the output), one chunk a cell; beside them `done`, the
number of trials finished in each cell. A cell's values are written first and its count in `done` after, each file under
another name and then renamed, so a cell that `done` counts is complete. A store is created, and made larger, in a
folder beside it that is then renamed into place; larger means new indices at the end of an axis, so finished cells keep
their files, which are linked, not copied. One process at a time writes, behind a lock, or several shards of one sweep
behind a lock that they share; the store is created or made larger only by a process that holds the lock alone. Locks are
flock's, which NFS and Lustre keep between machines if they are mounted so; elsewhere the user keeps runs apart. Nothing
is forced through the disk's own cache: a power failure, unlike a kill, may cost more than the cells in flight.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rmt.errors import InputError
from rmt.sweeps.layout import Axes, Layout, Values, output_dims, spell

try:
    import fcntl
except ImportError:  # not a POSIX system: two runs on one store are then the user's to avoid
    fcntl = None

FORMAT = "rmt.sweep/1"
PATIENCE = 30.0  # seconds that a shard waits for another that creates the store
WAIT = "wait for it or choose another path"


@dataclass(frozen=True)
class Identity:
    """What must not differ between the runs that fill one store, or its cells would not belong together.

    Attributes:
        facts: key, axis kinds, outputs, block sizes, versions and device, by a name that a user understands.
        programs: SHA-256 of the compiled program of each combination of static coordinates, spelled by the combination.
            It is taken of the lowered program, so a change anywhere below `measure` that could change a value shows,
            and a comment or a renamed local variable does not.
    """

    facts: Mapping[str, Any]
    programs: Mapping[str, str]

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """What differs from the identity in the attributes of a store, in words."""
        old = stored["facts"]
        found = [
            f"{name} was {old[name]}, is now {now}" for name, now in self.facts.items() if old.get(name, now) != now
        ]
        changed = [name for name, digest in self.programs.items() if stored["programs"].get(name, digest) != digest]
        if changed:
            found.append(f"the measure computes something else now ({changed[0] or 'at every point'})")
        return found


class Store:
    """An open store; use `open_store`."""

    def __init__(self, path: Path, layout: Layout):
        self.layout = layout
        self._path = path
        with _damage_named(path), _zarr().config.set({"array.write_empty_chunks": True}):
            # Otherwise a cell of NaN would not be written, and a negative NaN would come back positive.
            group = _zarr().open_group(path, mode="r+", zarr_format=3)
            self._arrays: dict[str, Any] = {name: group[name] for name in (*layout.outputs, "done")}

    def read(self, asked: Layout) -> tuple[np.ndarray, Values]:
        """Counts of finished trials (axes, blocks) and values (axes, n_trials, ...) for the points of `asked`.

        Raises:
            InputError: a file of the store cannot be read back.
        """
        places = {name: [spell(self.layout.axes[name]).index(c) for c in spell(v)] for name, v in asked.axes.items()}
        select = [np.array(places[name]) for name in self.layout.axes]
        order = [list(self.layout.axes).index(name) for name in asked.axes]

        def take(name: str, length: int) -> np.ndarray:
            with _damage_named(self._path):
                # Not all of it and then these: where grids of few points each share a store, it is mostly empty, and huge
                stored = self._arrays[name].oindex[(*select, slice(length))]
            return np.ascontiguousarray(stored.transpose(*order, *range(len(order), stored.ndim)))

        done = take("done", asked.n_blocks)
        # A block that other runs have filled further than is asked here is simply full.
        room = np.minimum(asked.block, asked.n_trials - asked.block * np.arange(asked.n_blocks))
        return np.minimum(done, room), {name: take(name, asked.n_trials) for name in asked.outputs}

    def write(self, point: Mapping[str, Any], block: int, values: Mapping[str, np.ndarray]) -> None:
        """Put the first trials of a cell on disk, values first and their number after."""
        index = self.layout.index(point)
        first = block * self.layout.block
        count = len(next(iter(values.values())))
        for name, value in values.items():
            self._arrays[name][(*index, slice(first, first + count))] = value
        self._arrays["done"][(*index, block)] = count


@contextmanager
def open_store(
    path: Path, asked: Layout, identity: Identity, attrs: Mapping[str, Any], restart: bool, shared: bool = False
) -> Iterator[Store]:
    """Open the store at `path` with room for `asked`, creating it or making it larger where needed.

    Args:
        restart: throw away what an earlier run stored there.
        shared: others that say so too may write other cells at the same time.

    Raises:
        InputError: another run is writing there, the folder is no store or is damaged, or it is another sweep's.
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if shared:
        with _shared_lock(path, asked, identity, attrs) as layout:
            yield Store(path, layout)
        return
    with _locked(path):
        layout = _prepare(path, asked, identity, attrs, restart)
        yield Store(path, layout)


def _prepare(path: Path, asked: Layout, identity: Identity, attrs: Mapping[str, Any], restart: bool) -> Layout:
    """Make the store at `path` whole and roomy, which needs the lock alone."""
    _recover(path)
    stored = _attributes(path)
    if stored is None or restart:
        _replace(path, asked, _attrs(asked, identity.programs, identity, attrs))
        return asked
    return _adopt(path, stored, asked, identity, attrs)


@contextmanager
def _shared_lock(path: Path, asked: Layout, identity: Identity, attrs: Mapping[str, Any]) -> Iterator[Layout]:
    """The lock as one of several holders, on a store that has room; made so by whoever holds it alone for a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with _lock_file(path) as file:
            if _flock(file, alone=False):
                layout = _roomy(path, asked, identity)
                if layout is not None:
                    yield layout
                    return
            # A change to a lock held alone is not atomic: let go, and look again at what there is.
        with _lock_file(path) as file:
            if _flock(file, alone=True):
                _prepare(path, asked, identity, attrs, restart=False)
                continue
        if time.monotonic() > deadline:
            raise InputError(f"{path}: another run is writing there; {WAIT}")
        time.sleep(0.05)


def _roomy(path: Path, asked: Layout, identity: Identity) -> Layout | None:
    """Layout of the store at `path`, None if it has to be created, made whole or larger first."""
    if any(_beside(path, what).exists() for what in ("new", "old")):
        return None
    stored = _attributes(path)
    if stored is None or not {*identity.programs} <= {*stored["programs"]}:
        return None
    old = _same_sweep(path, stored, asked, identity)
    layout = old.union(asked)
    return layout if (layout.sizes, layout.n_trials) == (old.sizes, old.n_trials) else None


def _adopt(
    path: Path, stored: Mapping[str, Any], asked: Layout, identity: Identity, attrs: Mapping[str, Any]
) -> Layout:
    """Check that a store is of the same sweep, and make it larger where `asked` needs room."""
    old = _same_sweep(path, stored, asked, identity)
    layout = old.union(asked)
    programs = {**stored["programs"], **identity.programs}
    now = _attrs(layout, programs, identity, attrs)
    if (layout.sizes, layout.n_trials) != (old.sizes, old.n_trials):
        _replace(path, layout, now, keep=True)
    elif now != stored:
        _zarr().open_group(path, mode="r+", zarr_format=3).update_attributes(now)
    return layout


def _same_sweep(path: Path, stored: Mapping[str, Any], asked: Layout, identity: Identity) -> Layout:
    """Layout of the store at `path`, which must be of the same sweep."""
    found = identity.differences(stored)
    if found:
        advice = "pass restart=True (--restart) to compute it anew, or another path"
        raise InputError(f"{path} holds another sweep: {'; '.join(found)}; {advice}")
    return replace(asked, axes=_axes(stored["grid"]), n_trials=stored["n_trials"])


def _attrs(layout: Layout, programs: Mapping[str, str], identity: Identity, attrs: Mapping[str, Any]) -> dict[str, Any]:
    grid = json.dumps({name: list(values) for name, values in layout.axes.items()})
    about = {"format": FORMAT, "facts": dict(identity.facts), "programs": dict(programs)}
    # A round trip through JSON, as zarr does it, so that attributes compare equal to those read back.
    return json.loads(json.dumps({**attrs, "grid": grid, "n_trials": layout.n_trials, **about}))


def _axes(grid: str) -> Axes:
    return {name: tuple(values) for name, values in json.loads(grid).items()}


def _replace(path: Path, layout: Layout, attrs: dict[str, Any], keep: bool = False) -> None:
    """Put an empty store at `path`, or with `keep` one with the finished cells of the store that is there."""
    new, old = _beside(path, "new"), _beside(path, "old")
    _create(new, layout, attrs)
    if keep:
        for name in (*layout.outputs, "done"):
            _link_chunks(path / name, new / name)
    if path.exists():
        os.rename(path, old)
    os.rename(new, path)
    shutil.rmtree(old, ignore_errors=True)


def _create(path: Path, layout: Layout, attrs: dict[str, Any]) -> None:
    group = _zarr().create_group(path, attributes=attrs)
    for name, values in layout.axes.items():
        text = isinstance(values[0], str)
        array = np.array(values, dtype=object if text else None)
        kind: Any = str if text else array.dtype
        group.create_array(name, shape=array.shape, chunks=array.shape, dtype=kind, dimension_names=(name,))[...] = (
            array
        )
    ones, axes = (1,) * len(layout.axes), tuple(layout.axes)
    for name, output in layout.outputs.items():
        group.create_array(
            name,
            shape=(*layout.sizes, layout.n_trials, *output.shape),
            chunks=(*ones, layout.block, *output.shape),
            dtype=output.dtype,
            fill_value=output.fill,
            dimension_names=(*axes, "trial", *output_dims(name, output)),
        )
    done = {"shape": (*layout.sizes, layout.n_blocks), "chunks": (*ones, 1), "dimension_names": (*axes, "block")}
    group.create_array("done", dtype="int32", fill_value=0, **done)


def _link_chunks(old: Path, new: Path) -> None:
    for chunk in (old / "c").rglob("*"):
        if chunk.is_dir() or chunk.suffix == ".partial":  # a write that was killed
            continue
        target = new / chunk.relative_to(old)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(chunk, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(chunk, target)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")


def _recover(path: Path) -> None:
    """Finish or undo a replacement that was killed half way, so that `path` is a whole store or absent."""
    new, old = _beside(path, "new"), _beside(path, "old")
    if old.exists() and not path.exists():
        os.rename(old, path)
    for leftover in (new, old):
        if leftover.exists():
            shutil.rmtree(leftover)


def _attributes(path: Path) -> dict[str, Any] | None:
    """Attributes of the store at `path`, None if there is nothing there.

    Raises:
        InputError: there is something else there; it is never removed, not even by a restart.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    try:
        attrs = json.loads((path / "zarr.json").read_bytes())["attributes"]
        if attrs["format"] == FORMAT:
            return attrs
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path} is not a store that a sweep wrote, or is damaged; move it away or choose another path")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (PermissionError, MemoryError):
        raise
    except Exception as error:  # zarr and its codecs raise whatever they meet in a damaged file
        advice = "pass restart=True (--restart) to compute it anew, or another path"
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}); {advice}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with _lock_file(path) as file:
        if not _flock(file, alone=True):
            raise InputError(f"{path}: another run is writing there; {WAIT}")
        yield


def _lock_file(path: Path) -> Any:
    return open(_beside(path, "lock"), "a+")  # NFS wants a file open for reading to share its lock


def _flock(file: Any, alone: bool) -> bool:
    """Whether the lock could be taken; it goes with the file, also when the process is killed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _zarr() -> Any:
    import zarr  # a quarter of a second, which `import rmt` need not pay

    return zarr
