"""The command `rmt`: run claims, rebuild a report, fit a file, draw a card, make tables. A file for each, and for what it prints."""

import typer

from rmt.cli.calibration import calibrate
from rmt.cli.card import card
from rmt.cli.experiments import report, run
from rmt.cli.fitting import fit

app = typer.Typer(
    name="rmt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""A simulation lab for heavy-tailed random matrices: it draws them from exact laws,
    fits power-law tails to their eigenvalues, and holds published claims against them.

    [bold]Start here[/bold]

      rmt run experiments --size smoke  every claim on small matrices, in minutes
      rmt run experiments               every claim; ends with verdicts and a page
      rmt fit eigenvalues.npy           the tail exponent alpha of your numbers
      rmt fit weights.npy --matrix      ... of the spectrum of a weight matrix
      rmt card weights.npy              what that spectrum says, with its error rates

    Every command has its own --help. Exit codes: 0 done, 1 an experiment or a check
    failed, 2 wrong input, 130 stopped by Ctrl-C.
    """,
)

app.command()(run)
app.command()(report)
app.command()(fit)
app.command()(card)
app.add_typer(calibrate, name="calibrate")
