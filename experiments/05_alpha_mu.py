"""Claim 5: the fitted alpha of a Pareto-mu matrix is mu / 2 + 1 - for which entries, and at which sizes?"""

import numpy as np

import rmt
from rmt import inference, plots
from rmt.laws import ENTRY_LAWS

CLAIMED = (-0.1, 0.1)
AS_PUBLISHED = "Lomax"
ZERO_MEAN = "signed Pareto"
PUBLISHED = {"mu < 2": ((0.5, 2.0), 0.649, 0.862), "mu > 2": ((2.0, 3.5), 1.21, -0.025)}
PUBLISHED_SHAPE = "2000x1000"
PUBLISHED_DRAWS = 50  # 100 values of mu over [0.5, 3.5], one matrix each: half of them on either side of 2


def measure(key, *, entries, shape, mu):
    N, M = (int(n) for n in shape.split("x"))
    fit = rmt.fit_tail(rmt.spectrum(rmt.IID(ENTRY_LAWS[entries](mu)).sample(key, (N, M))))
    return {"alpha": fit.alpha, "n_tail": fit.n_tail * 1.0, "ks": fit.ks}


def regime(ds, entries, low, high, shape=None):
    """alpha as (mu, trial) and mu on [low, high], at the largest shape unless told otherwise."""
    shape = ds["shape"].values[-1] if shape is None else shape
    part = ds.alpha.sel(entries=entries, shape=shape, mu=slice(low, high)).transpose("mu", "trial")
    return part.mu.values, part.values


def in_class(ds, entries, low, high, statement):
    """Is alpha = mu / 2 + 1 for these entries over this range of mu?"""
    mu, alpha = regime(ds, entries, low, high)
    i, worst = inference.worst(inference.mean_interval(alpha / (mu / 2 + 1)[:, None] - 1, comparisons=len(mu)), CLAIMED)
    line = inference.fit_line(mu, alpha)
    sentence = (
        f"Mean fitted alpha is {100 * worst.value:+.0f} % off mu/2 + 1 at mu = {mu[i]:g}, the worst of {len(mu)} values; "
        f"the line through them is {line.slope.value:.2f} mu {line.intercept.value:+.2f}."
    )
    return rmt.Verdict.of(statement, worst, CLAIMED, sentence)


def reproduces(ds, name):
    """Does the published slope lie where our draws say that one more experiment of that size would put it?"""
    (low, high), slope, intercept = PUBLISHED[name]
    mu, alpha = regime(ds, AS_PUBLISHED, low, high)
    interval = slopes_of_one_more(mu, alpha, 1 - 0.05 / len(PUBLISHED))
    line = inference.fit_line(mu, alpha)
    statement = f"The published slope {slope} for {name} comes back, Lomax as published"
    sentence = (
        f"Our line is {line.slope.value:.3f} mu {line.intercept.value:+.3f}, the published one {slope} mu {intercept:+}; the "
        f"interval is where one more experiment with {PUBLISHED_DRAWS} draws puts its slope."
    )
    outcome = "supported" if interval[0] <= slope <= interval[1] else "contradicted"
    too_few = alpha.shape[1] < 10  # a bootstrap of fewer is too narrow
    if too_few or ds["shape"].values[-1] != PUBLISHED_SHAPE or interval[1] - interval[0] > 0.5 * line.slope.value:
        outcome = "inconclusive"
    return rmt.Verdict(statement, outcome, line.slope.value, interval, line.slope.n, sentence)


def slopes_of_one_more(mu, alpha, level):
    """Prediction interval for the slope of PUBLISHED_DRAWS draws: their scatter, and the error of our own line."""
    rng = np.random.default_rng(0)
    slopes = []
    for _ in range(4000):
        ours = np.take_along_axis(alpha, rng.integers(alpha.shape[1], size=alpha.shape), axis=1)
        rows = rng.integers(len(mu), size=PUBLISHED_DRAWS)
        slopes.append(np.polyfit(mu[rows], ours[rows, rng.integers(alpha.shape[1], size=PUBLISHED_DRAWS)], 1)[0])
    return float(np.nanquantile(slopes, (1 - level) / 2)), float(np.nanquantile(slopes, (1 + level) / 2))


