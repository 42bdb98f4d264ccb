"""The text that `rmt card` prints: 80 columns, plain when piped."""

import math
from collections.abc import Iterator

from rmt.calibration.card import JUDGED, LEVEL, Card
from rmt.calibration.classes import CLASSES, DECIDED, UNDECIDED
from rmt.calibration.mu import MuEstimate
from rmt.calibration.noise import LEVELS
from rmt.calibration.nulls import SPIKE_LEVEL, STATISTICS, VERDICTS, NullTest
from rmt.cli.sharing import entry, short, words
from rmt.phases import Phase
from rmt.tails import Status

_STATISTIC, _OBSERVED, _MEDIAN, _P = 15, 9, 9, 9
_NAMES: dict[str, str] = dict(
    zip(STATISTICS, ("alpha", "lambda_max", "spikes", "distance to MP", "D", "null to nulls"), strict=True)
)
_KINDS: dict[str, str] = dict(
    zip(
        CLASSES,
        (
            "independent entries, light-tailed",
            "light-tailed entries, independent but for 1 to 10 spikes",
            "independent entries of mu = 4 to 8",
            "independent entries of mu = 2 to 4",
            "independent entries of mu = 0.4 to 2",
        ),
        strict=True,
    )
)
_RATES = {
    "near-random": "not said of at most {} of Gaussian matrices",
    "heavy entries": "said of at most {} of Gaussian matrices",
    "correlated": "said of at most {} of matrices of independent entries",
}
_FEWEST = 0.005
"""Probabilities below it are left out."""


def lines(name: str, card: Card, asked: int) -> Iterator[tuple[str, bool]]:
    """Lines, and whether each is a warning.

    Args:
        name: of the file.
        card: its card.
        asked: replicates of each null that were asked for.
    """
    yield f"{name}: {card.s.N} x {card.s.M}, Q = {card.s.Q:.3g}", False
    yield "", False
    yield from _verdict(card)
    yield from _alpha(card)
    yield from _phase(card)
    yield from _class(card)
    yield from _mu(card)
    if card.verdict == "correlated" and (card.class_ or card.mu):
        note = "spikes added or not, whose spectrum is most like this one; its own are not independent"
        yield from words("", f"class and mu describe the matrix of independent entries, {note}")
    yield "", False
    yield from ((line.rstrip(), False) for line in _nulls(card))
    remarks = list(card.remarks)
    if card.localised:
        remarks.append("single entries make eigenvalues of their own: beside its shuffled entries only the ESD decides")
    if card.n_nulls < asked:
        remarks.append(f"{card.n_nulls} replicates instead of {asked}, since N M^2 is large")
    if remarks:
        yield "", False
        for i, remark in enumerate(remarks):
            yield from words("" if i else "remarks", remark)


def _verdict(card: Card) -> Iterator[tuple[str, bool]]:
    note = f"{card.verdict}: {VERDICTS[card.verdict]}"
    if card.verdict == "not tested":
        yield from words("verdict", note, flagged=True)
        return
    gaussian, shuffled = (_p(card.p_adjusted[null]) for null in JUDGED)
    p = f"p {gaussian} against Gaussian matrices, p {shuffled} against its own entries shuffled (Holm)"
    yield from words("verdict", note, f"{p}; {_RATES[card.verdict].format(_percent(LEVEL))}")


def _alpha(card: Card) -> Iterator[tuple[str, bool]]:
    fit, M = card.fit, card.s.M
    status = Status(int(fit.status))
    if status.failed:
        yield from words("alpha", f"none: {status.remedy}", flagged=True)
        return
    notes = [f"+- {float(fit.stderr):.2g} given xmin = {short(float(fit.xmin))}; {int(fit.n_tail)} of {M} eigenvalues"]
    if math.isfinite(card.alpha_threshold):
        below = f"{_percent(LEVEL)} of noise of this shape is below {short(card.alpha_threshold)}"
        notes.append(f"{below}, and this small with p {_p(card.alpha_p, LEVELS[0], LEVELS[-1])}")
    yield from entry("alpha", short(float(fit.alpha)), *notes)
    note = ""
    if math.isfinite(card.ks_threshold):
        note = f"independent power-law values exceed {card.ks_threshold:.3g} in {_percent(LEVEL)}"
    rejected = float(fit.ks) > card.ks_threshold
    yield from entry("D", f"{float(fit.ks):.3g}", note + ": no power law" if rejected else note, flagged=rejected)
    if status != Status.OK:
        yield from words("status", f"{status.name}: {status.remedy}", flagged=True)


