"""Claim 8: the universality classes meet at mu = 2 and mu = 4 - what changes there, and at which N can it be seen?"""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import extremes, inference, plots, spikes

PARETO, MANY = "signed Pareto", "Student t"  # of Pareto entries not one in a hundred matrices has outliers at mu > 4
LAWS = {PARETO: rmt.Pareto, MANY: rmt.StudentT}
CLEAR = 1.2  # outliers are counted beyond CLEAR lambda_plus, where the edge does not reach
BELOW, AT, ABOVE = 3.5, 4.0, 5.0
NEAR_TWO = (1.9, 2.0, 2.1)
SIGN = (0.0, np.inf)  # the exponent of the outliers' number below mu = 4, and its negative above
ATOM = (-0.05, 0.05)  # error of the probability that no eigenvalue is beyond CLEAR lambda_plus at mu = 4
LAW = (0.0, 0.15)  # KS distance of lambda_max to its law
BREAK = (0.1, np.inf)  # second difference of alpha over the three mu near 2: a break
GROWTH = (-0.1, 0.1)  # error of an exponent of N


def measure(key, *, entries, N, mu):
    law = LAWS[entries](mu)
    s = rmt.spectrum(rmt.IID(law).sample(key, (N, N)))
    edge = rmt.MarchenkoPastur(1.0, law.var**0.5).lambda_plus  # infinite up to mu = 2
    return {
        "log_lambda_max": jnp.log10(s.lambda_max),
        "log_median": jnp.log10(jnp.median(s.eigenvalues)),
        "alpha": rmt.fit_tail(s).alpha,
        "outliers": jnp.sum(s.eigenvalues > CLEAR * edge),
        "at_edge": 1.0 * (s.lambda_max <= edge_point(law, N)),
    }


def edge_point(law, N):
    """What counts as the edge: up to the 99 % point of Tracy-Widom."""
    centre, scale = rmt.johnstone(N, N)
    return law.var / N * (centre + scale * rmt.TracyWidom().ppf(0.99))


def separates(ds):
    """The number of outliers grows below mu = 4 and falls above: by which power of N, from the smallest to the largest."""
    counts, N, found = ds.outliers.sel(entries=MANY).sum("trial"), ds.N.values, {}
    for mu, verb, ends in ((BELOW, "grows", (0, -1)), (ABOVE, "falls", (-1, 0))):
        few, many = (int(counts.sel(mu=mu)[i]) for i in ends)
        found[mu, verb, abs(2 - mu / 2)] = inference.exponent_interval(few, many, N[-1] / N[0], comparisons=2)
    sentence = "At mu = {at[0]:g}, the worse of {count}, it {at[1]} by a factor N^{x:.2f}; N^{at[2]:.2f} is expected."
    statement = f"mu = 4 separates: outliers multiply with N at mu = {BELOW:g} and die out at mu = {ABOVE:g}"
    return rmt.Verdict.of_all(statement, found, SIGN, f"The number of outliers, {MANY} entries. {sentence}")


def atom(ds):
    """P(lambda_max <= 1.2 lambda_plus) is exp(-k/sigma^4)^(1/t^2), t = g^-1(1.2 lambda_plus), for every large N."""
    t, N, found = float(spikes.outlier_inverse(CLEAR * 4, 1.0)), ds.N.values[-1], {}
    for entries, law in LAWS.items():
        limit, free = float(extremes.edge_atom(law(AT))) ** t**-2, ds.outliers.sel(entries=entries, mu=AT, N=N) == 0
        share = inference.proportion_interval(int(free.sum()), free.size, comparisons=len(LAWS))
        found[entries, limit, N] = share.map(lambda p, limit=limit: p - limit)
    sentence = "For {at[0]}, the worse of {count}, it is off its limit {at[1]:.3f} by {x:+.3f} at N = {at[2]}."
    statement = f"Ours: at mu = 4 the mass exp(-k/sigma^4) stays at the edge, seen at {CLEAR} lambda_plus"
    return rmt.Verdict.of_all(statement, found, ATOM, sentence)


def follows(ds, outliers, statement):
    """KS distance of lambda_max at mu = 4 and the largest N to its law with outliers, or to that of the edge alone."""
    N, found = int(ds.N.values[-1]), {}
    for entries, law in ((entries, law(AT)) for entries, law in LAWS.items()):
        x = 10 ** ds.log_lambda_max.sel(entries=entries, mu=AT, N=N).values
        cdf = extremes.LargestEigenvalue(law, N, N).cdf
        if not outliers:
            centre, scale = rmt.johnstone(N, N)
            x, cdf = (N * x / law.var - centre) / scale, rmt.TracyWidom().cdf
        found[entries, N] = inference.ks_test(x, cdf, comparisons=len(LAWS)).distance
    sentence = "The KS distance is {x:.3f} for {at[0]} entries at N = {at[1]}, the worse of {count}."
    return rmt.Verdict.of_all(statement, found, LAW, sentence)


