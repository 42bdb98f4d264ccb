"""Claim 12: the PL-Norm relation, alpha log lambda_max ~ log ||W||_F^2, against mu and N: what holds it up above mu = 2."""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, metrics, plots, spikes
from rmt.laws import ENTRY_LAWS

CLAIMED, CLOSE = (-0.1, 0.1), (-0.005, 0.005)
GROWS = (0.5, np.inf)
AS_PUBLISHED, CENTRED = "Lomax", "centred Lomax"
BELOW, BETWEEN = (0.5, 1.75), (2.25, 3.75)
LEAVES = "R leaves the formula of a mean spike"
MAIN = 1000  # the largest N with all draws


def measure(key, *, entries, N, mu):
    s = rmt.spectrum(rmt.IID(ENTRY_LAWS[entries](mu)).sample(key, (N, N)))
    return {
        "alpha": rmt.fit_tail(s).alpha,
        "log_lambda_max": jnp.log10(s.lambda_max),
        "log_frobenius": metrics.log_frobenius_norm(s),
    }


def log_units_rank(ds):
    return ds.log_frobenius / ds.log_lambda_max


def mean_spike_rank(mu, N):
    law = ENTRY_LAWS[AS_PUBLISHED](np.asarray(mu))
    return np.asarray(spikes.mean_spike_rank(law.mean, law.var, N, N))


def rows(ds, entries, N, low=None, high=None):
    """What there is of one N, of dims (mu, trial)."""
    part = ds.sel(entries=entries, N=N, mu=slice(low, high))
    return part.dropna("mu", how="all").dropna("trial", how="all").transpose("mu", "trial")


def judge(ratio, statement, what, claimed=CLAIMED, interval=inference.mean_interval):
    """Is a ratio of dims (mu, trial) 1 within the margin at every mu?"""
    error = interval(ratio.values - 1, comparisons=ratio.mu.size)
    found = {float(mu): error[i] for i, mu in enumerate(ratio.mu)}
    sentence = f"{what} by {{percent:+.1f}} % at mu = {{at:g}}, the worst of {{count}} values."
    return rmt.Verdict.of_all(statement, found, claimed, sentence)


def relation(ds, entries, N, low, high):
    part = rows(ds, entries, N, low, high)
    # without the mean lambda_max may pass 1, where R has a pole: no mean of it exists
    interval = inference.median_interval if entries == CENTRED else inference.mean_interval
    statement = f"alpha log lambda_max ~ log ||W||_F^2 for {low:g} <= mu <= {high:g}, {entries}, N = {N}"
    what = "R = log||W||_F^2 / log lambda_max misses alpha"
    return judge(log_units_rank(part) / part.alpha, statement, what, interval=interval)


def spike_of_the_mean(ds, N):
    part = rows(ds, AS_PUBLISHED, N, 3.0)
    statement = f"Ours: from mu = 3 on R is that of a rank-one spike, the entries' mean, N = {N}"
    return judge(log_units_rank(part) / mean_spike_rank(part.mu, N)[:, None], statement, LEAVES, CLOSE)


def without_mean(ds, N):
    part = rows(ds, CENTRED, N, 2.5, 3.5)
    statement = "Ours: without the mean R does not saturate: it is 1.5 times that of the mean's spike and more"
    ratio = log_units_rank(part) / mean_spike_rank(part.mu, N)[:, None]
    return judge(ratio, statement, f"At N = {N} R of centred entries differs", GROWS, inference.median_interval)


def check(ds):
    N = ds.N.values
    main, last = N[N <= MAIN][-1], N[-1]
    return [
        relation(ds, AS_PUBLISHED, main, *BELOW),
        relation(ds, AS_PUBLISHED, main, *BETWEEN),
        relation(ds, CENTRED, main, *BETWEEN),
        *(relation(ds, AS_PUBLISHED, last, *span) for span in (BELOW, BETWEEN) if last != main),
        *(spike_of_the_mean(ds, n) for n in dict.fromkeys((main, last))),
        without_mean(ds, main),
    ]


