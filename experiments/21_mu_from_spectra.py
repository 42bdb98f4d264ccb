"""Claim 21: undoing the outlier map finds the tail index mu of the entries from the spectrum, where the raw alpha does not."""

import jax.numpy as jnp
import numpy as np
from scipy import stats

import rmt
from rmt import inference, plots

NEAR, COVERED, DECLINES, WRONG = (-0.2, 0.2), (0.9, 1.0), (0.9, 1.0), (0.95, 1.0)
MULTIPLE = 2.0  # of the threshold: nearer to it the edge of the bulk fluctuates, and outliers repel each other
FAR = 8.0  # below mu = 2 there is no bulk, and large entries reach down to its scale: only far out are they Pareto
FEWEST = 10  # outliers, whose Hill estimate has a relative error of 1/sqrt(k): with fewer "cannot say"
NOISE = "Gaussian"
LAWS = {
    "signed Pareto": rmt.Pareto,
    "signed Lomax": lambda mu: rmt.Lomax(mu, signed=True),
    "Student t": rmt.StudentT,
    NOISE: lambda mu: rmt.Gaussian(),
}
ESTIMATES = {"mu_outliers": "Outlier map undone", "mu_far": "The same, far out", "mu_raw": "2 (alpha - 1)"}
HEAVY = [law for law in LAWS if law != NOISE]
MU = (*np.arange(1.25, 3.3, 0.25), 3.75)
RANGES = {"mu < 2": (1.0, 1.9), "2 <= mu < 3": (2.0, 2.9), "3 <= mu < 4": (3.0, 3.9)}


def measure(key, *, entries, N, mu):
    s = rmt.spectrum(rmt.IID(LAWS[entries](mu)).sample(key, (N, N)))
    # The median eigenvalue belongs to the bulk however far the outliers go; where mu < 2 it is still the bulk's scale.
    sigma = jnp.sqrt(jnp.median(s.eigenvalues) / rmt.MarchenkoPastur(s.Q).ppf(0.5))
    k, near = hill(s, sigma, MULTIPLE)
    return {
        "k": k * 1.0,
        "mu_outliers": near,
        "mu_far": hill(s, sigma, FAR)[1],
        "mu_raw": 2 * (rmt.fit_tail(s).alpha - 1),
    }


def hill(s, sigma, multiple):
    """Number of outliers and the mu of the entries behind them, NaN for "cannot say"."""
    t = rmt.spikes.outlier_inverse(s.eigenvalues, s.Q, sigma)
    tmin = multiple * rmt.spikes.spike_threshold(s.Q, sigma) ** 2
    k = jnp.sum(t >= tmin)
    # P(w^2/N > t) ~ t^(-mu/2), so the density of t has the exponent mu/2 + 1; (k - 1)/k takes Hill's bias away
    mu = 2 * (rmt.fit_tail(t, rmt.Clauset(xmin=tmin)).alpha - 1) * (k - 1) / k
    return k, jnp.where(k >= FEWEST, mu, jnp.nan)


def part(ds, name, low, high, N=-1):
    """One variable for the heavy laws as (law, mu, trial), and the mu."""
    rows = ds.isel(N=N).sel(entries=HEAVY, mu=slice(low, high)).transpose("entries", "mu", "trial")
    return rows[name].values, rows.mu.values


def declined(ds):
    return ds.k < FEWEST


def accuracy(ds, name, regime):
    """Worst median error over the laws and the mu of a range, of the trials in which the estimator answers."""
    found, mu = part(ds, name, *RANGES[regime])
    error = found / mu[:, None] - 1
    cells = error.reshape(-1, error.shape[-1])
    i, worst = inference.worst(inference.median_interval(cells, comparisons=len(cells)), NEAR)
    silent = np.isnan(cells)
    said = f"median error {100 * worst.value:+.0f} %" if worst.n else "no answer at all"
    sentence = (
        f"{said} for {HEAVY[i // len(mu)]} entries at mu = {mu[i % len(mu)]:g}, N = {ds.N.values[-1]}, the worst of {len(cells)} "
        f"cells; it gives no number in {100 * silent.mean():.0f} % of all trials."
    )
    return rmt.Verdict.of(f"{ESTIMATES[name]}: within 20 % of mu, {regime}", worst, NEAR, sentence)


