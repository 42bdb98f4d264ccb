"""Claim 18: AlphaHat = alpha log10 lambda_max approximates log10 Tr X^alpha - well enough to tell matrices apart?"""

import numpy as np

import rmt
from rmt import inference, metrics, plots
from rmt.laws import ENTRY_LAWS

SMALL = (-np.inf, 0.2)  # of the spread that AlphaHat has between matrices
LOWEST = (-np.inf, 0.1)  # of the range [0, log10 M] that the gap can have
APART = (-np.inf, 0.1)  # share of pairs of matrices that the two order differently
ROUNDING = (-1e-9, 1 + 1e-9)
LAWS = ("signed Pareto", "Lomax")
MU = (0.75, 1.0, 1.5, 1.75, 2.25, 2.5, 3.0, 3.5)
Q = 2
UNITS = {"X = W^T W/N": 0, "X = W^T W": 1}  # power of N in X; WeightWatcher's is the second
SCALED, UNSCALED = UNITS


def measure(key, *, entries, M, mu):
    s = rmt.spectrum(rmt.IID(ENTRY_LAWS[entries](mu)).sample(key, (Q * M, M)))
    fit = rmt.fit_tail(s)
    return {
        "alpha": fit.alpha,
        "alpha_hat": metrics.alpha_hat(s, fit),
        "log_alpha_norm": metrics.log_alpha_norm(s, fit),
    }


def in_units(ds, units):
    """AlphaHat, log alpha-norm and their gap. X -> N X adds alpha log10 N to both: the gap has no unit."""
    shift = UNITS[units] * ds.alpha * np.log10(Q * ds.M)
    return ds.assign(
        alpha_hat=ds.alpha_hat + shift,
        log_alpha_norm=ds.log_alpha_norm + shift,
        gap=ds.log_alpha_norm - ds.alpha_hat,
        place=(ds.log_alpha_norm - ds.alpha_hat) / np.log10(ds.M),
    )


def judge(ds, estimate, claimed, statement, what, pooled=False):
    """`estimate(rows, comparisons)` of each law's draws at every mu, or of all mu pooled; the worst decides."""
    where = {"all mu together": ds.mu.values} if pooled else {f"mu = {mu:g}": mu for mu in ds.mu.values}
    rows = {f"{law}, {at}": ds.sel(entries=law, mu=mu) for law in LAWS for at, mu in where.items()}
    found = {at: estimate(row, len(rows)) for at, row in rows.items()}
    sentence = f"{what} {{x:.2f}} for {{at}}, the worst of {{count}}.{inference.left_out(ds.alpha)}"
    return rmt.Verdict.of_all(statement, found, claimed, sentence)


def gap_in_spreads(rows, comparisons):
    """Mean gap over the standard deviation of AlphaHat between these matrices."""
    return inference.bootstrap_interval(
        lambda gap, hat: float(np.mean(gap) / np.std(hat, ddof=1)),
        rows.gap.values.ravel(),
        rows.alpha_hat.values.ravel(),
        comparisons=comparisons,
        paired=True,
    )


