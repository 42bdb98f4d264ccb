"""Claim 22: alpha of pure noise depends on the shape of W; what submatrices of one fixed shape repair, and what they cost."""

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, plots
from rmt.tails import hill_limit

HEAVY, MODERATE, NOISE = 1.5, 3.0, float("inf")
LAWS = {HEAVY: "mu = 1.5", MODERATE: "mu = 3", NOISE: "Gaussian"}
SUBMATRICES = {"pooled": "submatrices, pooled", "averaged": "submatrices, averaged"}
FITS = {"whole": "Hill above the median", "csn": "CSN", "ww_peak": "WeightWatcher, xmin_peak", **SUBMATRICES}
EXACT, SAME, RANKS, KEPT, TAIL = (-0.01, 0.01), (-0.05, 0.05), (0.9, 1.0), (0.8, np.inf), (-0.1, 0.1)


def measure(key, *, mu, M, Q):
    """Every alpha of one matrix, Gaussian for mu = inf, and the median Hill of a Gaussian spectrum five times as large."""
    pareto, gaussian, noise = jax.random.split(key, 3)
    heavy = jnp.isfinite(mu)
    tailed = rmt.Pareto(jnp.where(heavy, mu, 3.0)).sample(pareto, (Q * M, M))
    W = jnp.where(heavy, tailed, rmt.Gaussian().sample(gaussian, (Q * M, M)))
    s, median = rmt.spectrum(W), rmt.Hill(xmin="median")
    side = M // 2
    squares = W.reshape(2 * Q, side, 2, side).swapaxes(1, 2).reshape(-1, side, side)  # which do not overlap
    parts = jax.lax.map(lambda part: rmt.spectrum(part).eigenvalues, squares)
    large = rmt.Wishart().spectrum(noise, (5 * Q * M, 5 * M))
    return {
        "whole": rmt.fit_tail(s, median).alpha,
        "csn": rmt.fit_tail(s).alpha,
        "ww_peak": rmt.fit_tail(s, rmt.WeightWatcher(fix_fingers="xmin_peak")).alpha,
        "pooled": rmt.fit_tail(parts.ravel(), median).alpha,
        "averaged": jnp.mean(rmt.fit_tail(rmt.Spectrum(parts, side), median).alpha),
        "large_noise": rmt.fit_tail(large, median).alpha,
    }


def trials(ds, name, mu):
    """alpha as (Q, trial)."""
    return ds[name].sel(mu=mu).isel(M=-1).transpose("Q", "trial").values


def judge(statement, Q, family, claimed, found, fits=()):
    """Judge the worst of a family with an estimate for each Q; `found` is a format string."""
    where = " at Q = {at}, the worst of {count} shapes." if len(Q) > 1 else " at Q = {at}."
    sentence = found + where + inference.left_out(fits)
    return rmt.Verdict.of_all(statement, dict(zip(Q, family, strict=True)), claimed, sentence)


def exact(ds):
    Q = ds.Q.values
    limit = np.array([hill_limit(rmt.MarchenkoPastur(float(q))) for q in Q])
    large = ds.large_noise.isel(M=-1).transpose("Q", "trial", "mu").values.reshape(len(Q), -1)
    off = inference.mean_interval(large / limit[:, None] - 1, comparisons=len(Q))
    pairs = ", ".join(f"{a:.3f} for {b:.3f}" for a, b in zip(large.mean(1), limit, strict=True))
    statement = "The median Hill of noise is a function of Q alone, that of the Marchenko-Pastur law"
    return judge(statement, Q, off, EXACT, f"Mean alpha of noise is {pairs} by quadrature: {{percent:+.1f}} %")


def same_at_every_shape(ds, name, mu=NOISE):
    """Geometric mean of alpha at each Q against that at Q = 1."""
    Q, log_alpha = ds.Q.values, np.log(trials(ds, name, mu))
    lines = [inference.fit_line([0, 1], log_alpha[[0, i]], comparisons=len(Q) - 1) for i in range(1, len(Q))]
    change = [line.slope.map(np.expm1) for line in lines]
    statement = f"{FITS[name]}: alpha of {LAWS[mu]} entries does not depend on the shape of W"
    found = f"Against Q = {Q[0]}, alpha has moved by {{percent:+.1f}} %"
    return judge(statement, Q[1:], change, SAME, found, log_alpha)


def in_order(statement, Q, low, high):
    """Share of pairs of matrices of which the first has the smaller alpha, for each row."""
    shares = [inference.proportion_interval(row.sum(), row.size, comparisons=len(Q)) for row in low < high]
    return judge(statement, Q, shares, RANKS, "A share of {x:.2f} of pairs is in the right order")


