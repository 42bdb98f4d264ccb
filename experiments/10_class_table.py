"""Claim 10: the table of universality classes, cell by cell: what each class is said to be, and what its matrices are."""

import jax.numpy as jnp
import numpy as np
from scipy import stats

import rmt
from rmt import inference, metrics, plots, spikes
from rmt.laws import ENTRY_LAWS, Frechet

Q, K = 2, 10  # aspect ratio; eigenvalues of the far tail
STRENGTHS = (2.0, 3.0)  # of the spikes, in thresholds
BEYOND = float(rmt.TracyWidom().isf(0.01))
MP, SPIKED, WEAK, MODERATE, VERY = "MP", "spiked", "weak, mu = 5", "moderate, mu = 3", "very heavy, mu = 1"
CASES = {  # members of the classes: class, law of the entries, mu
    "Gaussian": (MP, rmt.Gaussian(), np.inf),
    "Gaussian + 2 spikes": (SPIKED, rmt.Gaussian(), np.inf),
    **{
        f"{law}, mu = {mu:g}": (where, ENTRY_LAWS[law](mu), mu)
        for where, mu in ((WEAK, 5.0), (MODERATE, 3.0), (VERY, 1.0))
        for law in ("signed Pareto", "signed Lomax")
    },
}
FINITE, LIMIT, EDGE, TOP = "finite-N ESD", "limiting ESD", "edge", "lambda_max"


def measure(key, *, case, M):
    where, law, _ = CASES[case]
    N, theta = Q * M, jnp.array(STRENGTHS) * spikes.spike_threshold(Q)
    W = (rmt.Spiked(rmt.IID(law), theta) if where == SPIKED else rmt.IID(law)).sample(key, (N, M))
    var = jnp.mean(W**2) if where == VERY else law.var  # that of the matrix stands in for an infinite one
    s = rmt.spectrum(W / jnp.sqrt(var))
    x, fit, edge = s.eigenvalues, rmt.fit_tail(s), rmt.MarchenkoPastur(Q).lambda_plus
    centre, scale = rmt.johnstone(N, M)
    z, tail = (N * x - centre) / scale, x >= fit.xmin
    if where == SPIKED:
        top = (s.lambda_max - spikes.spike_location(theta[-1], Q)) / spikes.spike_std(theta[-1], Q, N)
    else:  # N lambda_max/b^2, b exceeded by one entry of the matrix on average
        top = N * s.lambda_max * var / law.abs_isf(1 / (N * M)) ** 2
    return {
        "ks": metrics.ks_distance(s, rmt.MarchenkoPastur(Q)),
        "z": z[-1 - len(STRENGTHS) * (where == SPIKED)],
        "top": top,
        "outside": jnp.sum(z > BEYOND),
        "alpha": fit.alpha,
        "in_bulk": jnp.sum(tail & (x <= edge)) / jnp.sum(tail),
        "below": jnp.sum((x > 0.75 * edge) & (x < 0.95 * edge)),
        "above": jnp.sum((x > 1.05 * edge) & (x < 1.25 * edge)),
        "log_far": jnp.sum(jnp.log(x[-K:] / x[-K - 1])),
    }


def mean_of(name, then=lambda x, part, mu: x):
    def estimate(part, mu, n):
        return inference.mean_interval(part[name].values[-1], comparisons=n).map(lambda x: then(x, part, mu))

    return estimate


def share_with(test):
    return lambda part, mu, n: inference.proportion_interval(
        int(test(part.outside[-1]).sum()), part.trial.size, comparisons=n
    )


def distance_to(cdf_of, name):
    return lambda part, mu, n: inference.ks_test(part[name].values[-1], cdf_of(mu), comparisons=n).distance


def over_edge(part, mu, n):
    below, above = int(part.below[-1].sum()), int(part.above[-1].sum())
    return inference.proportion_interval(above, below + above, comparisons=n).map(lambda p: p / (1 - p))


def share_exponent(part, mu, n):
    first, last = (int(part.outside[at].sum()) for at in (0, -1))
    grows = inference.exponent_interval(first, last, float(part.M[-1] / part.M[0]), comparisons=n)
    return grows.map(lambda a: a - 1)


def far_exponent(part, mu, n):
    """Hill's alpha - 1 of the K largest, all matrices together, over mu/2, less 1."""
    hill = inference.rate_interval(K * part.trial.size, float(part.log_far[-1].sum()), comparisons=n)
    return hill.map(lambda a: a / (mu / 2) - 1)


