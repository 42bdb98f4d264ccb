"""Claim 6: alpha = mu/2 + 1 for mu < 2 already at M, N ~ 100 - and how far off is one matrix, which is all that a user has?"""

import numpy as np

import rmt
from rmt import inference, plots
from rmt.laws import ENTRY_LAWS

CLAIMED = (-0.1, 0.1)  # relative error of alpha
MOST = (0.9, 1.0)  # share of single matrices within that margin
SMALL = 100  # "very small", in the words of the claim
LAWS = ("signed Pareto", "Lomax")


def measure(key, *, entries, M, Q, mu):
    fit = rmt.fit_tail(rmt.spectrum(rmt.IID(ENTRY_LAWS[entries](mu)).sample(key, (Q * M, M))))
    return {"alpha": fit.alpha, "n_tail": fit.n_tail * 1.0}


def errors(ds, target=lambda mu: mu / 2 + 1, **where):
    """alpha/target - 1 as (case, trial), a case being an entry law, a Q and a mu; and the cases in words."""
    part = ds.alpha.sel(**where).stack(case=("entries", "Q", "mu")).transpose("case", ..., "trial")
    words = [f"mu = {mu:g}, {law}, Q = {Q}" for law, Q, mu in part.case.values]
    alpha = part.values
    return alpha / target(part.mu.values).reshape(-1, *[1] * (alpha.ndim - 1)) - 1, words


def failures(error):
    count = int(np.isnan(error).sum())
    return f" {count} of {error.size} fits failed and are left out." if count else ""


def accurate(ds, M, laws, statement):
    """Is the mean alpha within the margin in every case?"""
    error, words = errors(ds, M=M, entries=list(laws))
    i, worst = inference.worst(inference.mean_interval(error, comparisons=len(words)), CLAIMED)
    sentence = (
        f"Mean fitted alpha is {100 * worst.value:+.1f} % off mu/2 + 1 at {words[i]}, the worst of {len(words)} cases."
    )
    return rmt.Verdict.of(statement, worst, CLAIMED, sentence + failures(error))


def trend(ds):
    """Does the error above mu = 1, averaged over mu, fall with M? Its slope per factor 10 of M, in the direction of 0."""
    part = ds.alpha.sel(mu=slice(1.0, None)).transpose("entries", "Q", "mu", "M", "trial")
    error = (part / (part.mu / 2 + 1) - 1).mean("mu", skipna=False)
    cases = [(law, Q) for law in ds.entries.values for Q in ds.Q.values]
    slopes, ends = [], []
    for law, Q in cases:
        rows = error.sel(entries=law, Q=Q).values
        mean = np.nanmean(rows, axis=1)
        ends.append(mean)
        toward_zero = np.sign(mean.mean()) * rows
        slopes.append(inference.fit_line(np.log10(ds.M.values), toward_zero, comparisons=len(cases)).slope)
    i, worst = inference.worst(inference.stack(slopes), (-np.inf, 0.0))
    every = ", ".join(
        f"{law} Q = {Q}: {100 * e[0]:+.1f} to {100 * e[-1]:+.1f} %" for (law, Q), e in zip(cases, ends, strict=True)
    )
    sentence = (
        f"From M = {ds.M.values[0]} to {ds.M.values[-1]} the mean error above mu = 1 goes: {every}; the worst case is "
        f"{cases[i][0]} Q = {cases[i][1]}, {100 * worst.value:+.1f} % per factor 10."
    )
    statement = "The error of the mean alpha above mu = 1 falls with M"
    return rmt.Verdict.of(statement, worst, (-np.inf, 0.0), sentence)


def single(ds):
    """How often is one small matrix within the margin?"""
    error, words = errors(ds, M=SMALL)
    fitted = [row[~np.isnan(row)] for row in error]
    hits = [
        inference.proportion_interval(int((abs(e) <= CLAIMED[1]).sum()), e.size, comparisons=len(error)) for e in fitted
    ]
    i, worst = inference.worst(inference.stack(hits), MOST)
    sd = float(np.std(error[i][~np.isnan(error[i])], ddof=1))
    sentence = (
        f"{100 * worst.value:.0f} % of single matrices are that near at {words[i]}, the worst of {len(words)} cases; the sd of "
        f"one alpha there is {100 * sd:.0f} % of mu/2 + 1, and {100 * float(np.nanstd(error)):.0f} % is the rms over all cases."
    )
    statement = f"One matrix is enough: 90 % of alphas at M = {SMALL} are within 10 % of mu/2 + 1"
    return rmt.Verdict.of(statement, worst, MOST, sentence + failures(error))