def left(heavy, light, *whole):
    """The difference of two means in standard deviations, as a share of what the whole matrix gives."""
    d = (light.mean() - heavy.mean()) / np.sqrt((light.var(ddof=1) + heavy.var(ddof=1)) / 2)
    return d / left(*whole) if whole else d


def cost(ds, heavy, light):
    rows = zip(*(trials(ds, name, mu) for name in ("pooled", "whole") for mu in (heavy, light)), strict=True)
    kept = [inference.bootstrap_interval(left, *row, comparisons=ds.Q.size, paired=True) for row in rows]
    statement = f"{FITS['pooled']}: at least 0.8 of the separation of {LAWS[heavy]} from {LAWS[light]} is kept"
    found = f"Kept: {', '.join(f'{share.value:.2f}' for share in kept)}; {{x:.2f}}"
    return judge(statement, ds.Q.values, kept, KEPT, found)


def exponent(ds, name):
    """Is alpha, besides telling laws apart, that of the tail?"""
    claimed = HEAVY / 2 + 1
    off = inference.mean_interval(trials(ds, name, HEAVY) / claimed - 1, comparisons=ds.Q.size)
    statement = f"{FITS[name]}: alpha of {LAWS[HEAVY]} entries is mu/2 + 1 at every shape"
    return judge(statement, ds.Q.values, off, TAIL, f"Mean alpha is {{percent:+.1f}} % off mu/2 + 1 = {claimed:g}")


def check(ds):
    Q = ds.Q.values
    verdicts = [exact(ds), *(same_at_every_shape(ds, name) for name in FITS), same_at_every_shape(ds, "pooled", HEAVY)]
    for name in ("whole", "pooled"):  # a heavy-tailed tall matrix against square noise: is shape taken for tail?
        statement = f"{FITS[name]}: {LAWS[HEAVY]} at Q = {Q[-1]} has a smaller alpha than noise at Q = {Q[0]}"
        verdicts.append(in_order(statement, Q[-1:], trials(ds, name, HEAVY)[-1:], trials(ds, name, NOISE)[:1]))
    for heavy, light in ((HEAVY, MODERATE), (MODERATE, NOISE)):
        statement = f"{FITS['pooled']}: tells {LAWS[heavy]} from {LAWS[light]} at every shape"
        verdicts.append(in_order(statement, Q, trials(ds, "pooled", heavy), trials(ds, "pooled", light)))
    verdicts += [cost(ds, *pair) for pair in ((HEAVY, MODERATE), (HEAVY, NOISE), (MODERATE, NOISE))]
    return [*verdicts, *(exponent(ds, name) for name in ("whole", "pooled", "csn"))]


def figure(ds):
    Q = ds.Q.values
    fig, axes = plots.figure(2, 2, ("noise", "noise by CSN", "whole matrix", "submatrices, pooled"))
    [[noise, csn], of_laws], fine = axes, np.geomspace(Q[0], Q[-1], 30)
    for name in ("whole", *SUBMATRICES):
        plots.points(noise, Q, trials(ds, name, NOISE), FITS[name])
    plots.curve(noise, fine, [hill_limit(rmt.MarchenkoPastur(q)) for q in fine], "median Hill of the MP law")
    for name in ("csn", "ww_peak"):
        plots.points(csn, Q, inference.median_interval(trials(ds, name, NOISE)), FITS[name])
    for ax, name in zip(of_laws, ("whole", "pooled"), strict=True):
        for mu, entries in LAWS.items():
            plots.points(ax, Q, trials(ds, name, mu), entries)
    for ax in axes.flat:
        ax.set(xlabel=f"Q = N / M at M = {ds.M.values[-1]}", ylabel="alpha")
        plots.ticks_at(plots.log_axes(ax, "x"), Q)
        plots.legend(ax)
    return fig


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
        "smoke": rmt.Size({"mu": tuple(LAWS), "M": (40,), "Q": (1, 10)}, 12),
        "default": rmt.Size({"mu": tuple(LAWS), "M": (160,), "Q": (1, 2, 5, 10)}, 100),
        "paper": rmt.Size({"mu": tuple(LAWS), "M": (300,), "Q": (1, 2, 5, 10)}, 150),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="alpha against the aspect ratio Q, means with standard errors (CSN: medians with 95 % intervals). Submatrices are "
    "M/2 x M/2 and do not overlap. The two lower panels share three laws of entries.",
)
