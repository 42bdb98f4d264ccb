"""Names of files that come from files or folders of strangers: none may lead out of the folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from rmt.errors import InputError, printable

_SHOWN = 80


def stays_inside(folder: Path, path: Path) -> bool:
    """Whether `path`, its links followed, is a regular file in `folder` or below."""
    try:
        base, target = folder.resolve(strict=True), path.resolve(strict=True)
        return target.is_file() and any(target.is_relative_to(home) for home in _homes(base))
    except (OSError, ValueError, RuntimeError):  # a loop of links
        return False


def _homes(folder: Path) -> list[Path]:
    """A folder; and in the cache of the Hugging Face hub, where snapshots/REVISION holds links into the blobs, those."""
    return [folder, folder.parent.parent / "blobs"] if folder.parent.name == "snapshots" else [folder]


def is_plain(name: str) -> bool:
    """Whether it is the name of a file, without any folder."""
    return name not in ("", "..") and PurePosixPath(name).name == name


def beside(path: Path, name: str, where: str) -> Path:
    """The file called `name` in the folder of `path`, or below it.

    A link is followed where it leads to that folder again, or to the one that `path` itself is linked from, as in the
    caches of model hubs.

    Args:
        path: the file that names the other.
        name: a relative path, with slashes.
        where: what an error calls the place that names it.

    Raises:
        InputError: it is absolute, leads out of the folder, or is not there.
    """
    shown = printable(name[:_SHOWN])
    pure, foreign = PurePosixPath(name), PureWindowsPath(name)
    if pure.is_absolute() or foreign.drive or foreign.root or ".." in pure.parts + foreign.parts:
        raise InputError(f"{where}: refers to {shown}, which is outside its folder; refused")
    try:
        found = (path.parent / pure).resolve()
        homes = (*_homes(path.parent.resolve()), path.resolve().parent)
        if not any(found.is_relative_to(home) for home in homes):
            raise InputError(f"{where}: refers to {shown}, a link that leads out of its folder; refused")
        if not found.is_file():
            raise InputError(f"{where}: refers to {shown}, which is not there; keep the two files in one folder")
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, with a zero, or a link to itself
        raise InputError(f"{where}: refers to {shown}, which cannot be opened ({error})") from error
    return found
