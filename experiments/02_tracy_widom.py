"""Claim 2: the largest eigenvalue of a Gaussian matrix fluctuates as Tracy-Widom, within O(M^-2/3) of the MP edge."""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, plots

CONTROL = "signed Pareto, mu = 3"
LAWS = {"Gaussian": rmt.Gaussian(), CONTROL: rmt.Pareto(mu=3.0)}
CLAIMED_DISTANCE = (0, 0.1)
CLAIMED_EXPONENT = (-2 / 3 - 0.05, -2 / 3 + 0.05)


def measure(key, *, entries, Q, N):
    law, M = LAWS[entries], N // Q
    s = rmt.spectrum(rmt.IID(law).sample(key, (N, M)) / jnp.sqrt(law.var))
    centre, scale = rmt.johnstone(N, M)
    edge = rmt.MarchenkoPastur(Q=s.Q).lambda_plus
    return {"tw": (N * s.lambda_max - centre) / scale, "log_gap": jnp.log10(jnp.abs(s.lambda_max - edge))}


def check(ds):
    at_end = ds.isel(N=-1)
    N, M = int(at_end.N), int(at_end.N // ds.Q[0])
    statements = {
        "lambda_max ~ Tracy-Widom 1 after Johnstone centring": ("Gaussian", rmt.TracyWidom(beta=1)),
        "Control: Tracy-Widom 2, the law of complex entries": ("Gaussian", rmt.TracyWidom(beta=2)),
        f"Control: Tracy-Widom 1 for {CONTROL}": (CONTROL, rmt.TracyWidom(beta=1)),
    }
    verdicts = []
    for statement, (entries, law) in statements.items():
        ks = inference.ks_test(at_end.tw.sel(entries=entries).values, law.cdf, comparisons=len(statements)).distance
        verdicts.append(
            rmt.Verdict.of(
                statement,
                ks,
                CLAIMED_DISTANCE,
                f"At N x M = {N} x {M} the standardised lambda_max is {ks.value:.3f} away from the law in KS distance.",
            )
        )
    slope = inference.fit_line(np.log10(ds.N / ds.Q[0]), ds.log_gap.sel(entries="Gaussian", Q=ds.Q[0])).slope
    gap = rmt.Verdict.of(
        "|lambda_max - lambda_plus| ~ M^(-2/3)",
        slope,
        CLAIMED_EXPONENT,
        f"The distance to the MP edge goes as M^{slope.value:.3f}, against -0.667.",
    )
    return [verdicts[0], gap, *verdicts[1:]]


def figure(ds):
    fig, [[left, right]] = plots.figure(cols=2, titles=("law of lambda_max", "distance to the MP edge"))
    x = np.linspace(-5, 5, 200)
    for series, entries in enumerate(LAWS):
        plots.ecdf(left, ds.tw.sel(entries=entries).isel(N=-1), label=entries, series=series)
    plots.curve(left, x, rmt.TracyWidom(beta=1).cdf(x), "Tracy-Widom 1")
    left.set(xlabel="(N lambda_max - centre) / scale", xlim=(x[0], x[-1]))
    M = (ds.N / ds.Q[0]).values
    gap = inference.mean_interval(ds.log_gap.sel(entries="Gaussian", Q=ds.Q[0])).map(lambda y: 10**y)
    plots.points(right, M, gap, "|lambda_max - lambda_plus|")
    plots.curve(right, M, gap.value[0] * (M / M[0]) ** (-2 / 3), "slope -2/3")
    plots.log_axes(right)
    plots.ticks_at(right, M)
    right.set(xlabel="M", ylabel="geometric mean distance")
    plots.legend(left)
    plots.legend(right)
    return fig


def _size(N, n_trials):
    return rmt.Size({"entries": tuple(LAWS), "Q": (2,), "N": N}, n_trials)


claim = rmt.Claim(
    name="tracy-widom",
    title="lambda_max of a Gaussian matrix fluctuates as Tracy-Widom 1",
    quote='Table of universality classes, row "Basic MP": local statistics at the bulk edge "TW"; lambda_max within O(M^(-2/3)) of '
    "lambda_plus.",
    source="Mahoney, slides 'Practical Theory and Neural Network Models' 2021, RMT 102' and 103; Johnstone 2001",
    criterion="Supported if at the largest N the KS distance to the law is below 0.1 (Dvoretzky-Kiefer-Wolfowitz interval, "
    "simultaneous over the three laws), and for the edge if the exponent in M is -2/3 within 0.05.",
    sizes={
        "smoke": _size((50, 200), 120),
        "default": _size((50, 100, 200, 400), 1000),
        "paper": _size((50, 100, 200, 400, 800), 4000),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Left: empirical cdf of lambda_max, standardised by Johnstone's centre and scale, over Tracy-Widom 1; the control "
    "has heavy-tailed entries of unit variance. Right: geometric mean distance of lambda_max from the MP edge.",
)
