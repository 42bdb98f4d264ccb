"""What the commands share: the boundary where errors become one line and an exit code, and files that appear whole."""

import contextlib
import gc
import hashlib
import math
import os
import platform
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rmt.errors import InputError

WRONG_INPUT = 2
INTERRUPTED = 130


@contextlib.contextmanager
def boundary(interrupted: str = "stopped") -> Iterator[None]:
    """Around a command, also as a decorator: what the user can mend becomes one line on stderr, not a traceback.

    InputError and OSError print "error: ..." and exit with 2; Ctrl-C prints `interrupted` and exits with 130. Anything
    else is a bug and keeps its traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of a pipe left; typer ends quietly
        raise
    except (InputError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(WRONG_INPUT) from None


def one_line(error: Exception) -> str:
    """The message of an error; for an OSError the file and the system's reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def run_app(app: Callable[[], Any]) -> None:
    """Run a command; after Ctrl-C leave at once, since a thread inside LAPACK cannot be told to stop.

    Whatever it was writing is written aside and renamed, so nothing is left half done.
    """
    gc.freeze()  # what was imported lives to the end: the search for garbage at exit need not go through it
    sys.unraisablehook = _unraisable
    try:
        app()
    except SystemExit as end:
        code = end.code
        try:
            sys.stdout.flush()
        except OSError as error:
            # What could not be written would be tried once more at exit, and turn the exit code into 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not code:
                print(f"error: {one_line(error)}", file=sys.stderr)
                code = WRONG_INPUT
        if code == INTERRUPTED:
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise SystemExit(code) from None


def _unraisable(lost: Any) -> None:
    """Ctrl-C that came while garbage was collected, where Python prints and drops what is raised, comes once more."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        # From another thread and later: in this one, now, it would be lost again.
        again = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def plain(value: Any) -> Any:
    """The value in JSON's terms."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` when all is written, so that readers see all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # process ids are not unique among machines
    try:
        with names(path):
            yield aside
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file; it is there whole or not at all."""
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def names(path: Path) -> Iterator[None]:
    """An OSError that does not say where it happened, as a full disk's, says that it was here."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def cache_folder() -> Path:
    """Where the commands keep what can be made or fetched again: heavytail-lab in XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heavytail-lab"


def keep_compiled_programs() -> None:
    """Let JAX keep compiled programs in the user's cache folder, so that the next run starts at once.

    Off without a word where that folder cannot be written. It changes no values: what is kept is the compiled program,
    by the program's text, JAX's version and the processor.
    """
    import jax

    folder = cache_folder() / f"programs-{_processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _processor() -> str:
    """A name for this kind of processor: a home folder can be shared by machines that cannot run each other's code."""
    about = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(about.encode()).hexdigest()[:12]