def coverage(ds, regime):
    """How often the exact Hill interval holds mu: 2 k mu_true/mu_hill is chi-squared with 2 k degrees of freedom."""
    found, mu = part(ds, "mu_outliers", *RANGES[regime])
    k, _ = part(ds, "k", *RANGES[regime])
    level = stats.chi2.cdf(2 * (k - 1) * mu[:, None] / found, 2 * k)
    inside = np.where(np.isnan(level), np.nan, (level > 0.025) & (level < 0.975)).reshape(-1, k.shape[-1])
    rows = [(int(np.nansum(row)), int(np.sum(~np.isnan(row)))) for row in inside]
    judged = [row for row in rows if row[1] >= 10] or [(0, 0)]
    each = inference.stack([inference.proportion_interval(*row, comparisons=len(judged)) for row in judged])
    statement = f"The 95 % Hill interval of the undone map holds mu in at least 90 % of trials, {regime}"
    _, worst = inference.worst(each, COVERED)
    sentence = (
        f"{worst.value:.0%} in the worst of {len(each.n)} cells with ten answers or more; in all "
        f"{np.nansum(inside):.0f} of {np.sum(~np.isnan(inside))}."
    )
    return rmt.Verdict.of(statement, worst, COVERED, sentence)


def cannot_say(ds):
    rows, mu = part(ds, "k", 3.5, None)
    cells = (rows < FEWEST).reshape(-1, rows.shape[-1])
    each = [inference.proportion_interval(int(row.sum()), row.size, comparisons=len(cells)) for row in cells]
    _, worst = inference.worst(inference.stack(each), DECLINES)
    sentence = (
        f"Fewer than {FEWEST} outliers in {100 * worst.value:.0f} % of matrices in the worst cell, {np.median(rows):.0f} in the "
        f"median one, at N = {ds.N.values[-1]} for mu = {', '.join(f'{m:g}' for m in mu)}."
    )
    statement = "Above mu = 3.5 a matrix does not identify mu: too few outliers in at least 90 %"
    return rmt.Verdict.of(statement, worst, DECLINES, sentence)


def silent_on_noise(ds):
    noise = declined(ds).sel(entries=NOISE).values
    share = inference.proportion_interval(int(noise.sum()), noise.size)
    sentence = f"It declines {noise.sum()} of {noise.size} matrices; the most outliers in one are {int(ds.k.sel(entries=NOISE).max())}."
    statement = "Negative control: on Gaussian noise it says that it cannot say, in 95 % of matrices"
    return rmt.Verdict.of(statement, share, WRONG, sentence)


def check(ds):
    low, middle, high = RANGES
    return [
        accuracy(ds, "mu_outliers", low),
        accuracy(ds, "mu_outliers", middle),
        accuracy(ds, "mu_far", low),
        accuracy(ds, "mu_raw", low),
        accuracy(ds, "mu_raw", middle),
        accuracy(ds, "mu_raw", high),
        coverage(ds, low),
        coverage(ds, middle),
        cannot_say(ds),
        silent_on_noise(ds),
    ]


def figure(ds):
    N, mu = ds.N.values, ds.mu.values
    titles = (
        f"outlier map undone, N = {N[-1]}",
        f"2 (alpha - 1), N = {N[-1]}",
        "how often it cannot say",
        "outliers, signed Pareto",
    )
    fig, [[undone, raw], [silent, count]] = plots.figure(2, 2, titles)
    for ax, name, top in ((undone, "mu_outliers", 5), (raw, "mu_raw", 12)):
        for law in HEAVY:
            rows = ds[name].isel(N=-1).sel(entries=law).transpose("mu", "trial").values
            plots.points(ax, mu, inference.median_interval(rows), law)
        plots.curve(ax, mu, mu, "mu")
        ax.set(xlabel="mu", ylabel="estimate of mu", ylim=(0, top))
    rows = ds.mu_far.isel(N=-1).sel(entries=HEAVY[0]).transpose("mu", "trial").values
    plots.points(undone, mu, inference.median_interval(rows), f"{HEAVY[0]}, far out")
    for law in LAWS:
        plots.points(silent, mu, declined(ds).isel(N=-1).sel(entries=law).mean("trial").values, law)
    silent.set(xlabel="mu", ylabel=f"share below {FEWEST} outliers", ylim=(-0.05, 1.05))
    for n in N:
        rows = ds.k.sel(entries=HEAVY[0], N=n).transpose("mu", "trial").values
        plots.points(count, mu, inference.median_interval(rows + 0.5), f"N = {n}")
    plots.curve(count, mu, np.full(len(mu), FEWEST), f"{FEWEST}, needed")
    plots.log_axes(count, "y").set(xlabel="mu", ylabel="outliers + 1/2")
    for ax in (undone, raw, silent, count):
        plots.legend(ax)
    return fig


def _size(N, mu, n_trials):
    return rmt.Size({"entries": tuple(LAWS), "N": N, "mu": mu}, n_trials)


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
        "smoke": _size((100, 200), (1.25, 1.75, 2.25, 2.75, 3.5), 12),
        "default": _size((200, 500), MU, 48),
        "paper": _size((200, 500, 1000), MU, 60),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Estimates of mu from the spectrum of square matrices, medians of the trials that give one with 95 % intervals; the share "
    "of trials with too few outliers, and how many there are. At paper size 60 trials a point: N = 1000 is costly.",
)
