"""Names of files that come from files or folders of strangers: none may lead out of the folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from rmt.errors import InputError


def stays_inside(folder: Path, path: Path) -> bool:
    """Whether `path`, its links followed, is a regular file in `folder` or below.

    In the cache of the Hugging Face hub, snapshots/REVISION holds links into the blobs beside snapshots; these are inside.
    """
    try:
        base, target = folder.resolve(strict=True), path.resolve(strict=True)
        if not target.is_file():
            return False
    except (OSError, ValueError, RuntimeError):  # a loop of links
        return False
    cached = base.parent.name == "snapshots" and target.is_relative_to(base.parent.parent / "blobs")
    return cached or target.is_relative_to(base)


def beside(path: Path, name: str) -> Path:
    """The file called `name` in the folder of `path`, as `path` itself names it.

    Raises:
        InputError: the name leads elsewhere, or there is no such file.
    """
    plain = name not in ("", ".", "..") and PurePosixPath(name).name == name == PureWindowsPath(name).name
    if not plain or not name.isprintable():
        raise InputError(f"{path}: names the file {name[:120]!r}, which is not beside it; refused")
    found = path.parent / name
    if not stays_inside(path.parent, found):
        missing = not found.is_symlink() and not found.exists() if len(name) < 256 else True
        reason = "is missing" if missing else "is not a regular file inside the folder; refused"
        raise InputError(f"{path}: {name[:260]} {reason}")
    return found
