"""Claim 7: for 2 < mu < 4 the limiting ESD is lambda^-(mu/2 + 1) - or is it MP, with a power law in the outliers alone?"""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import extremes, inference, metrics, plots, spikes

MU = (2.25, 2.5, 2.75, 3.0, 3.25, 3.5)
CONTROL = 6.0  # weak tails: no outliers
CLEAR = 1.2  # outliers are counted beyond CLEAR lambda_plus, where the edge does not reach
STAYS = (-0.1, np.inf)  # exponent of M of the outliers' share: a law of the whole ESD must keep it
FALLS = (-np.inf, -0.1)  # exponent of M of a KS distance that goes to 0
EXPECTED = (0.8, 1.25)  # counted over expected outliers
HILL = (-0.1, 0.1)  # relative error of the outliers' exponent, less 1
MOVES = (0.5, np.inf)  # difference of slopes a that counts as strong


def measure(key, *, M, Q, mu):
    law = rmt.Pareto(mu)
    s = rmt.spectrum(rmt.IID(law).sample(key, (Q * M, M)))
    sigma = law.var**0.5
    mp = rmt.MarchenkoPastur(s.Q, sigma)
    start = CLEAR * mp.lambda_plus
    beyond = s.eigenvalues > start
    t, first = (spikes.outlier_inverse(x, s.Q, sigma) for x in (s.eigenvalues, start))
    return {
        "alpha": rmt.fit_tail(s).alpha,
        "ks": metrics.ks_distance(s, mp),
        "outliers": jnp.sum(beyond),
        "expected": extremes.outliers_beyond(law, s.N, M, start),
        "log_t": jnp.sum(jnp.where(beyond, jnp.log(t / first), 0)),
        "log_lambda": jnp.sum(jnp.where(beyond, jnp.log(s.eigenvalues / start), 0)),
    }


def share(rows):
    """The exponent of M of the outliers' share, between the smallest M and the largest, both Q together."""
    counts, factor, found = rows.outliers.sum(("Q", "trial")).transpose("mu", "M"), rows.M[-1] / rows.M[0], {}
    for mu, row in zip(rows.mu.values, counts.values.astype(int), strict=True):
        exponent = inference.exponent_interval(row[0], row[-1], factor.item(), comparisons=len(counts))
        found[mu] = exponent.map(lambda a: a - 1)
    sentence = "At mu = {at:g}, the worst of {count}, the share of eigenvalues outside the bulk goes as M^{x:.2f}."
    statement = "The limiting ESD is lambda^-(mu/2 + 1) for 2 < mu < 4: the outliers keep their share of it"
    return rmt.Verdict.of_all(statement, found, STAYS, sentence)


def to_mp(rows):
    ks, found = rows.ks.stack(case=("Q", "mu")).transpose("case", "M", "trial"), {}
    for case, trials in zip(ks.case.values, ks.values, strict=True):
        found[case] = inference.fit_power(rows.M.values, trials, comparisons=len(ks))
    sentence = "At mu = {at[1]:g}, Q = {at[0]}, the worst of {count} cases, the KS distance to MP goes as M^{x:.2f}."
    return rmt.Verdict.of_all("Ours: the ESD tends to MP with the variance of the entries", found, FALLS, sentence)


def number(last):
    ratio = inference.mean_interval(last.outliers.sum(("Q", "mu")) / last.expected.isel(trial=0).sum())
    sentence = f"There are {ratio.value:.2f} times as many at M = {last.M:g}, all mu and Q together."
    statement = "Ours: as many outliers as entries whose spike lands there, N M P(|w| > sqrt(N g^-1(x)))"
    return rmt.Verdict.of(statement, ratio, EXPECTED, sentence)


def outlier_exponent(last, variable, statement):
    """Hill's n / sum ln(x / x_0) over mu/2 for all cases together: exponential variables of rate 1 under the claim."""
    counts, sums = last.outliers.sum(("Q", "trial")), (last.mu / 2 * last[variable]).sum(("Q", "trial"))
    error = inference.rate_interval(int(counts.sum()), float(sums.sum())).map(lambda rate: rate - 1)
    parts = ", ".join(f"{100 * n / x - 100:+.0f} % at mu = {n.mu:g}" for n, x in zip(counts, sums, strict=True) if n)
    sentence = f"alpha - 1 of {error.n} outliers at M = {last.M:g} is {100 * error.value:+.0f} % off mu/2: {parts}."
    return rmt.Verdict.of(statement, error, HILL, sentence)


def lines(rows):
    """alpha = a mu + b at each (M, Q)."""
    alpha = rows.alpha.stack(case=("M", "Q")).transpose("case", "mu", "trial")
    cases = zip(alpha.case.values, alpha.values, strict=True)
    return {case: inference.fit_line(rows.mu.values, trials, comparisons=len(alpha)) for case, trials in cases}


