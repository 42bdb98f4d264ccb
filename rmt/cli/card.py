"""`rmt card`: what the spectrum of the matrix in a file says, with the error rate of each statement."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmt.cli.sharing import ArrayName, File, Json, NoPicture, drawn, picture_path, upright
from rmt.console import boundary, keep_compiled_programs, plain
from rmt.errors import InputError

if TYPE_CHECKING:
    from rmt.calibration import Card

REPLICATES = 99

Transpose = Annotated[bool, typer.Option("--transpose", help="W transposed.")]
Nulls = Annotated[int, typer.Option(metavar="N", help="Replicates of each null.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Seed of the replicates.")]
Picture = Annotated[Path | None, typer.Option(help=".svg, .png or .pdf; NAME-card.svg of FILE's NAME by default.")]


@boundary()
def card(
    file: File,
    array: ArrayName = None,
    transpose: Transpose = False,
    nulls: Nulls = REPLICATES,
    seed: Seed = 0,
    picture: Picture = None,
    no_picture: NoPicture = False,
    as_json: Json = False,
) -> None:
    """What the spectrum of the weight matrix in FILE says, and how often noise says so.

    The fitted alpha beside that of noise of the same shape; the phase; the
    universality class with probabilities; the tail index mu of the entries, or
    a bound on it; and the matrix beside three nulls: Gaussian matrices, its own
    entries shuffled, Student t entries. Draws the card.

    Examples:

      rmt card weights.npy
      rmt card weights.npz --array fc1 --picture fc1.png
      rmt card weights.csv --transpose --nulls 199 --json
    """
    from rmt.calibration.nulls import MIN_NULLS
    from rmt.cli.card_text import lines
    from rmt.datafiles import load_array, shown_name

    if nulls < MIN_NULLS:
        raise InputError(f"--nulls needs at least {MIN_NULLS}, got {nulls}")
    target = picture_path(file, array, "card", picture, no_picture, as_json)
    name = shown_name(file)
    W = upright(name, load_array(file, array=array), transpose, "a card")
    keep_compiled_programs()
    found = _card(name, W, nulls, seed)
    if not as_json:
        for line, flagged in lines(name, found, nulls):
            typer.secho(line, fg="yellow" if flagged else None)
    done = target is not None and drawn(target, picture is not None, "card", found)
    if done and not as_json:
        typer.echo(f"\npicture: {target}")
    if as_json:
        row = {"file": name, **found.row(), "seed": seed, "picture": str(target) if done else None}
        typer.echo(json.dumps(plain(row), allow_nan=False))


def _card(name: str, W: Any, nulls: int, seed: int) -> "Card":
    import jax

    from rmt.calibration import class_card
    from rmt.threads import one_blas_thread

    try:
        with one_blas_thread():
            return class_card(W, jax.random.key(seed), nulls)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
