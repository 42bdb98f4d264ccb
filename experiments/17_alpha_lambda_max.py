"""Claim 17: small alpha goes with large lambda_max - between classes, within one, and whatever the scale of W?"""

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, metrics, plots
from rmt.claims import shape_of
from rmt.inference import rank_correlation
from rmt.laws import ENTRY_LAWS

STRONG = (-np.inf, -0.5)
NEGATIVE = (-np.inf, 0.0)
NONE = (-0.2, 0.2)
LAWS = ("signed Pareto", "Lomax")
AS_DRAWN, UNIT_NORM, SCALED = READINGS = ("W as drawn", "||W||_F = 1", "c W, c from 0.1 to 10")


def measure(key, *, entries, shape, mu):
    N, M = shape_of(shape)
    draws, scale = jax.random.split(key)
    s = rmt.spectrum(rmt.IID(ENTRY_LAWS[entries](mu)).sample(draws, (N, M)))
    log_lambda = jnp.log10(s.lambda_max)
    return {
        "alpha": rmt.fit_tail(s).alpha,
        AS_DRAWN: log_lambda,
        UNIT_NORM: log_lambda - metrics.log_frobenius_norm(s),
        SCALED: log_lambda + 2 * jax.random.uniform(scale, minval=-1.0, maxval=1.0),
    }


def between(ds, reading, statement):
    """All matrices of all mu together, for each entry law."""
    parts = {law: ds.sel(entries=law) for law in LAWS}
    found = {law: rank_correlation(part.alpha, part[reading], comparisons=len(LAWS)) for law, part in parts.items()}
    each = " and ".join(f"{one.value:.2f} ({law})" for law, one in found.items())
    sentence = f"Across mu from {ds.mu.values[0]:g} to {ds.mu.values[-1]:g} the rank correlations are {each}."
    return rmt.Verdict.of_all(statement, found, STRONG, sentence + inference.left_out(ds.alpha))


def correlations_within(ds, laws=LAWS, shift=0):
    """Over the draws of each (law, mu), intervals simultaneous; the lambda_max is that of the draw `shift` before alpha's."""
    points = {(law, mu): ds.sel(entries=law, mu=mu) for law in laws for mu in ds.mu.values}
    return {
        at: rank_correlation(part.alpha, np.roll(part[AS_DRAWN], shift), comparisons=len(points))
        for at, part in points.items()
    }


def within(ds, low, high, statement):
    found = correlations_within(ds.sel(mu=slice(low, high)))
    certain = sum(one.high < 0 for one in found.values())
    sentence = (
        "At mu = {at[1]:g}, {at[0]}, the rank correlation over draws is {x:+.2f}; it is certainly negative at "
        f"{certain} of {{count}} points.{inference.left_out(ds.alpha)}"
    )
    return rmt.Verdict.of_all(statement, found, NEGATIVE, sentence)


def control(ds):
    """alpha of one draw against lambda_max of another, at the same mu."""
    statement = "Control: alpha and the lambda_max of another draw have no rank correlation within a class"
    sentence = "At mu = {at[1]:g} it is {x:+.2f}, the worst of {count} values."
    return rmt.Verdict.of_all(statement, correlations_within(ds, LAWS[:1], shift=1), NONE, sentence)


def check(ds):
    ds = ds.isel(shape=-1)
    claimed = "The smaller alpha, the larger lambda_max"
    return [
        between(ds, AS_DRAWN, f"{claimed}: across mu, W as drawn"),
        between(ds, UNIT_NORM, f"{claimed}: across mu, W of unit Frobenius norm"),
        between(ds, SCALED, f"{claimed}: across mu, each W multiplied by a c between 0.1 and 10"),
        between(ds.sel(mu=slice(2.1, None)), SCALED, f"{claimed}: the same, mu > 2 only"),
        within(ds, None, 1.9, f"{claimed}: among matrices of one mu < 2"),
        within(ds, 2.1, None, f"{claimed}: among matrices of one mu > 2"),
        control(ds),
    ]


def figure(ds):
    largest = ds["shape"].values[-1]
    titles = (*(f"{law}, {largest}, {AS_DRAWN}" for law in LAWS), f"{LAWS[0]}, {SCALED}", "within a class, W as drawn")
    fig, [[first, second], [scaled, inside]] = plots.figure(2, 2, titles=titles)
    last = ds.isel(shape=-1)
    shown = last.mu.values[:: max(1, last.mu.size // 4)]
    for ax, law, reading in ((first, LAWS[0], AS_DRAWN), (second, LAWS[1], AS_DRAWN), (scaled, LAWS[0], SCALED)):
        for mu in shown:
            part = last.sel(entries=law, mu=mu)
            plots.scatter(ax, part.alpha, part[reading], f"mu = {mu:g}")
        ax.set(xlabel="fitted alpha", ylabel="log10 lambda_max", xlim=(1, 12 if law == LAWS[0] else 5))
    correlations = correlations_within(last)
    for law in LAWS:
        plots.points(inside, last.mu, inference.stack([correlations[law, mu] for mu in last.mu.values]), law)
    inside.axhline(0, color=plots.GREY, linewidth=1)
    inside.set(xlabel="mu", ylabel="rank correlation over draws", ylim=(-1, 1))
    plots.legend(first, second, scaled, inside)
    return fig


def _size(shape, mu, n_trials):
    return rmt.Size({"entries": LAWS, "shape": shape, "mu": mu}, n_trials)


claim = rmt.Claim(
    name="alpha-lambda-max",
    title="Small alpha goes with large lambda_max",
    quote="alpha = mu/2 + 1 rises and lambda_max ~ N^(4/mu - 1) falls with mu: the smaller alpha of a matrix, "
    "the larger its lambda_max.",
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 2, eqs 4 and 5, put together in our words",
    criterion="Across mu: supported if Spearman's rank correlation of alpha with log lambda_max is at most -0.5 for both entry laws "
    "at the largest shape, contradicted if for one of them it certainly is above. Within a class: the correlation over draws must be "
    "negative at every mu. Control: with the lambda_max of another draw it must lie within 0.2 of 0. All by simultaneous 95 % "
    "bootstrap intervals.",
    sizes={
        "smoke": _size(("200x100",), (0.75, 1.5, 2.5, 3.5), 30),
        "default": _size(("400x200",), (0.75, 1.0, 1.5, 1.75, 2.25, 2.5, 3.0, 3.5), 200),
        "paper": _size(("400x200", "800x400"), (0.75, 1.0, 1.5, 1.75, 2.25, 2.5, 3.0, 3.5), 400),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="log10 lambda_max against the fitted alpha, one dot a matrix (alpha up to 12), for both entry laws as drawn and for "
    "matrices multiplied by a random c; and Spearman's correlation of the two over draws "
    "at the same mu (simultaneous 95 % bootstrap intervals).",
)