def control(ds):
    """The margin must be able to tell a wrong law: one exponent for the class."""
    error, words = errors(ds, target=lambda mu: 1.6 + 0 * mu, M=SMALL)
    i, worst = inference.worst(inference.mean_interval(error, comparisons=len(words)), CLAIMED)
    sentence = f"Mean alpha is {100 * worst.value:+.0f} % off 1.6, the middle of the range, at {words[i]}."
    statement = f"Control: alpha is the same for every mu < 2, at M = {SMALL}"
    return rmt.Verdict.of(statement, worst, CLAIMED, sentence)


def check(ds):
    smallest = int(ds.M.values[0])
    return [
        accurate(ds, SMALL, LAWS, f"alpha = mu/2 + 1 for mu < 2 at M = {SMALL}, both entry laws"),
        accurate(ds, SMALL, ["Lomax"], f"alpha = mu/2 + 1 for mu < 2 at M = {SMALL}, Lomax as published"),
        accurate(ds, SMALL, ["signed Pareto"], f"alpha = mu/2 + 1 for mu < 2 at M = {SMALL}, signed Pareto"),
        accurate(ds, smallest, LAWS, f"alpha = mu/2 + 1 for mu < 2 at M = {smallest}, both entry laws"),
        trend(ds),
        single(ds),
        control(ds),
    ]


def figure(ds):
    mu, Q = ds.mu.values, ds.Q.values[-1]
    titles = [f"{law}, Q = {Q}: mean alpha" for law in LAWS] + [
        f"{law}, Q = {Q}: one matrix, M = {SMALL}" for law in LAWS
    ]
    fig, axes = plots.figure(rows=2, cols=2, titles=titles)
    for top, bottom, law in zip(*axes, LAWS, strict=True):
        for M in ds.M.values:
            plots.points(top, mu, ds.alpha.sel(entries=law, M=M, Q=Q).transpose("mu", "trial"), f"M = {M}")
        trials = ds.alpha.sel(entries=law, M=SMALL, Q=Q).transpose("mu", "trial").values
        low, middle, high = np.nanquantile(trials, (0.025, 0.5, 0.975), axis=1)
        spread = inference.Estimate(middle, low, high, np.sum(~np.isnan(trials), axis=1))
        plots.points(bottom, mu, spread, "median and central 95 % of matrices")
        for ax in (top, bottom):
            plots.published(ax, mu, mu / 2 + 1, "published: mu/2 + 1")
            ax.fill_between(
                mu, 0.9 * (mu / 2 + 1), 1.1 * (mu / 2 + 1), color=plots.INK, alpha=0.08, linewidth=0, label="10 %"
            )
            ax.set(xlabel="mu", ylabel="fitted alpha", ylim=(1, 4 if ax is bottom else 2.8))
            plots.legend(ax)
    return fig


def _size(M, mu, n_trials, Q=(1, 2)):
    return rmt.Size({"entries": LAWS, "M": M, "Q": Q, "mu": mu}, n_trials)


_EVERY = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 1.9)

claim = rmt.Claim(
    name="small-matrices",
    title="alpha = mu/2 + 1 at M, N ~ 100",
    quote='For mu < 2, alpha = mu/2 + 1 "works very well at finite size, even for very small matrices (M, N ~ 100)".',
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 2, eq 4a",
    criterion="Supported if the mean fitted alpha is within 10 % of mu/2 + 1 in every case, a case being an entry law, Q and mu; "
    "contradicted if in some case it is certainly not (simultaneous 95 % intervals). The error falls with M if its slope in "
    "log M is below 0 in each case. One matrix is enough if at least 90 % of alphas are within 10 % in every case.",
    sizes={
        "smoke": _size((50, 100), (0.5, 1.1, 1.9), 10, (1,)),
        "default": _size((50, 100, 200), _EVERY, 80),
        "paper": _size((50, 100, 200, 500), _EVERY, 200),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Fitted alpha against mu. Top: mean and standard error for each M. Bottom: where 95 % of single matrices with "
    "M = 100 lie. Shaded: within 10 % of the published line.",
)
