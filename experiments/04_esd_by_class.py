"""Claim 4: the ESDs of Pareto-mu matrices with mu = 1, 3 and 5 stand for three classes - what does each of them tend to?"""

from typing import Any

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import extremes, inference, metrics, plots
from rmt.claims import shape_of
from rmt.laws import LevyWishart, MarchenkoPastur

EXPONENT = 0.1  # relative margin of the exponent mu/2 + 1
SHARES, N_SHARES = (-0.05, 0.05), 12  # relative margin of the mass in each of twelve bins
FALLS = (-np.inf, -0.2)  # exponent of M by which a distance must fall to count as going to 0
EDGES = np.linspace(-2, 14, 129)  # of log10 lambda
ZOOM = np.linspace(0.5, 1.5, 41)  # of lambda / lambda_plus
BESIDE_EDGE, TOP_SHARE = 1.25, 0.01  # the upper decade starts here: times lambda_plus; or, without an edge, the top 1 %


def law_of(mu, N, M) -> Any:
    """Levy-Wishart with its first correction in N below mu = 2, Marchenko-Pastur with the entries' variance above."""
    return LevyWishart.of_matrix(mu, N, M) if mu < 2 else MarchenkoPastur(N / M, rmt.Pareto(mu).var ** 0.5)


def measure(key, *, shape, mu):
    N, M = shape_of(shape)
    s = rmt.spectrum(rmt.IID(rmt.Pareto(mu)).sample(key, (N, M)))
    x, law = s.eigenvalues, law_of(mu, N, M)
    edge = jnp.inf if mu < 2 else law.lambda_plus
    start = law.isf(TOP_SHARE) if mu < 2 else BESIDE_EDGE * edge
    return {
        "counts": jnp.histogram(jnp.log10(x), EDGES)[0],
        "zoom": jnp.histogram(x / edge, ZOOM)[0],
        "shares": jnp.histogram(law.cdf(x), N_SHARES, (0.0, 1.0))[0] / M,
        "half_decades": jnp.histogram(jnp.log10(x / start), 2, (0.0, 1.0))[0],
        "outside": jnp.sum(x > edge),
        "ks": metrics.ks_distance(s, law),
        "ks_own": metrics.ks_distance(s, MarchenkoPastur(s.Q, jnp.mean(x) ** 0.5)),
    }


def tail(ds, mu, name):
    """The density's exponent: counts in two steps of log lambda, halves of its upper decade, go as lambda^(1 - alpha)."""
    low, high = (int(n) for n in ds.half_decades.sel(mu=mu).isel(shape=-1).sum("trial"))
    alpha = inference.exponent_interval(high, low, 10**0.5, comparisons=ds.mu.size).map(lambda a: 1 + a)
    start = f"the top {100 * TOP_SHARE:g} %" if mu < 2 else f"{BESIDE_EDGE} lambda_plus"
    found = f"the exponent is {alpha.value:.2f}" if np.isfinite(alpha.value) else "no exponent can be told"
    sentence = (
        f"Over the decade from {start} on, which holds {alpha.n} eigenvalues of {ds.trial.size} matrices "
        f"{ds['shape'].values[-1]}, {found}; mu/2 + 1 = {mu / 2 + 1:g}."
    )
    margin = ((1 - EXPONENT) * (mu / 2 + 1), (1 + EXPONENT) * (mu / 2 + 1))
    return rmt.Verdict.of(f"{name}, mu = {mu}: the upper decade falls as lambda^-(mu/2 + 1)", alpha, margin, sentence)


def whole_law(ds):
    """Mass in twelve bins of equal mass, against the Levy-Wishart law."""
    last = ds.sel(mu=1).isel(shape=-1)
    excess = inference.mean_interval(N_SHARES * last.shares.transpose("shares_dim", "trial") - 1, comparisons=N_SHARES)
    found = {(i + 1, last["shape"].item()): excess[i] for i in range(N_SHARES)}
    sentence = "At {at[1]} bin {at[0]}, the worst of {count}, holds {percent:+.1f} % more than its mass."
    statement = "Ours: the whole ESD of mu = 1 is the Levy-Wishart law with its correction in N"
    return rmt.Verdict.of_all(statement, found, SHARES, sentence)


def limit(ds, mu, variable, statement):
    """The exponent of M with which the KS distance to Marchenko-Pastur falls."""
    M = [shape_of(shape)[1] for shape in ds["shape"].values]
    ks = ds[variable].sel(mu=mu).transpose("shape", "trial").values
    slope = inference.fit_power(M, ks, comparisons=ds.mu.size)
    sentence = f"The KS distance to MP goes as M^{slope.value:.2f} and is {ks[-1].mean():.4f} at M = {M[-1]}"
    if mu > 2:
        outside = ds.outside.sel(mu=mu).isel(shape=-1).values.mean()
        sentence += f", where {outside:.2f} eigenvalues a matrix are outside lambda_plus"
    return rmt.Verdict.of(statement, slope, FALLS, sentence + ".")


