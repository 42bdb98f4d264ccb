"""Claim 16: the shape of D(xmin) tells a good power law from an undeveloped or a truncated one - how often is it wrong?"""

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, plots
from rmt.laws import PowerLaw

ERRORS = (-np.inf, 0.2)  # share of wrong answers that is still telling kinds apart
APART = (0.8, np.inf)  # chance that the deeper of two minima belongs to the good power law
START = (0.8, 1.25)
GOOD, UNDEVELOPED, TRUNCATED = KINDS = ("good", "undeveloped", "truncated")
CUT = 0.03  # share of a tail that its truncation removes: at alpha = 2.5, one decade is left
LEVEL = 0.1
GRID = np.geomspace(0.01, 0.999, 60)  # n_tail/n at which curves are kept


def draw(key, kind, n, alpha):
    """Good: flat on [0, 1] and x^-alpha above, a continuous density. Truncated: its top cut off. Undeveloped: Lomax."""
    if kind == UNDEVELOPED:
        return rmt.Lomax(alpha - 1).sample(key, (n,))
    which, body, tail = jax.random.split(key, 3)
    law = PowerLaw(alpha, 1.0, jnp.inf if kind == GOOD else CUT ** (-1 / (alpha - 1)))
    in_tail = jax.random.uniform(which, (n,)) < 1 / (1 + law.pdf(1.0))
    return jnp.where(in_tail, law.sample(tail, (n,)), jax.random.uniform(body, (n,)))


def measure(key, *, kind, n, alpha):
    x = draw(key, kind, n, alpha)
    d = rmt.diagnose(x)
    share = d.scan.n_tail / n
    long_enough = d.scan.candidate & (share >= GRID[0])
    return {
        "clear": d.clear * 1.0,
        # How far the typical D lies above the lowest: what makes a minimum stand out, without a threshold.
        "depth": jnp.log(jnp.nanmedian(jnp.where(long_enough, d.scan.ks, jnp.nan)) / d.fit.ks),
        "p_truncated": rmt.compare(x, (rmt.TruncatedPareto(),)).p_nested[0],
        "alpha_fit": d.fit.alpha,
        "xmin": d.fit.xmin,
        "curve": d.scan.ks[n - np.round(GRID * n).astype(int)],
    }


def called(ds):
    """Each trial's kind: truncated by likelihood; else good or undeveloped, by whether the minimum is clear."""
    by_shape = np.where(ds.clear.values == 1, GOOD, UNDEVELOPED)
    return ds.clear.copy(data=np.where(ds.p_truncated.values <= LEVEL, TRUNCATED, by_shape))


def worst_error(wrong, statement, what):
    """`wrong` is a boolean over (kind, alpha, trial) at the largest n: the largest share of wrong answers at a point."""
    table, found = wrong.stack(point=("kind", "alpha")).transpose("point", "trial"), {}
    for point, row in zip(table.point.values, table.values, strict=True):
        found[point] = inference.proportion_interval(int(row.sum()), row.size, comparisons=len(table))
    sentence = " is wrong for {percent:.0f} % of the {at[0]} tails with alpha = {at[1]:g}, the worst of {count} points."
    return rmt.Verdict.of_all(statement, found, ERRORS, what + sentence)


def deeper(good, bad):
    """P(depth of a good one > depth of a bad one)."""
    return float(np.mean(np.searchsorted(np.sort(bad), good) / len(bad)))


def apart_by_depth(ds):
    pairs, found = [(kind, alpha) for kind in (UNDEVELOPED, TRUNCATED) for alpha in ds.alpha.values], {}
    for kind, alpha in pairs:
        samples = (ds.depth.sel(kind=k, alpha=alpha).values for k in (GOOD, kind))
        found[kind, alpha] = inference.bootstrap_interval(deeper, *samples, comparisons=len(pairs))
    sentence = "At alpha = {at[1]:g} it is deeper than in {at[0]} tails with chance {x:.2f}, the worst of {count}."
    statement = "Without a threshold: the minimum of D is deeper for a good tail than for the others"
    return rmt.Verdict.of_all(statement, found, APART, sentence)


def at_the_start(ds):
    xmin = ds.xmin.sel(kind=GOOD).transpose("alpha", "trial")
    medians = inference.median_interval(xmin, comparisons=len(xmin))
    found = {alpha: medians[i] for i, alpha in enumerate(ds.alpha.values)}
    sentence = "The median xmin found is {x:.2f} for alpha = {at:g}, where the tail begins at 1."
    statement = "Control: on a good tail the minimum of D is where the power law begins"
    return rmt.Verdict.of_all(statement, found, START, sentence)


