"""Claim 21: undoing the outlier map finds the tail index mu of the entries from the spectrum, where the raw alpha does not."""

import jax.numpy as jnp
import numpy as np
from scipy import stats

import rmt
from rmt import inference, metrics, plots
from rmt.laws import ENTRY_LAWS
from rmt.tails import outlier_tail_index

NEAR, COVERED, DECLINES, WRONG = (-0.2, 0.2), (0.9, 1.0), (0.9, 1.0), (0.95, 1.0)
MULTIPLE = 2.0  # of the threshold: nearer to it the edge of the bulk fluctuates, and outliers repel each other
FAR = 8.0  # below mu = 2 there is no bulk, and large entries reach down to its scale: only far out are they Pareto
FEWEST = 10  # outliers, whose Hill estimate has a relative error of 1/sqrt(k): with fewer "cannot say"
NOISE, HEAVY = "Gaussian", ("signed Pareto", "signed Lomax", "Student t")
LAWS = {**ENTRY_LAWS, "Student t": rmt.StudentT, NOISE: lambda mu: rmt.Gaussian()}
ESTIMATES = {"mu_outliers": "Outlier map undone", "mu_far": "The same, far out", "mu_raw": "2 (alpha - 1)"}
MU = (*np.arange(1.25, 3.3, 0.25), 3.75)
RANGES = {"mu < 2": (1.0, 1.9), "2 <= mu < 3": (2.0, 2.9), "3 <= mu < 4": (3.0, 3.9)}


def measure(key, *, entries, N, mu):
    s = rmt.spectrum(rmt.IID(LAWS[entries](mu)).sample(key, (N, N)))
    # The median eigenvalue belongs to the bulk however far the outliers go; where mu < 2 it is still the bulk's scale.
    sigma = jnp.sqrt(metrics.bulk_variance(s))
    (k, near), (_, far) = (outlier_tail_index(s, sigma, multiple, FEWEST) for multiple in (MULTIPLE, FAR))
    return {"k": k * 1.0, "mu_outliers": near, "mu_far": far, "mu_raw": 2 * (rmt.fit_tail(s).alpha - 1)}


def cells(ds, name, low, high):
    """The trials of each (heavy law, mu) at the largest N."""
    rows = ds[name].isel(N=-1).sel(mu=slice(low, high))
    return {(law, mu): rows.sel(entries=law, mu=mu).values for law in HEAVY for mu in rows.mu.values}


def accuracy(ds, name, regime):
    """Worst median error over the laws and the mu of a range, of the trials in which the estimator answers."""
    rows = cells(ds, name, *RANGES[regime])
    found = [inference.median_interval(row / mu - 1, comparisons=len(rows)) for (_, mu), row in rows.items()]
    i, worst = inference.worst(inference.stack(found), NEAR)
    law, mu = list(rows)[i]
    said = f"median error {100 * worst.value:+.0f} %" if worst.n else "no answer at all"
    sentence = (
        f"{said} for {law} entries at mu = {mu:g}, N = {ds.N.values[-1]}, the worst of {len(rows)} cells; it gives no number in "
        f"{100 * np.isnan([*rows.values()]).mean():.0f} % of all trials."
    )
    return rmt.Verdict.of(f"{ESTIMATES[name]}: within 20 % of mu, {regime}", worst, NEAR, sentence)


def shares(rows):
    """The share of trials in which it is so, of each cell."""
    return {at: inference.proportion_interval(row.sum(), row.size, comparisons=len(rows)) for at, row in rows.items()}


def coverage(ds, regime):
    """How often the exact Hill interval holds mu: 2 k mu_true/mu_hill is chi-squared with 2 k degrees of freedom."""
    k, found = (cells(ds, name, *RANGES[regime]) for name in ("k", "mu_outliers"))
    level = {at: stats.chi2.cdf(2 * (k[at] - 1) * at[1] / found[at], 2 * k[at])[k[at] >= FEWEST] for at in k}
    inside = {at: (p > 0.025) & (p < 0.975) for at, p in level.items()}
    judged = {at: row for at, row in inside.items() if row.size >= 10}
    statement = f"The 95 % Hill interval of the undone map holds mu in at least 90 % of trials, {regime}"
    if not judged:
        return rmt.Verdict.not_tested(statement, "no cell has ten answers.")
    every = np.concatenate([*inside.values()])
    sentence = f"{{percent:.0f}} % in the worst of {{count}} cells of ten answers or more; in all {every.sum()} of {every.size}."
    return rmt.Verdict.of_all(statement, shares(judged), COVERED, sentence)


