"""Claim 12: the PL-Norm relation, alpha log lambda_max ~ log ||W||_F^2, against mu, N and the scale of W."""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, metrics, plots
from rmt.laws import ENTRY_LAWS

CLAIMED = (-0.1, 0.1)
AS_PUBLISHED, ZERO_MEAN = "Lomax", "signed Lomax"
SCALES = (0.1, 1.0, 10.0)


def measure(key, *, entries, N, mu):
    s = rmt.spectrum(rmt.IID(ENTRY_LAWS[entries](mu)).sample(key, (N, N)))
    fit = rmt.fit_tail(s)
    return {
        "alpha": fit.alpha,
        "log_lambda_max": jnp.log10(s.lambda_max),
        "log_frobenius": metrics.log_frobenius_norm(s),
    }


def log_units_rank(ds, scale=1.0):
    """R = log ||c W||_F^2 / log lambda_max(c W): both logarithms move by 2 log c, exactly."""
    shift = 2 * np.log10(scale)
    return (ds.log_frobenius + shift) / (ds.log_lambda_max + shift)


def mean_spike_rank(mu, N):
    """R of Lomax entries, mu > 2: lambda_max = (sigma^2 + t)^2 / t with t = N m^2, ||W||_F^2 = N^2 (sigma^2 + m^2)."""
    m, variance = 1 / (mu - 1), mu / ((mu - 1) ** 2 * (mu - 2))
    t = N * m**2
    return np.log10(N**2 * (variance + m**2)) / np.log10((variance + t) ** 2 / t)


def judge(ratio, mu, statement, what, claimed=CLAIMED):
    """`ratio` is (mu, trial): is it 1 within the margin at every mu?"""
    error = inference.mean_interval(ratio - 1, comparisons=len(mu))
    i, worst = inference.worst(error, claimed)
    sentence = f"{what} by {100 * worst.value:+.1f} % at mu = {mu[i]:g}, the worst of {len(mu)} values."
    return rmt.Verdict.of(statement, worst, claimed, sentence)


def part(ds, entries, low, high):
    return ds.sel(entries=entries, mu=slice(low, high)).isel(N=-1).transpose("mu", "trial")


def check(ds):
    N = int(ds.N[-1])
    verdicts = []
    for entries, low, high, statement in (
        (AS_PUBLISHED, 0.5, 1.75, "mu < 2, Lomax as published"),
        (AS_PUBLISHED, 2.25, 3.75, "2 < mu < 4, Lomax as published"),
        (ZERO_MEAN, 2.25, 3.75, "2 < mu < 4, with random signs"),
    ):
        rows = part(ds, entries, low, high)
        ratio = log_units_rank(rows) / rows.alpha
        statement = f"alpha log lambda_max ~ log ||W||_F^2 for {statement}"
        verdicts.append(
            judge(ratio.values, rows.mu.values, statement, f"At N = {N} R = log||W||_F^2 / log lambda_max misses alpha")
        )
    rows = part(ds, AS_PUBLISHED, None, None)
    invariance = log_units_rank(rows, 10.0) / log_units_rank(rows)
    verdicts.append(
        judge(invariance.values, rows.mu.values, "The relation does not depend on the scale of W", "W -> 10 W moves R")
    )
    rows = part(ds, AS_PUBLISHED, 3.0, None)
    theory = mean_spike_rank(rows.mu.values, N)[:, None]
    statement = "Ours: above mu = 2 the relation is that of a rank-one spike, the entries' mean"
    what = "R of Lomax entries leaves the formula of a mean spike"
    verdicts.append(judge(log_units_rank(rows).values / theory, rows.mu.values, statement, what, (-0.01, 0.01)))
    return verdicts


def figure(ds):
    titles = (
        f"{AS_PUBLISHED}, as published",
        "the same with random signs",
        "published, against N",
        "published, W scaled",
    )
    fig, [[published, signed], [growth, scaled]] = plots.figure(2, 2, titles=titles)
    mu, N = ds.mu.values, ds.N.values
    fine = np.linspace(2.2, mu[-1], 100)
    for ax, entries, top in ((published, AS_PUBLISHED, 6), (signed, ZERO_MEAN, 20)):
        rows = ds.sel(entries=entries, N=N[-1])
        plots.points(ax, mu, inference.median_interval(log_units_rank(rows)), "R, median")
        plots.points(ax, mu, rows.alpha, "fitted alpha")
        ax.set(xlabel="mu", ylabel=f"R, alpha at N = {N[-1]}", ylim=(0, top))
    plots.curve(published, fine, mean_spike_rank(fine, N[-1]), "R of a mean spike")
    plots.published(published, mu[mu <= 2], mu[mu <= 2] / 2 + 1, "mu / 2 + 1")
    for series, m in enumerate((1.0, 3.0, 4.0)):
        rank = log_units_rank(ds.sel(entries=AS_PUBLISHED, mu=m))
        plots.points(growth, N, inference.median_interval(rank), f"mu = {m:g}", series)
        limit = mean_spike_rank(m, N.astype(float)) if m > 2 else np.full(len(N), 4 / (4 - m))
        plots.curve(growth, N, limit, "theory", series)
    plots.ticks_at(plots.log_axes(growth, "x"), N)
    growth.set(xlabel="N", ylabel="R", ylim=(0, 6))
    for c in SCALES:
        rank = log_units_rank(ds.sel(entries=AS_PUBLISHED, N=N[-1]), c)
        plots.points(scaled, mu, inference.median_interval(rank), f"R of {c:g} W")
    scaled.set(xlabel="mu", ylabel="R", ylim=(0, 8))
    for ax in (published, signed, growth, scaled):
        plots.legend(ax)
    return fig


def _size(N, mu, n_trials):
    return rmt.Size({"entries": (AS_PUBLISHED, ZERO_MEAN), "N": N, "mu": mu}, n_trials)


claim = rmt.Claim(
    name="pl-norm",
    title="PL-Norm relation: alpha log lambda_max ~ log ||W||_F^2",
    quote="PL-Norm relation: alpha log lambda_max ~ log ||W||_F^2, so that alpha is the stable rank of W in log units.",
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 3, eq 8, and its appendices",
    criterion="Supported if R = log ||W||_F^2 / log lambda_max is within 10 % of the fitted alpha at every mu of the range at the "
    "largest N (simultaneous 95 % intervals); scale: if R moves by less than 10 % under W -> 10 W; the mean spike: if R is within "
    "1 % of its formula at every mu >= 3.",
    sizes={
        "smoke": _size((50, 100, 200), (0.5, 1.0, 1.5, 2.5, 3.0, 3.5, 4.0), 6),
        "default": _size((100, 300, 600), tuple(np.arange(0.5, 5.1, 0.5)), 10),
        "paper": _size((100, 300, 1000), tuple(np.arange(0.5, 5.1, 0.25)), 30),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="R = log ||W||_F^2 / log lambda_max and the fitted alpha against mu, for the published one-sided entries and for the same "
    "entries with random signs; R against N, with 4 / (4 - mu) below mu = 2 and the mean spike above; R of the rescaled matrix.",
)
