"""Claim and Verdict: what a paper says, how it is measured, and what came out. Knows no science."""

import importlib.util
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rmt.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from rmt.inference import Estimate

Outcome = Literal["supported", "contradicted", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """The judgement on one statement.

    Attributes:
        statement: what was judged, in one line.
        outcome: supported, contradicted or inconclusive.
        effect: the measured number the outcome rests on.
        interval: its confidence interval, multiplicity accounted for.
        n: the number of independent replicates behind it.
        sentence: what was found, in one sentence.
        cell: (row, column, what is claimed), if the verdict is a cell of the claim's table.
    """

    statement: str
    outcome: Outcome
    effect: float
    interval: tuple[float, float]
    n: int
    sentence: str
    cell: tuple[str, str, str] | None = None

    @classmethod
    def judge(
        cls,
        statement: str,
        effect: float,
        interval: tuple[float, float],
        claimed: tuple[float, float],
        n: int,
        sentence: str,
    ) -> "Verdict":
        """Judge by intervals: supported if `interval` lies inside `claimed`, contradicted if they are disjoint.

        Anything else, NaN included, is inconclusive. `claimed` is the claim with its pre-set margin.
        """
        low, high = interval
        if claimed[0] <= low and high <= claimed[1]:
            outcome: Outcome = "supported"
        elif high < claimed[0] or low > claimed[1]:
            outcome = "contradicted"
        else:
            outcome = "inconclusive"
        return cls(statement, outcome, float(effect), (float(low), float(high)), int(n), sentence)

    @classmethod
    def of(cls, statement: str, found: "Estimate", claimed: tuple[float, float], sentence: str) -> "Verdict":
        """`judge` an estimate of `rmt.inference` by its interval."""
        return cls.judge(statement, found.value, found.interval, claimed, found.n, sentence)

    @classmethod
    def of_all(
        cls, statement: str, found: Mapping[Any, "Estimate"], claimed: tuple[float, float], sentence: str
    ) -> "Verdict":
        """Judge what is said of every member of a family by the worst of them (`rmt.inference.worst`).

        Args:
            found: the estimate of each member, with intervals simultaneous over the family, by what names it.
            claimed: as for `judge`.
            sentence: a format string of `at`, the name of the worst (`at[0]`, `at[1]`, ... if it is a tuple), `x`, its
                estimate, `percent`, 100 x, and `count`, the number of members.
        """
        from rmt import inference  # a quarter of a second of SciPy, which `import rmt` need not pay

        i, worst = inference.worst(inference.stack(list(found.values())), claimed)
        parts = {"at": list(found)[i], "x": worst.value, "percent": 100 * worst.value, "count": len(found)}
        return cls.of(statement, worst, claimed, sentence.format(**parts))

    @classmethod
    def not_tested(cls, statement: str, why: str) -> "Verdict":
        """Inconclusive for want of data."""
        return cls(statement, "inconclusive", math.nan, (-math.inf, math.inf), 0, f"Not tested: {why}")

    def in_cell(self, row: str, column: str, claimed: str) -> "Verdict":
        """The same verdict as a cell of a table: reports print the cells of a claim together."""
        return replace(self, cell=(row, column, claimed))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; non-finite numbers become null."""
        row = asdict(self)
        row["effect"] = _finite(self.effect)
        row["interval"] = [_finite(x) for x in self.interval]
        if self.cell is None:
            del row["cell"]
        return row


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


@dataclass(frozen=True)
class Size:
    """A grid and the number of trials per point: int, bool and str axes are static, float axes are traced.

    Attributes:
        grid: values of each axis.
        n_trials: trials at each point.
        also: further grids over the same axes, such as one of larger matrices and fewer trials. The dataset spans all;
            what none of them asks for is NaN.
        block: trials per cell, of the further grids too; see `rmt.sweep`. 1 where a trial takes minutes: an accelerator
            computes as many of a block at once as it has memory for, whether they are asked for or not.
    """

    grid: Mapping[str, Sequence[Any]]
    n_trials: int
    also: Sequence["Size"] = ()
    block: int = 10

    @property
    def parts(self) -> tuple["Size", ...]:
        """This grid and the further ones."""
        return (self, *self.also)


def shape_of(text: str) -> tuple[int, int]:
    """(600, 300) of "600x300", as axes of a grid spell the shape N x M of a matrix.

    Raises:
        ValueError: it is spelled otherwise.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise ValueError(f"a shape is spelled NxM, as 600x300; got {text!r}")
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class Claim:
    """One statement of a paper, with everything needed to check it.

    Attributes:
        name: a slug, the name of its results folder.
        title: one line for tables.
        quote: the claim as its source states it; the source's own words in quotation marks.
        source: paper, section or equation.
        criterion: what would support and what would contradict it, fixed before the run.
        sizes: `smoke`, `default` and `paper`.
        measure: `measure(key, **point) -> {name: array}`, pure and jit-able; see `rmt.sweep`.
        check: `check(dataset) -> [Verdict, ...]`; the first is the verdict on the claim, the others on its parts.
        figure: `figure(dataset) -> Figure`.
        caption: what the figure shows.
        stored: outputs of `measure` that stay in the store, such as weights: neither `check` nor the netCDF file has them.
        folders: environment variables that name folders of files which it uses where they are set; the record's command has those.
    """

    name: str
    title: str
    quote: str
    source: str
    criterion: str
    sizes: Mapping[str, Size]
    measure: Callable[..., Mapping[str, Any]]
    check: Callable[["xr.Dataset"], Sequence[Verdict]]
    figure: Callable[["xr.Dataset"], "Figure"]
    caption: str
    stored: Sequence[str] = ()
    folders: Sequence[str] = ()


def load_claims(paths: Sequence[Path]) -> dict[Path, Claim]:
    """Load `claim` from each Python file; a folder stands for the files in it whose names do not start with "_".

    Raises:
        InputError: a path does not exist, holds no claim, cannot be imported, or two claims share a name.
    """
    claims: dict[Path, Claim] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        files = sorted(p for p in path.glob("*.py") if not p.name.startswith("_")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no experiment files (*.py) in this folder")
        for file in files:
            claims[file] = _load(file)
    names = [claim.name for claim in claims.values()]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two claims are called {name!r}: {', '.join(str(f) for f, c in claims.items() if c.name == name)}"
            )
    return claims


def _load(file: Path) -> Claim:
    name = f"rmt_experiment_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{file}: cannot be loaded: {type(error).__name__}: {error}") from error
    claim = getattr(module, "claim", None)
    if not isinstance(claim, Claim):
        raise InputError(f"{file}: defines no `claim = rmt.Claim(...)`")
    return claim
