"""The text that `rmt fit` prints: 80 columns, plain when piped."""

from collections.abc import Iterator
from typing import Any

from rmt.cli.findings import BOOTSTRAP, LARGEST_SCAN, MATRIX_BOOTSTRAP, Findings
from rmt.cli.sharing import entry, short, words


def lines(f: Findings) -> Iterator[tuple[str, bool]]:
    """Lines, and whether each is a warning."""
    what = f"{f.n} values" if f.N is None else f"{f.n} eigenvalues of W^T W / N, W of {f.N} x {f.M}"
    yield f"{f.file}: {what}", False
    yield "", False
    yield from entry("alpha", short(f.alpha), *_alpha(f))
    yield from entry("xmin", short(f.xmin), *_xmin(f))
    yield from entry("tail", str(f.n_tail), f"of {f.n} values, {f.decades:.1f} decades up to xmax = {short(f.xmax)}")
    yield from entry("D", f"{f.ks:.3g}", f.sides)
    if f.p_value is not None:
        yield from _p_value(f)
    yield from _flags(f)
    if f.comparison is not None:
        yield "", False
        yield from ((line, False) for line in _comparison(f.comparison))


def _alpha(f: Findings) -> tuple[str, str]:
    ends = f"95 % interval {short(f.alpha_low)} to {short(f.alpha_high)}"
    return ends, {
        BOOTSTRAP: f"from {f.n_resamples} resamples of independent values",
        MATRIX_BOOTSTRAP: f"from {f.n_matrices} matrices of entries drawn from those of W, as if independent",
    }.get(f.interval, _given_xmin(f))


def _given_xmin(f: Findings) -> str:
    if f.N is not None:
        return "given xmin, as if the eigenvalues were independent, which they are not; --resamples N draws matrices"
    return "given xmin; where xmin was chosen from the data it is too narrow"


def _xmin(f: Findings) -> tuple[str, ...]:
    if f.xmin_low is None or f.xmin_high is None or f.xmin_low == f.xmin_high:
        return ()
    return (f"95 % interval {short(f.xmin_low) if f.xmin_low else 'anything up'} to {short(f.xmin_high)}",)


def _p_value(f: Findings) -> Iterator[tuple[str, bool]]:
    assert f.p_value is not None
    assert f.p_stderr is not None
    rejected = f.p_value <= 0.1
    verdict = "at most 0.1: a power law is rejected" if rejected else "above 0.1: a power law is not rejected"
    notes = [f"+- {f.p_stderr:.1g}, of Clauset, Shalizi and Newman; {verdict}"]
    if f.p_scaled is not None:
        notes.append(f"{f.p_scaled:.2g} of sqrt(n_tail) D, which is uniform under a power law as the first is not")
    if f.N is not None:
        notes.append("both as if the eigenvalues were independent, which they are not")
    yield from entry("p", f"{f.p_value:.2g}", *notes, flagged=rejected)


def _flags(f: Findings) -> Iterator[tuple[str, bool]]:
    yield from words("status", f.status if f.remedy is None else f"{f.status}: {f.remedy}", flagged=bool(f.remedy))
    if f.clear_minimum:
        yield from words("search", "D has a clear minimum")
    elif f.clear_minimum is False:
        yield from words(
            "search", "D has no clear minimum: it is as low at another xmin, with another alpha", flagged=True
        )
    elif f.n > LARGEST_SCAN:
        note = f"for more than {LARGEST_SCAN} values D(xmin) is looked at and drawn with --picture PATH only"
        yield from words("search", note)
    if f.bulk_share is not None and f.lambda_plus is not None:
        note = f"{100 * f.bulk_share:.0f} % of the tail lies inside the Marchenko-Pastur bulk, which ends at "
        note += short(f.lambda_plus)
        if f.in_bulk:
            note += ": this fits the edge of the bulk, not a tail"
        yield from words("bulk", note, flagged=bool(f.in_bulk))
    if f.n_failed:
        yield from words(
            "resamples", f"{f.n_failed} of {f.n_resamples + f.n_matrices} could not be fitted", flagged=True
        )


_LAWS = {
    "PowerLaw": "power law",
    "TruncatedPareto": "power law up to xmax",
    "ExpTruncated": "power law with cutoff",
    "LogNormal": "log-normal",
    "StretchedExponential": "stretched exponential",
    "Exponential": "exponential",
}


def _comparison(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "Other laws above the same xmin. R: log-likelihood of the power law minus theirs;"
    yield "p: of no difference. One is favoured at p <= 0.1."
    yield f"{'law':22} {'parameters':29} {'R':>8} {'p':>7}  favoured"
    for row in rows:
        law = f"{_LAWS[row['law']]:22} {_parameters(row):29}"
        if row["favoured"] is None:  # the power law itself
            yield law.rstrip()
            continue
        favoured = {"PowerLaw": "power law", row["law"]: "this law", "no fit": "no fit"}.get(row["favoured"], "neither")
        p = row["p_nested"] if row["nested"] else row["p_vuong"]
        yield f"{law} {_or_dash(row['R'], 'z.2f'):>8} {_or_dash(p, '.2g'):>7}  {favoured}"


def _parameters(row: dict[str, Any]) -> str:
    if row["status"] == "BOUND_REACHED" and "alpha" not in row["values"]:
        return "at its limit, the power law"
    return ", ".join(f"{name} {x:.3g}" for name, x in row["values"].items())


def _or_dash(x: float | None, spec: str) -> str:
    return "-" if x is None else format(x, spec)
