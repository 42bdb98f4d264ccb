"""Claim 1: the eigenvalue density of a Gaussian matrix converges to Marchenko-Pastur."""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, metrics, plots

CONTROL = "signed Pareto, mu = 1.5"
LAWS = {"Gaussian": rmt.Gaussian(), CONTROL: rmt.Pareto(mu=1.5)}


def measure(key, *, entries, Q, N):
    W = rmt.IID(LAWS[entries]).sample(key, (N, N // Q))
    # matched in scale, so that the control cannot fail for its variance alone
    s = rmt.spectrum(W / jnp.sqrt(jnp.mean(W**2)))
    return {"ks": metrics.ks_distance(s, rmt.MarchenkoPastur(Q=s.Q))}


def slopes(ds, entries):
    """Slope of log10 D in log10 N for each Q, with simultaneous intervals."""
    log_ks = np.log10(ds.ks.sel(entries=entries))
    Qs = ds.Q.values
    lines = [inference.fit_line(np.log10(ds.N), log_ks.sel(Q=Q), comparisons=len(Qs)) for Q in Qs]
    return Qs, inference.stack([line.slope for line in lines])


def check(ds):
    verdicts = []
    for entries, statement in (("Gaussian", "ESD -> MP"), (CONTROL, f"Control: ESD -> MP for {CONTROL}")):
        Qs, slope = slopes(ds, entries)
        i, worst = inference.worst(slope, CLAIMED)
        at_end = float(ds.ks.sel(entries=entries).isel(N=-1).mean())
        verdicts.append(
            rmt.Verdict.of(
                statement,
                worst,
                CLAIMED,
                f"The KS distance to MP goes as N^{worst.value:.2f} at Q = {Qs[i]}, the slowest of Q = "
                f"{', '.join(map(str, Qs))}; its mean at N = {int(ds.N[-1])} is {at_end:.4f}.",
            )
        )
    return verdicts


def figure(ds):
    fig, [[ax]] = plots.figure()
    for Q in ds.Q.values:
        plots.points(ax, ds.N, ds.ks.sel(entries="Gaussian", Q=Q), f"Gaussian, Q = {Q}")
    plots.points(ax, ds.N, ds.ks.sel(entries=CONTROL, Q=ds.Q[0]), f"control: {CONTROL}")
    N = ds.N.values.astype(float)
    start = float(ds.ks.sel(entries="Gaussian").isel(N=0, Q=0).mean())
    plots.curve(ax, N, start * N[0] / N, "slope -1")
    plots.log_axes(ax)
    plots.ticks_at(ax, N)
    ax.set(xlabel="N", ylabel="KS distance to MP")
    plots.legend(fig)
    return fig


CLAIMED = (-np.inf, -0.5)

claim = rmt.Claim(
    name="marchenko-pastur",
    title="The ESD of a Gaussian matrix converges to Marchenko-Pastur",
    quote='Table of universality classes, row "Basic MP": elements "Gaussian", finite-N global shape "MP distribution", limiting '
    'global shape "MP", far tail "No tail".',
    source="Martin & Mahoney, JMLR 22(165) 2021, section 3.1 and Table 3; Marchenko & Pastur 1967",
    criterion="Supported if the KS distance between ESD and MP falls at least as fast as N^-0.5 for every Q tried "
    "(simultaneous 95 % intervals of the slope of log D in log N); contradicted if for some Q the interval lies above -0.5.",
    sizes={
        "smoke": rmt.Size({"entries": tuple(LAWS), "Q": (2,), "N": (64, 128, 256)}, 8),
        "default": rmt.Size({"entries": tuple(LAWS), "Q": (1, 2, 5), "N": (64, 256, 1024)}, 12),
        "paper": rmt.Size({"entries": tuple(LAWS), "Q": (1, 2, 5, 10), "N": (64, 128, 256, 512, 1024, 2048)}, 40),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Mean KS distance between the eigenvalues of W^T W / N and the Marchenko-Pastur law against N, with standard "
    "errors. Heavy-tailed entries of the same variance, the control, stay away from it.",
)