def one_line_for_all(ds):
    """Are a and b of alpha = a mu + b the class's (one line for every entry law) or the generator's?"""
    slopes = {
        law: inference.fit_line(*regime(ds, law, 2.0, 3.5), comparisons=len(ENTRY_LAWS)).slope for law in ENTRY_LAWS
    }
    low, *_, high = sorted(slopes, key=lambda law: slopes[law].value)
    spread = slopes[high].value - slopes[low].value
    interval = (slopes[high].low - slopes[low].high, slopes[high].high - slopes[low].low)
    sentence = "Slopes for 2 < mu < 3.5: " + ", ".join(f"{law} {slopes[law].value:.2f}" for law in ENTRY_LAWS) + "."
    statement = "alpha = a mu + b: one slope a for the class, whatever the entry law"
    return rmt.Verdict.judge(statement, spread, interval, (-0.3, 0.3), slopes[high].n, sentence)


def check(ds):
    return [
        in_class(ds, ZERO_MEAN, 0.5, 5.5, "alpha = mu/2 + 1 at every mu, zero-mean entries"),
        in_class(ds, ZERO_MEAN, 0.5, 2.0, "alpha = mu/2 + 1 for mu < 2, zero-mean entries"),
        in_class(ds, AS_PUBLISHED, 0.5, 2.0, "alpha = mu/2 + 1 for mu < 2, Lomax as published"),
        in_class(ds, AS_PUBLISHED, 2.0, 4.0, "alpha = mu/2 + 1 for 2 < mu < 4, Lomax as published"),
        *(reproduces(ds, name) for name in PUBLISHED),
        one_line_for_all(ds),
    ]


def figure(ds):
    largest = ds["shape"].values[-1]
    titles = (f"four entry laws, {largest}", f"{AS_PUBLISHED} as published, by N x M")
    fig, [[left, right]] = plots.figure(cols=2, titles=titles)
    mu = ds.mu.values
    for law in ENTRY_LAWS:
        plots.points(left, mu, ds.alpha.sel(entries=law, shape=largest), law)
    for (low, high), a, b in PUBLISHED.values():
        plots.published(left, [low, high], [a * low + b, a * high + b], "published line" if low < 2 else None)
    for shape in ds["shape"].values:
        plots.points(right, mu, ds.alpha.sel(entries=AS_PUBLISHED, shape=shape), shape)
    for ax, top in ((left, 14), (right, 6)):
        plots.curve(ax, mu, mu / 2 + 1, "mu / 2 + 1")
        ax.set(xlabel="mu", ylabel="fitted alpha", ylim=(1, top))
        plots.legend(ax)
    return fig


def _midpoints(step):
    """Midpoints of cells on [0.5, 5.5]: a line through them is the line of uniformly drawn mu, which were published."""
    return tuple(0.5 + step * (np.arange(round(5 / step)) + 0.5))


def _size(shape, mu, n_trials):
    return rmt.Size({"entries": tuple(ENTRY_LAWS), "shape": shape, "mu": mu}, n_trials)


claim = rmt.Claim(
    name="alpha-mu",
    title="alpha = mu/2 + 1 for Pareto-mu matrices",
    quote='For very heavy tails, mu < 2, alpha = mu/2 + 1 "works very well at finite size, even for very small matrices"; for moderate '
    'ones, 2 < mu < 4, alpha = a mu + b, where "a, b depend strongly on M, N".',
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 2, eqs 4a and 4b; the fitted lines are theirs for M = 1000, Q = 2",
    criterion="Supported if the mean fitted alpha at the largest size is within 10 % of mu/2 + 1 at every mu of the range "
    "(simultaneous 95 % intervals). The published lines come back if their slopes lie in the simultaneous 95 % "
    "prediction intervals for an experiment of their size, given ours; inconclusive if such an interval is wider than half "
    "the slope, or rests on fewer than ten trials. "
    "One line for the class: slopes of the four entry laws within 0.3.",
    sizes={
        "smoke": _size(("100x50", "200x100"), _midpoints(0.5), 4),
        "default": _size(
            ("100x100", "200x100", "500x100", "600x300", "2000x1000"), (*_midpoints(0.25)[:12], *_midpoints(0.5)[6:]), 4
        ),
        "paper": _size(("100x100", "200x100", "500x100", "500x500", "1000x500", "2000x1000"), _midpoints(0.25), 60),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Mean fitted alpha against the tail index mu of the entries, with standard errors; left four entry laws that share "
    "mu, right one law at several sizes. Dashed: the lines published for Lomax entries at M = 1000, Q = 2.",
)