def slopes_move(rows):
    slopes = {case: line.slope for case, line in lines(rows).items()}
    listed = ", ".join(f"{slope.value:.1f} (M = {M}, Q = {Q})" for (M, Q), slope in slopes.items())
    sentence = f"The slopes a are {listed}.{inference.left_out(rows.alpha)}"
    statement = "alpha = a mu + b, and a depends strongly on M and Q (by more than 0.5), zero-mean entries"
    return rmt.Verdict.of(statement, inference.spread(slopes.values()), MOVES, sentence)


def control(last):
    some = inference.proportion_interval(int((last.outliers > 0).sum()), last.outliers.size)
    statement = f"Control: at mu = {CONTROL:g} at most 5 % of matrices have an outlier"
    return rmt.Verdict.of(statement, some, (0.0, 0.05), f"{100 * some.value:.1f} % have one at M = {last.M:g}.")


def check(ds):
    rows, last = ds.sel(mu=slice(2, 4)), ds.sel(mu=slice(2, 4)).isel(M=-1)
    undone = "Ours: the outliers have the exponent mu/2 + 1 once the outlier map is undone"
    as_they_are = f"The eigenvalues beyond {CLEAR} lambda_plus have the exponent mu/2 + 1 as they are"
    return [
        share(rows),
        to_mp(rows),
        number(last),
        outlier_exponent(last, "log_t", undone),
        outlier_exponent(last, "log_lambda", as_they_are),
        slopes_move(rows),
        control(ds.sel(mu=CONTROL).isel(M=-1)),
    ]


def figure(ds):
    fig, [[left, middle, right]] = plots.figure(cols=3, titles=(f"beyond {CLEAR} lambda_plus", "bulk", "fits"))
    rows = ds.sel(mu=slice(2, 4)).transpose("mu", "M", "Q", "trial")
    Q, M, mus = ds.Q.values[0], ds.M.values, rows.mu.values
    for series, mu in enumerate(mus[1::2]):
        part, names = rows.sel(Q=Q, mu=mu), ("expected", "M^(1 - mu/2)") if series == 0 else (None, None)
        plots.points(left, M, part.outliers / part.M, f"mu = {mu:g}", series)
        plots.curve(left, M, part.expected.values[:, 0] / M, names[0], series)
        plots.points(middle, M, part.ks, f"mu = {mu:g}", series)
        plots.curve(middle, M, part.ks.values[0].mean() * (M / M[0]) ** (1 - mu / 2), names[1], series)
    for ax, name in ((left, "share of eigenvalues"), (middle, "KS distance to MP")):
        plots.ticks_at(plots.log_axes(ax), M).set(xlabel=f"M, Q = {Q}", ylabel=name)
    for series, ((m, q), line) in enumerate(lines(rows).items()):
        plots.points(right, mus, rows.alpha.sel(M=m, Q=q), f"M = {m}, Q = {q}", series)
        plots.curve(right, mus, line.slope.value * mus + line.intercept.value, None, series)
    plots.published(right, mus, mus / 2 + 1, "mu/2 + 1")
    right.set(xlabel="mu", ylabel="fitted alpha")
    plots.legend(left, middle, right)
    return fig


claim = rmt.Claim(
    name="moderate-tails",
    title="2 < mu < 4: a power law, or MP with outliers",
    quote='For 2 < mu < 4 the limiting ESD is lambda^-(mu/2 + 1); at finite size alpha = a mu + b, where "a, b depend strongly on '
    'M, N".',
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 2, eq 4b; JMLR 22(165) 2021, Table 3; ours: the outliers of "
    "rmt.extremes",
    criterion="With eigenvalues counted beyond 1.2 lambda_plus: supported if their share of M falls more slowly than M^-0.1 at every "
    "mu, contradicted if at some mu it certainly falls faster. The ESD tends to MP if its KS distance falls at least as M^-0.1. "
    "Their number is as expected within a factor 0.8 to 1.25, and their exponent, less 1, within 10 % of mu/2, all cases "
    "together. The slope a depends strongly on M and Q if it moves by more than 0.5. Simultaneous 95 % intervals.",
    sizes={
        "smoke": rmt.Size({"M": (50, 100), "Q": (1, 3), "mu": (2.25, 3.0, CONTROL)}, 20),
        "default": rmt.Size({"M": (50, 100, 300), "Q": (1, 3), "mu": (*MU, CONTROL)}, 120),
        "paper": rmt.Size({"M": (50, 200, 800), "Q": (1, 3), "mu": (*MU, CONTROL)}, 200),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Signed Pareto entries. Left: share of eigenvalues beyond 1.2 lambda_plus and what single large entries make it. Middle: "
    "KS distance of the ESD to MP. Right: fitted alpha against mu with its line at each size.",
)