def declines(statement, k, claimed):
    """Are there too few outliers to say, in every cell of a family?"""
    every = np.stack([*k.values()])
    few = shares({at: row < FEWEST for at, row in k.items()})
    sentence = f"Fewer than {FEWEST} outliers in {{percent:.0f}} % of matrices of the worst cell; the median matrix of all has "
    sentence += f"{np.median(every):.0f}, none more than {every.max():.0f}."
    return rmt.Verdict.of_all(statement, few, claimed, sentence)


def check(ds):
    low, middle, high = RANGES
    beyond, noise = cells(ds, "k", 3.5, None), {NOISE: ds.k.sel(entries=NOISE).values.ravel()}
    return [
        *(accuracy(ds, "mu_outliers", regime) for regime in (low, middle)),
        accuracy(ds, "mu_far", low),
        *(accuracy(ds, "mu_raw", regime) for regime in (low, middle, high)),
        *(coverage(ds, regime) for regime in (low, middle)),
        declines("Above mu = 3.5 a matrix does not identify mu: too few outliers in at least 90 %", beyond, DECLINES),
        declines("Negative control: on Gaussian noise it says that it cannot say, in 95 % of matrices", noise, WRONG),
    ]


def figure(ds):
    ds = ds.transpose(..., "mu", "trial")
    N, mu, last = ds.N.values, ds.mu.values, ds.isel(N=-1)
    titles = ("outlier map undone", "2 (alpha - 1)", "how often it cannot say", f"outliers, {HEAVY[0]}")
    fig, axes = plots.figure(2, 2, titles)
    [[undone, raw], [silent, count]] = axes
    for ax, name, top in ((undone, "mu_outliers", 5), (raw, "mu_raw", 12)):
        for law in HEAVY:
            plots.points(ax, mu, inference.median_interval(last[name].sel(entries=law)), law)
        plots.curve(ax, mu, mu, "mu")
        ax.set(ylabel=f"estimate of mu at N = {N[-1]}", ylim=(0, top))
    plots.points(undone, mu, inference.median_interval(last.mu_far.sel(entries=HEAVY[0])), f"{HEAVY[0]}, far out")
    for law in (*HEAVY, NOISE):
        plots.points(silent, mu, (last.k < FEWEST).sel(entries=law).mean("trial"), law)
    silent.set(ylabel=f"share below {FEWEST} outliers", ylim=(-0.05, 1.05))
    for n in N:
        plots.points(count, mu, inference.median_interval(ds.k.sel(entries=HEAVY[0], N=n) + 0.5), f"N = {n}")
    plots.curve(count, mu, np.full(len(mu), FEWEST), f"{FEWEST}, needed")
    plots.log_axes(count, "y").set(ylabel="outliers + 1/2")
    for ax in axes.flat:
        ax.set_xlabel("mu")
        plots.legend(ax)
    return fig


def _size(N, mu, n_trials):
    return rmt.Size({"entries": (*HEAVY, NOISE), "N": N, "mu": mu}, n_trials)


claim = rmt.Claim(
    name="mu-from-spectra",
    title="Undoing the outlier map recovers mu, and knows when it cannot",
    quote="Eigenvalues outside the bulk are g(w^2/N) of single large entries w: undoing g and a Hill estimate give back their tail "
    "index mu, for mu between 1 and 3, where mu = 2 (alpha - 1) from a fit of the raw spectrum does not.",
    source="Ours; the outlier map after Biroli, Bouchaud & Potters 2007; the raw reading after Martin & Mahoney, SDM 2020, eq 4a",
    criterion=f"sigma from the median eigenvalue; outliers: t > {MULTIPLE:g} times the threshold (far out: {FAR:g}); fewer than "
    f"{FEWEST}: cannot say. Supported if at the largest N the median estimate, where there is one, is within 20 % of mu for every "
    "law and every mu of the range; interval: at least 90 % coverage in every cell; cannot say: at least 90 % of matrices at "
    "mu >= 3.5, and 95 % of Gaussian ones. Simultaneous 95 % intervals.",
    sizes={
        "smoke": _size((150,), (1.25, 1.75, 2.25, 2.75, 3.5), 12),
        "default": _size((200, 500), MU, 48),
        "paper": _size((200, 500, 1000), MU, 100),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Estimates of mu from the spectrum of square matrices, medians of the trials that give one with 95 % intervals; the share "
    "of trials with too few outliers, and how many there are.",
)
