"""Claim 22: alpha of pure noise depends on the shape of W; what submatrices of one fixed shape repair, and what they cost."""

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, plots

HEAVY, MODERATE, NOISE = 1.5, 3.0, float("inf")
LAWS = {HEAVY: "mu = 1.5", MODERATE: "mu = 3", NOISE: "Gaussian"}
FITS = {
    "whole": "Hill above the median",
    "csn": "CSN",
    "ww_peak": "WeightWatcher, xmin_peak",
    "pooled": "submatrices, pooled",
    "averaged": "submatrices, averaged",
}
EXACT, SAME, RANKS, KEPT, TAIL = (-0.01, 0.01), (-0.05, 0.05), (0.9, 1.0), (0.8, np.inf), (-0.1, 0.1)


def measure(key, *, mu, M, Q):
    """Every alpha of one matrix, Gaussian for mu = inf, and the median Hill of a Gaussian spectrum five times as large."""
    key, noise = jax.random.split(key)
    heavy = jnp.isfinite(mu)
    pareto = rmt.Pareto(jnp.where(heavy, mu, 3.0)).sample(key, (Q * M, M))
    W = jnp.where(heavy, pareto, rmt.Gaussian().sample(key, (Q * M, M)))
    s, median = rmt.spectrum(W), rmt.Hill(xmin="median")
    parts = jax.lax.map(lambda part: rmt.spectrum(part).eigenvalues, squares(W, M // 2))
    large = rmt.Wishart().spectrum(noise, (5 * Q * M, 5 * M))
    return {
        "whole": rmt.fit_tail(s, median).alpha,
        "csn": rmt.fit_tail(s).alpha,
        "ww_peak": rmt.fit_tail(s, rmt.WeightWatcher(fix_fingers="xmin_peak")).alpha,
        "pooled": rmt.fit_tail(parts.ravel(), median).alpha,
        "averaged": jnp.mean(rmt.fit_tail(rmt.Spectrum(parts, M // 2), median).alpha),
        "large_noise": rmt.fit_tail(large, median).alpha,
    }


def squares(W, size):
    """W cut into size x size submatrices that do not overlap."""
    N, M = W.shape
    blocks = W.reshape(N // size, size, M // size, size)
    return blocks.swapaxes(1, 2).reshape(-1, size, size)


def median_hill(law):
    """1 + 1/E[ln(x/median) | x > median], the limit of a median Hill; the mass above x goes as s^3 at the edge."""
    node, weight = np.polynomial.legendre.leggauss(64)
    s = (node + 1) / 2
    log_x = np.log(np.asarray(law.isf(0.5 * s**3)) / float(law.ppf(0.5)))
    return 1 + 1 / np.sum(weight / 2 * 3 * s**2 * log_x)


def trials(ds, name, mu):
    """alpha as (Q, trial)."""
    return ds[name].sel(mu=mu).isel(M=-1).transpose("Q", "trial").values


def exact(ds):
    Q = ds.Q.values
    limit = np.array([median_hill(rmt.MarchenkoPastur(float(q))) for q in Q])
    large = ds.large_noise.isel(M=-1).transpose("Q", "trial", "mu").values.reshape(len(Q), -1)
    i, worst = inference.worst(inference.mean_interval(large / limit[:, None] - 1, comparisons=len(Q)), EXACT)
    found = ", ".join(f"{a:.3f} for {b:.3f}" for a, b in zip(large.mean(1), limit, strict=True))
    sentence = f"At Q = {', '.join(map(str, Q))} the mean alpha of noise is {found} by quadrature; worst at Q = {Q[i]}."
    statement = "The median Hill of noise is a function of Q alone, that of the Marchenko-Pastur law"
    return rmt.Verdict.judge(statement, worst.value, worst.interval, EXACT, worst.n, sentence)


def same_at_every_shape(ds, name, mu=NOISE):
    """Geometric mean of alpha at each Q against that at Q = 1."""
    Q, log_alpha = ds.Q.values, np.log(trials(ds, name, mu))
    lines = [inference.fit_line([0, 1], log_alpha[[0, i]], comparisons=len(Q) - 1).slope for i in range(1, len(Q))]
    i, worst = inference.worst(inference.stack(lines).map(np.expm1), SAME)
    lost = f" {np.sum(np.isnan(log_alpha))} fits failed." if np.isnan(log_alpha).any() else ""
    sentence = f"From Q = {Q[0]} to {Q[i + 1]} alpha moves by {100 * worst.value:+.1f} %, the most of all shapes.{lost}"
    statement = f"{FITS[name]}: alpha of {LAWS[mu]} entries does not depend on the shape of W"
    return rmt.Verdict.judge(statement, worst.value, worst.interval, SAME, worst.n, sentence)


def in_order(low, high, comparisons):
    """Share of pairs of matrices of which the first has the smaller alpha, for each row."""
    return inference.stack(
        [
            inference.proportion_interval(int(np.sum(a < b)), a.size, comparisons=comparisons)
            for a, b in zip(low, high, strict=True)
        ]
    )


def ranks_heavy_below_noise(ds, name):
    """A heavy-tailed tall matrix against square noise: shape against tail."""
    share = in_order(trials(ds, name, HEAVY)[-1:], trials(ds, name, NOISE)[:1], 1)[0]
    sentence = f"{100 * share.value:.0f} % of pairs are in the right order."
    statement = (
        f"{FITS[name]}: {LAWS[HEAVY]} at Q = {ds.Q.values[-1]} has a smaller alpha than noise at Q = {ds.Q.values[0]}"
    )
    return rmt.Verdict.judge(statement, share.value, share.interval, RANKS, share.n, sentence)


def tells(ds, name, heavy, light):
    Q = ds.Q.values
    share = in_order(trials(ds, name, heavy), trials(ds, name, light), len(Q))
    i, worst = inference.worst(share, RANKS)
    sentence = f"At Q = {Q[i]}, the worst, {100 * worst.value:.0f} % of pairs of one shape are in the right order."
    statement = f"{FITS[name]}: tells {LAWS[heavy]} from {LAWS[light]} at every shape"
    return rmt.Verdict.judge(statement, worst.value, worst.interval, RANKS, worst.n, sentence)


def separation(heavy, light):
    """Difference of the means in standard deviations."""
    return (light.mean() - heavy.mean()) / np.sqrt((light.var(ddof=1) + heavy.var(ddof=1)) / 2)


def cost(ds, name, heavy, light):
    """What is left of the separation that the whole matrix gives."""
    Q, columns = ds.Q.values, [trials(ds, fit, law) for fit in (name, "whole") for law in (heavy, light)]

    def left(a, b, c, d):
        return separation(a, b) / separation(c, d)

    rows = [
        inference.bootstrap_interval(left, *row, comparisons=len(Q), paired=True) for row in zip(*columns, strict=True)
    ]
    _, worst = inference.worst(inference.stack(rows), KEPT)
    each = ", ".join(f"{row.value:.2f}" for row in rows)
    sentence = (
        f"Of the whole matrix's separation, in standard deviations, they keep {each} at Q = {', '.join(map(str, Q))}."
    )
    statement = f"{FITS[name]}: at least 0.8 of the separation of {LAWS[heavy]} from {LAWS[light]} is kept"
    return rmt.Verdict.judge(statement, worst.value, worst.interval, KEPT, worst.n, sentence)


def exponent(ds, name):
    """Is alpha, besides telling laws apart, that of the tail?"""
    Q, claimed = ds.Q.values, HEAVY / 2 + 1
    i, worst = inference.worst(inference.mean_interval(trials(ds, name, HEAVY) / claimed - 1, comparisons=len(Q)), TAIL)
    sentence = f"Mean alpha is {100 * worst.value:+.0f} % off mu/2 + 1 = {claimed:g} at Q = {Q[i]}, the worst of {len(Q)} shapes."
    statement = f"{FITS[name]}: alpha of {LAWS[HEAVY]} entries is mu/2 + 1 at every shape"
    return rmt.Verdict.judge(statement, worst.value, worst.interval, TAIL, worst.n, sentence)


def check(ds):
    return [
        exact(ds),
        *(same_at_every_shape(ds, name) for name in FITS),
        same_at_every_shape(ds, "pooled", HEAVY),
        *(ranks_heavy_below_noise(ds, name) for name in ("whole", "pooled")),
        *(tells(ds, "pooled", *pair) for pair in ((HEAVY, MODERATE), (MODERATE, NOISE))),
        *(cost(ds, "pooled", *pair) for pair in ((HEAVY, MODERATE), (HEAVY, NOISE), (MODERATE, NOISE))),
        *(exponent(ds, name) for name in ("whole", "pooled", "csn")),
    ]


def figure(ds):
    Q = ds.Q.values
    fig, axes = plots.figure(
        2, 2, (f"noise, M = {ds.M.values[-1]}", "noise by CSN", "whole matrix", "submatrices, pooled")
    )
    fine = np.geomspace(Q[0], Q[-1], 30)
    for name in ("whole", "pooled", "averaged"):
        plots.points(axes[0, 0], Q, trials(ds, name, NOISE), FITS[name])
    plots.curve(axes[0, 0], fine, [median_hill(rmt.MarchenkoPastur(q)) for q in fine], "median Hill of the MP law")
    for name in ("csn", "ww_peak"):
        plots.points(axes[0, 1], Q, inference.median_interval(trials(ds, name, NOISE)), FITS[name])
    for ax, name in zip(axes[1], ("whole", "pooled"), strict=True):
        for mu, entries in LAWS.items():
            plots.points(ax, Q, trials(ds, name, mu), entries)
    for ax in axes.flat:
        ax.set(xlabel="Q = N / M", ylabel="alpha")
        plots.ticks_at(plots.log_axes(ax, "x"), Q)
        plots.legend(ax)
    return fig


def _size(M, Q, n_trials):
    return rmt.Size({"mu": tuple(LAWS), "M": (M,), "Q": Q}, n_trials)


claim = rmt.Claim(
    name="aspect-ratio",
    title="alpha of noise depends on the shape of W; submatrices of one shape repair that",
    quote="Above the median eigenvalue, pure noise has a Hill alpha that depends on the aspect ratio alone; submatrices of one fixed "
    "ratio, whose eigenvalues are pooled, remove that bias (the idea of FARMS). The thresholding at the median is TempBalance's.",
    source="Ours, from the Marchenko-Pastur law; the estimator is that of Zhou et al., NeurIPS 2023 (TempBalance)",
    criterion="Supported if the mean alpha of Gaussian spectra is within 1 % of the quadrature at every Q. The same at every shape: "
    "within 5 % of Q = 1. Tells apart, or ranks: at least 90 % of pairs in order. Cost: at least 0.8 of the separation in standard "
    "deviations. The tail's exponent: within 10 %. Simultaneous 95 % intervals throughout.",
    sizes={
        "smoke": _size(40, (1, 2, 10), 12),
        "default": _size(160, (1, 2, 5, 10), 100),
        "paper": _size(300, (1, 2, 5, 10), 150),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="alpha against the aspect ratio Q, means with standard errors (CSN: medians with 95 % intervals). Submatrices are "
    "M/2 x M/2 and do not overlap. The two lower panels share three laws of entries.",
)