def kink(ds):
    """alpha at mu = 1.9 and 2.1 less twice that at 2, at the largest N; trial by trial, as the three are independent."""
    low, middle, high = parts = ds.alpha.sel(entries=PARETO, mu=[*NEAR_TWO]).isel(N=-1).values
    second = inference.mean_interval(low - 2 * middle + high)
    sentence = f"Its mean is {np.nanmean(parts, axis=1).round(2)} at mu = 1.9, 2 and 2.1.{inference.left_out(parts)}"
    return rmt.Verdict.of("mu = 2 shows as a break in alpha (second difference above 0.1)", second, BREAK, sentence)


def growth(ds, variable, exponent, statement):
    log_N, found = np.log10(ds.N.values), {}
    for mu, claimed in zip(NEAR_TWO, map(exponent, NEAR_TWO), strict=True):
        slope = inference.fit_line(log_N, ds[variable].sel(entries=PARETO, mu=mu), comparisons=len(NEAR_TWO)).slope
        found[mu, claimed] = slope.map(lambda x, claimed=claimed: x - claimed)
    sentence = "At mu = {at[0]:g}, the worst of {count}, it is {x:+.2f} off the asymptotic exponent of N, {at[1]:.2f}."
    return rmt.Verdict.of_all(statement, found, GROWTH, sentence)


def check(ds):
    stays = "The bulk grows as N^(2/mu - 1) below mu = 2 and stays above"
    return [
        separates(ds),
        atom(ds),
        follows(ds, True, "Ours: at mu = 4 lambda_max has the law LargestEigenvalue"),
        follows(ds, False, "Control: at mu = 4 lambda_max is Tracy-Widom alone"),
        kink(ds),
        growth(ds, "log_lambda_max", lambda mu: 4 / mu - 1, "lambda_max ~ N^(4/mu - 1) on both sides of mu = 2"),
        growth(ds, "log_median", lambda mu: max(2 / mu - 1, 0), stays),
    ]


def figure(ds):
    fig, [[left, middle, right]] = plots.figure(cols=3, titles=("mu = 4", f"beyond {CLEAR} lambda_plus", "near mu = 2"))
    N = ds.N.values.tolist()
    for series, (entries, law) in enumerate((entries, law(AT)) for entries, law in LAWS.items()):
        plots.points(left, N, ds.at_edge.sel(entries=entries, mu=AT), entries, series)
        expected = [extremes.LargestEigenvalue(law, n, n).cdf(edge_point(law, n)) for n in N]
        plots.curve(left, N, expected, "LargestEigenvalue", series)
        limit = extremes.edge_atom(law).item()
        left.axhline(limit, color=plots.COLOURS[series], linestyle=":", label="exp(-k/sigma^4)")
    for series, mu in enumerate((BELOW, AT, 4.5, ABOVE)):
        law = LAWS[MANY](mu)
        expected = [extremes.outliers_beyond(law, n, n, CLEAR * 4 * law.var) for n in N]
        plots.points(middle, N, ds.outliers.sel(entries=MANY, mu=mu), f"mu = {mu:g}", series)
        plots.curve(middle, N, expected, None, series)
    for n in N:
        plots.points(right, NEAR_TWO, ds.alpha.sel(entries=PARETO, mu=[*NEAR_TWO], N=n), f"N = {n}")
    plots.published(right, NEAR_TWO, np.array(NEAR_TWO) / 2 + 1, "mu/2 + 1")
    plots.ticks_at(plots.log_axes(left, "x"), N).set(xlabel="N", ylabel="share at the edge", ylim=(0, 1.02))
    plots.ticks_at(plots.log_ticks(plots.log_axes(middle), "y"), N).set(xlabel="N", ylabel=f"outliers, {MANY}")
    plots.ticks_at(right, NEAR_TWO).set(xlabel="mu", ylabel="fitted alpha")
    plots.legend(left, middle, right)
    return fig


def _size(N, n_trials):
    return rmt.Size({"entries": tuple(LAWS), "N": N, "mu": (*NEAR_TWO, BELOW, AT, 4.5, ABOVE)}, n_trials)


claim = rmt.Claim(
    name="boundaries",
    title="The classes meet at mu = 2 and mu = 4",
    quote="Three classes by the tail index of the entries: very heavy tails for mu < 2, moderate ones for 2 < mu < 4, weak ones for "
    "mu > 4.",
    source="Martin & Mahoney, JMLR 22(165) 2021 (arXiv:1810.01075), section 3 and Table 3; Auffinger, Ben Arous & Peche 2009 for "
    "mu < 4; ours: rmt.extremes for mu = 4",
    criterion="mu = 4: supported if the number of eigenvalues beyond 1.2 lambda_plus certainly grows with N at mu = 3.5 and falls at "
    "mu = 5. The probability of lambda_max < 1.2 lambda_plus is within 0.05 of its limit; lambda_max is within a KS distance of "
    "0.15 of its law. mu = 2: a break is a second difference of alpha above 0.1; exponents of N within 0.1. Simultaneous 95 % "
    "intervals.",
    sizes={"smoke": _size((50, 100), 30), "default": _size((50, 100, 250), 400), "paper": _size((50, 150, 500), 600)},
    measure=measure,
    check=check,
    figure=figure,
    caption="Square matrices. Left: share of them with lambda_max at the edge, below the 99 % point of Tracy-Widom, at mu = 4, with "
    "its law and its limit. Middle: eigenvalues outside the bulk, and what single large entries make them. Right: fitted alpha.",
)