LAW, OFF, D = (0.0, 0.15), (-0.1, 0.1), "the KS distance to {} is {{x:.3f}}"
root_M_ks = mean_of("ks", lambda d, part, mu: np.sqrt(float(part.M[-1])) * d)
alpha_off = mean_of("alpha", lambda alpha, part, mu: alpha / (mu / 2 + 1) - 1)
any_outside, both = share_with(lambda k: k > 0), share_with(lambda k: k == len(STRENGTHS))
tw_distance = distance_to(lambda mu: rmt.TracyWidom().cdf, "z")
gaussian, frechet = (distance_to(cdf, "top") for cdf in (lambda mu: stats.norm.cdf, lambda mu: Frechet(mu / 2).cdf))
ks_exponent = ("MP", lambda part, mu, n: inference.fit_power(part.M, part.ks, comparisons=n), (-np.inf, -0.2))
OUTSIDE = "{percent:.1f} % of matrices have an eigenvalue outside"
IN_BULK = "{percent:.0f} % of the tail is in the bulk"
EDGE_RATIO = "lambda_plus has {x:.3f} times as many eigenvalues just above as below"
CELLS = {  # (class, column): what is claimed, the estimate for one member of the class, its margin, what was found
    (MP, FINITE): ("MP", root_M_ks, (0.0, 1.36), "sqrt(M) times the mean KS distance is {x:.2f}"),
    (MP, LIMIT): (*ks_exponent, "the KS distance to MP goes as M^{x:.2f}"),
    (MP, EDGE): ("Tracy-Widom", tw_distance, LAW, D.format("it")),
    (MP, TOP): ("no tail", any_outside, (0.0, 0.05), OUTSIDE),
    (SPIKED, FINITE): ("MP + spikes", both, (0.9, 1.0), "as many leave the bulk as were planted in {percent:.0f} %"),
    (SPIKED, LIMIT): (*ks_exponent, "the KS distance to MP goes as M^{x:.2f}"),
    (SPIKED, EDGE): ("Tracy-Widom", tw_distance, LAW, D.format("it")),
    (SPIKED, TOP): ("Gaussian", gaussian, LAW, D.format("it")),
    (WEAK, FINITE): ("MP + PL tail", any_outside, (0.5, 1.0), OUTSIDE),
    (WEAK, LIMIT): (*ks_exponent, "the KS distance to MP goes as M^{x:.2f}"),
    (WEAK, EDGE): ("heavy-tailed", tw_distance, (0.15, 1.0), D.format("Tracy-Widom")),
    (WEAK, TOP): ("TW with corrections", tw_distance, LAW, D.format("it")),
    (MODERATE, FINITE): ("lambda^-(a mu + b)", mean_of("in_bulk"), (0.0, 0.5), IN_BULK),
    (MODERATE, LIMIT): ("lambda^-(mu/2 + 1)", share_exponent, (-0.1, 1.0), "the share outside goes as M^{x:.2f}"),
    (MODERATE, EDGE): ("no edge", over_edge, (0.25, np.inf), EDGE_RATIO),
    (MODERATE, TOP): ("Frechet", frechet, LAW, D.format("it")),
    (VERY, FINITE): ("lambda^-(mu/2 + 1)", alpha_off, OFF, "the mean alpha is {percent:+.1f} % off"),
    (VERY, LIMIT): ("lambda^-(mu/2 + 1)", far_exponent, OFF, "the far tail's alpha - 1 is {percent:+.1f} % off"),
    (VERY, EDGE): ("no edge", over_edge, (0.25, np.inf), EDGE_RATIO),
    (VERY, TOP): ("Frechet", frechet, LAW, D.format("it")),
}


def check(ds):
    verdicts = []
    for (row, column), (claimed, estimate, margin, sentence) in CELLS.items():
        members = {case: CASES[case][2] for case in ds.case.values if CASES[case][0] == row}
        parts = {case: ds.sel(case=case).transpose("M", "trial") for case in members}
        found = {case: estimate(parts[case], mu, len(members)) for case, mu in members.items()}
        verdict = rmt.Verdict.of_all(f"{row}: {column}: {claimed}", found, margin, f"{{at}}: {sentence}.")
        verdicts.append(verdict.in_cell(row, column, claimed))
    return verdicts


def figure(ds):
    fig, [[distance, fits]] = plots.figure(cols=2, titles=("KS distance to MP", "fitted alpha"), panel=(6.5, 5))
    for case in ds.case.values:
        part = ds.sel(case=case).transpose("M", "trial")
        plots.points(distance, ds.M, part.ks.values, case)
        plots.points(fits, ds.M, inference.median_interval(part.alpha.values), case)
    for ax, name in ((distance, "mean KS distance"), (fits, "median alpha")):
        plots.log_ticks(plots.log_axes(ax), "y")
        plots.ticks_at(ax, ds.M.values).set(xlabel="M", ylabel=name)
    plots.legend(distance, fits)
    return fig


claim = rmt.Claim(
    name="class-table",
    title="The table of universality classes, cell by cell",
    quote="Table of universality classes: for each the entries, the finite-N and the limiting global shape, the statistics of the bulk "
    "edge, and those of the far tail.",
    source="Slides RMT 103; Martin & Mahoney, JMLR 22(165) 2021, Table 3; SDM 2020 (arXiv:1901.08278), section 2",
    criterion="At the largest M, for each entry law of the class; simultaneous 95 % intervals. MP: KS distance not above 1.36/sqrt(M), "
    "as of M independent draws; in the limit: falling at least as M^-0.2. Laws of edge and lambda_max: KS distance at most 0.15; "
    "heavy-tailed: above that from Tracy-Widom. No tail: an eigenvalue outside (beyond the 99 % point of "
    "Tracy-Widom) in at most 5 %; PL tail: in half. Spikes: as many outside as planted in 90 %. lambda^-(a mu + b): half of the fitted "
    "tail outside the bulk. Limit of moderate tails: a share outside that falls no faster than M^-0.1. No edge: from 1.05 to 1.25 "
    "lambda_plus at least 0.25 times the eigenvalues from 0.75 to 0.95. Very heavy: mean alpha, and Hill's alpha - 1 of the ten "
    "largest, within 10 %.",
    sizes={
        "smoke": rmt.Size({"case": tuple(case for case in CASES if "Lomax" not in case), "M": (30, 60)}, 20),
        "default": rmt.Size({"case": tuple(CASES), "M": (50, 150)}, 300),
        "paper": rmt.Size({"case": tuple(CASES), "M": (50, 150, 500)}, 1000),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Matrices with N = 2 M of each class, two entry laws for each heavy-tailed one, scaled to unit variance: mean KS distance "
    "to the Marchenko-Pastur law and median fitted alpha against M. The cells are in the table.",
)