def figure(ds):
    N = ds.N.values
    main = N[N <= MAIN][-1]
    titles = (f"{AS_PUBLISHED}, as published", CENTRED, f"R at N = {main}", f"{AS_PUBLISHED}: R against N")
    fig, [[published, centred], [by_mu, by_N]] = plots.figure(2, 2, titles=titles)
    for ax, entries, top in ((published, AS_PUBLISHED, 6), (centred, CENTRED, 20)):
        for n in N:
            part = rows(ds, entries, n)
            R = inference.median_interval(log_units_rank(part).values)
            plots.points(ax, part.alpha.mean("trial"), R.value, f"N = {n}, {part.trial.size} draws")
        plots.published(ax, [1, top], [1, top], "R = alpha")
        ax.set(xlabel="mean fitted alpha", ylabel="median R", xlim=(1, top), ylim=(0, top))
    for entries in (AS_PUBLISHED, CENTRED):
        part = rows(ds, entries, main)
        plots.points(by_mu, part.mu, inference.median_interval(log_units_rank(part).values), entries)
    fine, very = np.linspace(2.2, float(ds.mu[-1]), 100), np.linspace(float(ds.mu[0]), 2, 100)
    plots.curve(by_mu, fine, mean_spike_rank(fine, main), "mean spike")
    plots.published(by_mu, very, very / 2 + 1, "mu/2 + 1")
    by_mu.set(xlabel="mu", ylabel="median R", ylim=(0, 12))
    for series, mu in enumerate((1.0, 3.0, 4.0)):
        part = log_units_rank(ds.sel(entries=AS_PUBLISHED, mu=mu)).transpose("N", "trial")
        plots.points(by_N, N, inference.median_interval(part.values), f"mu = {mu:g}", series)
        theory = mean_spike_rank(mu, N.astype(float)) if mu > 2 else np.full(len(N), 4 / (4 - mu))
        plots.curve(by_N, N, theory, "theory" if series == 0 else None, series)
    plots.ticks_at(plots.log_axes(by_N, "x"), N)
    by_N.set(xlabel="N", ylabel="median R", ylim=(0, 6))
    plots.legend(published, centred, by_mu, by_N)
    return fig


def _size(N, mu, n_trials, also=(), entries=(AS_PUBLISHED, CENTRED)):
    return rmt.Size({"entries": entries, "N": N, "mu": mu}, n_trials, also)


_MU = (*np.arange(0.5, 1.8, 0.25), *np.arange(2.25, 4.1, 0.25), 4.5, 5.0)
_LARGE = (
    _size((2000,), _MU, 20),
    _size((5000,), _MU, 5, entries=(AS_PUBLISHED,)),
    _size((5000,), (1.0, 2.5, 3.0, 3.5), 5, entries=(CENTRED,)),
)
claim = rmt.Claim(
    name="pl-norm",
    title="PL-Norm relation: alpha log lambda_max ~ log ||W||_F^2",
    quote="PL-Norm relation: alpha log lambda_max ~ log ||W||_F^2, so that alpha is the stable rank of W in log units; at large N it "
    "saturates.",
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 3, eq 8, and its appendices",
    criterion="Supported if R = log ||W||_F^2 / log lambda_max is within 10 % of the fitted alpha at every mu of the range "
    "(simultaneous 95 % intervals of the mean; of the median without the entries' mean). The mean spike: if R is within 0.5 % of its "
    "formula at every mu >= 3. No saturation: if R of centred entries is 1.5 times the formula at every mu from 2.5 to 3.5.",
    sizes={
        "smoke": _size((50, 150), (0.5, 1.0, 1.5, 2.5, 3.0, 3.5, 4.0), 8),
        "default": _size((100, 300, 600), _MU, 15),
        "paper": _size((100, 300, MAIN), _MU, 100, _LARGE),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="R = log ||W||_F^2 / log lambda_max against the fitted alpha, one point for each mu, for the published one-sided entries "
    "and for the same with their mean taken away; against mu and against N, with the rank-one spike of the mean above mu = 2 and "
    "4 / (4 - mu) below. The larger matrices have fewer draws.",
)