def check(ds):
    ds = ds.isel(n=-1)
    kind = ds.kind.broadcast_like(ds.clear)
    wrong_shape = (ds.clear == 1) != (kind == GOOD)
    wrong_cut = ((ds.p_truncated <= LEVEL) != (kind == TRUNCATED)).sel(kind=[GOOD, TRUNCATED])
    by_shape = "The shape of D(xmin) tells good tails from bad"
    by_likelihood = "The likelihood of a truncated tail tells good tails from truncated ones"
    return [
        worst_error(wrong_shape, by_shape, "A clear minimum as the sign of a good tail"),
        apart_by_depth(ds),
        worst_error(wrong_cut, by_likelihood, f"Truncation called at p <= {LEVEL}"),
        worst_error(called(ds) != kind, "Shape and likelihood together tell all three kinds", "Their joint answer"),
        at_the_start(ds),
    ]


def figure(ds):
    first, largest = f"alpha = {ds.alpha.values[0]:g}", f"n = {ds.n.values[-1]}"
    curves = [f"D(xmin), {first}, n = {n}" for n in ds.n.values[[0, -1]]]
    titles = (*curves, f"what tails are called, {first}, {largest}", f"depth of the minimum, {first}, {largest}")
    fig, axes = plots.figure(2, 2, titles=titles)
    for ax, n in zip(axes[0], ds.n.values[[0, -1]], strict=True):
        part = ds.curve.isel(alpha=0).sel(n=n)
        for series, kind in enumerate(KINDS):
            plots.curve(ax, GRID, part.sel(kind=kind).mean("trial"), f"{kind}, mean", series)
            ax.plot(GRID, part.sel(kind=kind, trial=0), color=plots.COLOURS[series], linewidth=0.8, alpha=0.6)
        plots.log_axes(ax).set(xlabel="n_tail/n, the share of values above xmin", ylabel="D(xmin)")
        ax.invert_xaxis()
    shares, depths = axes[1]
    last = ds.isel(n=-1, alpha=0)
    answers, at = called(last), np.arange(len(KINDS))
    for series, answer in enumerate(KINDS):
        rows = [(answers.sel(kind=kind) == answer).values for kind in KINDS]
        found = [inference.proportion_interval(int(row.sum()), row.size, comparisons=9) for row in rows]
        plots.points(shares, at + 0.15 * (series - 1), inference.stack(found), f"called {answer}", series)
        plots.ecdf(depths, last.depth.sel(kind=answer).values, label=answer, series=series)
    shares.set_xticks(at, KINDS)
    shares.set(xlabel="what they are", ylabel="share of trials", ylim=(-0.02, 1.02))
    depths.set(xlabel="ln(median D / lowest D)")
    plots.legend(*axes.flat)
    return fig


def _size(n, n_trials):
    return rmt.Size({"kind": KINDS, "n": n, "alpha": (2.5, 3.5)}, n_trials)


claim = rmt.Claim(
    name="distance-curves",
    title="The shape of D(xmin) and the quality of a power law",
    quote="The shape of the distance D as a function of xmin tells a good power law, with its clear minimum, from one that is "
    "undeveloped or truncated.",
    source="Martin & Mahoney, arXiv:2106.00734, section 3.2 and appendix C, in our words; here on independent samples",
    criterion="Supported if, at the largest n, calling a tail good exactly where D has a clear minimum (no rival xmin within 10 % of "
    "the lowest D has an alpha that differs by three standard errors) is wrong at most 20 % of the time for each kind and alpha, "
    "contradicted if at one of them it is certainly wrong more often (simultaneous 95 % intervals). Without a threshold: a good "
    "tail's minimum is the deeper of two with chance 0.8 at least. Likelihood: truncation called at p <= 0.1, the same 20 %. "
    "Control: the median xmin of good tails within [0.8, 1.25] times the true one.",
    sizes={"smoke": _size((1000,), 20), "default": _size((300, 3000), 200), "paper": _size((300, 3000), 1000)},
    measure=measure,
    check=check,
    figure=figure,
    caption="Top: D against the share of values above xmin, the mean (thick) and one sample (thin), for a power law over a flat body, "
    "the Lomax law, which bends into a power law late, and a power law whose highest 3 % are cut off. Below: what shape and likelihood "
    "together call them (simultaneous 95 % intervals), and the distribution of the depth of the minimum.",
)