def check(ds):
    return [
        tail(ds, 1, "Very heavy tails"),
        whole_law(ds),
        tail(ds, 3, "Moderate tails"),
        limit(ds, 3, "ks", "Ours: the ESD of mu = 3 tends to MP with sigma^2 = mu/(mu - 2)"),
        tail(ds, 5, "Weak tails"),
        limit(ds, 5, "ks", "The ESD of mu = 5 tends to MP with sigma^2 = mu/(mu - 2)"),
        limit(ds, 1, "ks_own", "Control: the ESD of mu = 1 tends to MP with the variance of the matrix"),
    ]


def figure(ds):
    N, M = shape_of(shape := ds["shape"].values[-1])
    titles = [f"mu = {mu}, {shape}" for mu in ds.mu.values] + [f"mu = {mu}: the bulk edge" for mu in (3, 5)]
    fig, [esds, [*edges, distances]] = plots.figure(rows=2, cols=3, titles=[*titles, "KS distance"])
    for ax, mu in zip(esds, ds.mu.values, strict=True):
        _loglog(ax, ds.counts.sel(mu=mu, shape=shape), int(mu), N, M)
    middle, fine = (ZOOM[1:] + ZOOM[:-1]) / 2, np.linspace(0.5, 1.5, 400)
    for ax, mu in zip(edges, (3, 5), strict=True):
        law, counts = law_of(mu, N, M), ds.zoom.sel(mu=mu, shape=shape).transpose("zoom_dim", "trial")
        plots.points(ax, middle, counts / (M * np.diff(ZOOM)[0]), "eigenvalues")
        plots.curve(ax, fine, law.lambda_plus * law.pdf(fine * law.lambda_plus), "MP")
        ax.set(xlabel="lambda / lambda_plus", ylabel="density", ylim=(0, None))
    sizes = [shape_of(s)[1] for s in ds["shape"].values]
    for mu, name, law in ((1, "ks", "Levy-Wishart"), (3, "ks", "MP"), (5, "ks", "MP"), (1, "ks_own", "MP")):
        plots.points(distances, sizes, ds[name].sel(mu=mu).transpose("shape", "trial"), f"mu = {mu} to {law}")
    plots.ticks_at(plots.log_axes(distances), sizes).set(xlabel="M", ylabel="KS distance")
    plots.legend(*fig.axes)
    return fig


def _loglog(ax, counts, mu, N, M):
    per_trial, width = counts.transpose("counts_dim", "trial").values.mean(1), np.diff(10**EDGES)
    seen, middle = per_trial > 0, 10 ** ((EDGES[1:] + EDGES[:-1]) / 2)
    plots.points(ax, middle[seen], (per_trial / (M * width))[seen], "eigenvalues")
    x, law = np.geomspace(middle[seen][0], middle[seen][-1], 800), law_of(mu, N, M)
    density = np.array(law.pdf(x))
    plots.curve(ax, x, np.where(density > 0, density, np.nan), "Levy-Wishart" if mu < 2 else "MP")
    if mu < 2:
        line, there = x[x > x[len(x) // 3]], density[x > x[len(x) // 3]]
    else:
        line = np.linspace(1.01, max(2, x[-1] / float(law.lambda_plus)), 400) * float(law.lambda_plus)
        there = -np.gradient(np.asarray(extremes.outliers_beyond(rmt.Pareto(mu), N, M, line)), line) / M
        plots.curve(ax, line, there, "outliers of large entries", series=1)
    at = len(line) // 2
    plots.published(ax, line, there[at] * (line / line[at]) ** -(mu / 2 + 1), "lambda^-(mu/2 + 1)")
    plots.log_axes(ax).set(xlabel="lambda", ylabel="density")
    plots.log_ticks(ax, "x")


claim = rmt.Claim(
    name="esd-by-class",
    title="One ESD for each class: mu = 1, 3, 5",
    quote="Below mu = 2 and for 2 < mu < 4 the limiting ESD is lambda^-(mu/2 + 1), without an edge; above mu = 4 it is MP, with a "
    "power-law tail at finite N.",
    source="Martin & Mahoney, JMLR 22(165) 2021 (arXiv:1810.01075), section 3 and Table 3; slides of 2021, RMT 101-103",
    criterion="The exponent of the density in its upper decade (counts in its two halves, exact 95 % intervals) is within 10 % of "
    "mu/2 + 1. At mu = 1 each of twelve bins of equal mass under the Levy-Wishart law holds it within 5 %. An ESD tends to MP "
    "if its KS distance falls at least as M^-0.2.",
    sizes={
        "smoke": rmt.Size({"shape": ("150x50", "300x100"), "mu": (1, 3, 5)}, 8),
        "default": rmt.Size({"shape": ("150x50", "450x150", "1200x400"), "mu": (1, 3, 5)}, 400),
        "paper": rmt.Size({"shape": ("150x50", "450x150", "3000x1000"), "mu": (1, 3, 5)}, 250),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Densities of the eigenvalues of signed Pareto matrices with Q = 3, mean over all matrices, with the law that each "
    "class tends to, what single large entries add to it, and the published power law through it; the edge of the bulk; and "
    "the KS distance to the law against M. The published matrices were 9000 x 3000.",
)