def ordered_apart(rows, comparisons):
    """Share of disjoint pairs of draws of which AlphaHat and the log alpha-norm call another one the larger."""
    even = rows.isel(trial=slice(0, rows.sizes["trial"] // 2 * 2))
    hat, norm = (np.subtract(*x.values.reshape(-1, 2).T) for x in (even.alpha_hat, even.log_alpha_norm))
    apart = (hat * norm < 0)[np.isfinite(hat * norm)]
    return inference.proportion_interval(int(apart.sum()), apart.size, comparisons=comparisons)


def place(rows, comparisons):
    return inference.mean_interval(rows.place.values, comparisons=comparisons)


def identity(ds):
    """The whole range of places, not an estimate: the identity must hold in every trial."""
    where = ds.place.values[np.isfinite(ds.place.values)]
    low, high = float(where.min()), float(where.max())
    sentence = f"In {where.size} trials the gap lies between {low:.3f} and {high:.3f} times log10 M."
    statement = "Control: log10 Tr X^alpha - AlphaHat is never outside [0, log10 M]"
    return rmt.Verdict.judge(statement, high, (low, high), ROUNDING, where.size, sentence)


def check(ds):
    last = {units: in_units(ds, units).isel(M=-1) for units in UNITS}
    below, above = (last[SCALED].sel(mu=part) for part in (slice(None, 1.9), slice(2.1, None)))
    small = "AlphaHat is log10 Tr X^alpha but for a small part of its spread"
    low = "The gap is in the lowest tenth of [0, log10 M]"
    gap, pairs, where = "Mean gap over spread of AlphaHat:", "Pairs ordered differently:", "Mean gap over log10 M:"
    return [
        *(judge(last[u], gap_in_spreads, SMALL, f"{small} at one mu, {u}", gap) for u in UNITS),
        judge(last[SCALED], gap_in_spreads, SMALL, f"{small} across mu, {SCALED}", gap, pooled=True),
        *(judge(last[u], ordered_apart, APART, f"Both order matrices of one mu alike, {u}", pairs) for u in UNITS),
        judge(below, place, LOWEST, f"{low}, mu < 2", where),
        judge(above, place, LOWEST, f"{low}, mu > 2", where),
        identity(last[SCALED]),
    ]


def figure(ds):
    every = in_units(ds, SCALED)
    last, M, mu = every.isel(M=-1), ds.M.values, ds.mu.values
    titles = (LAWS[0], "place of the gap", f"{LAWS[0]}, gap against M", "gap over spread between draws")
    fig, axes = plots.figure(2, 2, titles=titles)
    [[scatter, where], [size, spread]] = axes
    for series, m in enumerate(mu[:: max(1, mu.size // 4)]):
        part = every.sel(entries=LAWS[0], mu=m)
        plots.scatter(scatter, part.alpha_hat.isel(M=-1), part.log_alpha_norm.isel(M=-1), f"mu = {m:g}")
        plots.points(size, M, part.gap.transpose("M", "trial"), f"mu = {m:g}", series)
    first = last.sel(entries=LAWS[0])
    ends = [float(first.alpha_hat.min()), float(first.log_alpha_norm.max())]
    plots.curve(scatter, ends, ends, "equal")
    scatter.set(xlabel=f"AlphaHat at M = {M[-1]}", ylabel="log10 Tr X^alpha")
    plots.curve(size, M, np.log10(M), "log10 M")
    plots.ticks_at(plots.log_axes(size, "x"), M).set(xlabel="M", ylabel="mean gap", ylim=(0, None))
    for law in LAWS:
        plots.points(where, mu, last.place.sel(entries=law).transpose("mu", "trial"), law)
        for units in UNITS:
            part = in_units(ds, units).isel(M=-1).sel(entries=law)
            found = inference.stack([gap_in_spreads(part.sel(mu=m), 2 * mu.size) for m in mu])
            plots.points(spread, mu, found, f"{law}, {units[4:]}")
    where.set(xlabel=f"mu, at M = {M[-1]}", ylabel="mean gap/log10 M", ylim=(0, 0.5))
    plots.log_axes(spread, "y").set(xlabel=f"mu, at M = {M[-1]}", ylabel="mean gap/spread")
    plots.band(where, 0, LOWEST[1])
    plots.band(spread, 1e-3, SMALL[1])
    plots.legend(*axes.flat)
    return fig


claim = rmt.Claim(
    name="alpha-norm",
    title="AlphaHat approximates the log alpha-norm",
    quote="AlphaHat = alpha log10 lambda_max stands in for the log alpha-norm, log10 Tr X^alpha: a few "
    "largest eigenvalues make its sum.",
    source="Martin & Mahoney, arXiv:2106.00734, where both are metrics, in our words; their gap is in [0, log10 M] for any X",
    criterion="Supported if at the largest M the mean gap is at most a fifth of the standard deviation that AlphaHat has between "
    "draws, at every mu and for both entry laws; contradicted if it is certainly more at one of them (simultaneous 95 % intervals). "
    "Same order: at most 10 % of pairs of draws ordered differently. Place: a mean gap of at most a tenth of log10 M. "
    "Identity: in every trial.",
    sizes={
        "smoke": rmt.Size({"entries": LAWS, "M": (30, 100), "mu": (0.75, 1.5, 2.5, 3.5)}, 20),
        "default": rmt.Size({"entries": LAWS, "M": (50, 100, 200), "mu": MU}, 200),
        "paper": rmt.Size({"entries": LAWS, "M": (50, 150, 500), "mu": MU}, 300),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="log10 Tr X^alpha against AlphaHat = alpha log10 lambda_max, one dot a matrix; where their gap lies between 0 and "
    "log10 M; its growth with M (N = 2 M); and the mean gap in standard deviations of AlphaHat over draws of the same mu, where "
    "X = W^T W moves AlphaHat by alpha log10 N and leaves the gap alone (simultaneous 95 % bootstrap intervals).",
)