def _phase(card: Card) -> Iterator[tuple[str, bool]]:
    s, phase = card.s, card.phase
    if phase == Phase.UNDEFINED:
        yield from words("phase", "none: see the remarks")
    elif phase == Phase.RANK_COLLAPSE:
        zeros = s.M - int(s.rank)
        yield from words("phase", f"{phase.label}: {zeros} of {s.M} eigenvalues are zero to within their error")
    else:
        outside = f"{card.n_outside} of {s.M} eigenvalues"
        if phase in (Phase.HEAVY_TAILED, Phase.BULK_DECAY):
            note = f"no Marchenko-Pastur bulk; {outside} above {short(card.edge)}, where one would end"
        else:
            note = f"{outside} outside of the bulk, above {short(card.edge)}; {_percent(SPIKE_LEVEL)} of noise has any"
        yield from words("phase", f"{phase.label}: {note}")
    end = f"above {short(card.spike_edge)}, the edge of light-tailed entries of this mean square"
    yield from entry("spikes", str(card.n_spikes), f"{end}; {_percent(SPIKE_LEVEL)} of noise has any")


def _class(card: Card) -> Iterator[tuple[str, bool]]:
    found, block = card.class_, _of_block(card.class_shape, card)
    if found is None:
        yield from words("class", "none: see the remarks")
        return
    if found.unlike > 1:
        note = f"none: its spectrum is {found.unlike:.2g} times as far from those of the five kinds as 1 % of them are"
        yield from words("class", note + block, flagged=True)
        return
    probable = sorted(found.probabilities.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{name} {p:.2f}" for name, p in probable if p >= _FEWEST)
    if found.name == UNDECIDED:
        kind = f"{' or '.join(found.likely)}, as no probability is {DECIDED} or more"
    elif card.class_name == UNDECIDED:
        kind = f"most like {found.name}, but no heavy tail of independent entries has this spectrum"
    else:
        kind = _KINDS[found.name]
    note = f"{shares}: probabilities if it is of one of the five kinds, each as likely before"
    yield from words("class", f"{card.class_name}: {kind}", note + block)


def _mu(card: Card) -> Iterator[tuple[str, bool]]:
    if card.mu is None:
        yield from words("mu", "none: see the remarks")
        return
    found, block = card.mu, _of_block(card.mu_shape, card)
    if math.isnan(found.mu):
        note = f"no mu of independent entries of {', '.join(found.refused)} makes such a spectrum, at 1 %{block}"
        yield from words("mu", note, flagged=True)
        return
    by_entries = ", ".join(f"{name} {_range(each)}" for name, each in found.by_entries.items())
    refused = f"; refused at 1 %: {', '.join(found.refused)}" if found.refused else ""
    bound = "; the spectrum cannot tell it from lighter tails" if found.interval[1] == math.inf else ""
    yield from words(
        "mu",
        f"{_range(found)} (95 %), if its entries are independent{bound}{block}",
        f"by their law: {by_entries}{refused}",
    )


def _range(found: MuEstimate) -> str:
    """Estimate and interval, or the bound."""
    low, high = found.interval
    if high == math.inf:
        return f"at least {low:.3g}" if low > 0 else "anything"
    if low == 0:
        return f"at most {high:.3g}"
    return f"{found.mu:.3g} [{low:.3g}, {high:.3g}]"


def _of_block(shape: tuple[int, int] | None, card: Card) -> str:
    if shape is None or shape == (card.s.N, card.s.M):
        return ""
    return f"; of a random block of {shape[0]} x {shape[1]}, as far as the table reaches"


def _nulls(card: Card) -> Iterator[str]:
    """The table of statistics beside the nulls."""
    yield " " * (_STATISTIC + _OBSERVED) + "".join(f"{null:>{_MEDIAN + _P - 1}} " for null in card.tests)
    yield f"{'':{_STATISTIC}}{'observed':>{_OBSERVED}}" + f"{'median':>{_MEDIAN}}{'p':>{_P - 1}} " * len(card.tests)
    for what, name in _NAMES.items():
        tests = [of[what] for of in card.tests.values()]
        observed = _cell(tests[0].observed, what)
        if what == "esd":  # from each null another
            yield f"{'ESD to nulls':{_STATISTIC + _OBSERVED}}" + "".join(
                f"{_cell(test.observed, what):>{_MEDIAN}}{'':{_P}}" for test in tests
            )
            observed = ""
        yield f"{name:{_STATISTIC}}{observed:>{_OBSERVED}}" + "".join(
            f"{_cell(test.median, what):>{_MEDIAN}}{_rank(test):>{_P}}" for test in tests
        )
    yield f"p: rank among {card.n_nulls} replicates; * beyond all of them, where Student's t decides"


def _rank(test: NullTest) -> str:
    return "- " if math.isnan(test.rank) else f"{test.rank:.2g}{'*' if test.beyond else ' '}"


def _cell(x: float, what: str) -> str:
    return "-" if math.isnan(x) else f"{x:.0f}" if what == "n_spikes" else f"{x:.3g}"


def _p(p: float, low: float = 0.001, high: float = 1.0) -> str:
    """A p-value that is known between these two, or no smaller than it is believed."""
    if p <= low * (1 + 1e-9):
        return f"<= {low:.3g}"
    return f">= {high:.3g}" if p >= high < 1 else f"= {p:.2g}"


def _percent(level: float) -> str:
    return f"{100 * level:g} %"
