"""Claim 1: the eigenvalue density of a Gaussian matrix converges to Marchenko-Pastur."""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, metrics, plots

CONTROL = "signed Pareto, mu = 1.5"
CLAIMED = (-np.inf, -0.5)
BINS = np.linspace(0, 4, 41)  # of lambda / sigma^2
LAWS = {"Gaussian": rmt.Gaussian(), CONTROL: rmt.Pareto(mu=1.5)}


def measure(key, *, entries, Q, N, sigma):
    W = rmt.IID(LAWS[entries]).sample(key, (N, N // Q))
    # matched in scale, so that the control cannot fail for its variance alone
    s = rmt.spectrum(W * (sigma / jnp.sqrt(jnp.mean(W**2))))
    counts = jnp.histogram(s.eigenvalues / sigma**2, BINS)[0]
    return {"ks": metrics.ks_distance(s, rmt.MarchenkoPastur(s.Q, sigma)), "counts": counts}


def distances(ds, entries, Q):
    """(N, replicates), those of all sigma together."""
    return ds.ks.sel(entries=entries, Q=Q).stack(replicate=("sigma", "trial")).transpose("N", "replicate").values


def falls(ds, entries, statement):
    """Slope of log10 D in log10 N for each Q, with simultaneous intervals."""
    log_N, Qs, last = np.log10(ds.N), ds.Q.values, int(ds.N[-1])
    found = {Q: inference.fit_line(log_N, np.log10(distances(ds, entries, Q)), comparisons=len(Qs)).slope for Q in Qs}
    at_end = np.mean([distances(ds, entries, Q)[-1] for Q in Qs])
    sentence = (
        f"The KS distance to MP goes as N^{{x:.2f}} at Q = {{at}}, the slowest of {{count}}; its mean at N = {last}, all Q and "
        f"sigma, is {at_end:.4f}."
    )
    return rmt.Verdict.of_all(statement, found, CLAIMED, sentence)


def check(ds):
    return [
        falls(ds, "Gaussian", "ESD -> MP"),
        falls(ds, CONTROL, f"Control: ESD -> MP for {CONTROL}"),
    ]


def figure(ds):
    N, x = ds.N.values.astype(float), np.linspace(0, 4, 500)
    titles = ("KS distance against N", f"densities at N = {int(N[-1])}, sigma = 0.5 and 2")
    fig, [[rate, density]] = plots.figure(cols=2, titles=titles, panel=(6, 4.4))
    middle, width = (BINS[1:] + BINS[:-1]) / 2, np.diff(BINS)[0]
    for series, q in enumerate(ds.Q.values):
        plots.points(rate, N, distances(ds, "Gaussian", q), f"Gaussian, Q = {q}", series)
        counts = ds.counts.sel(entries="Gaussian", Q=q).isel(N=-1).mean("trial") * q / (N[-1] * width)
        for sigma in ds.sigma:
            plots.points(density, middle, counts.sel(sigma=sigma).values, f"Q = {q}" if sigma < 1 else None, series)
        plots.curve(density, x[1:], rmt.MarchenkoPastur(q).pdf(x[1:]), "MP" if series == 0 else None)
    plots.points(rate, N, distances(ds, CONTROL, ds.Q.values[0]), f"control: {CONTROL}")
    plots.curve(rate, N, distances(ds, "Gaussian", ds.Q.values[0])[0].mean() * N[0] / N, "slope -1")
    plots.ticks_at(plots.log_axes(rate), N)
    rate.set(xlabel="N", ylabel="KS distance to MP")
    density.set(xlabel="lambda / sigma^2", ylabel="density", ylim=(0, 1.3))
    plots.legend(rate, density)
    return fig


def _size(Q, N, n_trials):
    return rmt.Size({"entries": tuple(LAWS), "Q": Q, "N": N, "sigma": (0.5, 2.0)}, n_trials)


claim = rmt.Claim(
    name="marchenko-pastur",
    title="The ESD of a Gaussian matrix converges to Marchenko-Pastur",
    quote='Table of universality classes, row "Basic MP": elements "Gaussian", finite-N global shape "MP distribution", limiting '
    'global shape "MP", far tail "No tail".',
    source="Martin & Mahoney, JMLR 22(165) 2021, section 3.1 and Table 3; Marchenko & Pastur 1967",
    criterion="Supported if the KS distance between ESD and MP falls at least as fast as N^-0.5 for every Q tried "
    "(simultaneous 95 % intervals of the slope of log D in log N); contradicted if for some Q the interval lies above -0.5.",
    sizes={
        "smoke": _size((2,), (64, 256), 6),
        "default": _size((1, 2, 5), (64, 256, 1024), 8),
        "paper": _size((1, 2, 5, 10), (64, 128, 256, 512, 1024, 2048), 50),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Mean KS distance between the eigenvalues of W^T W / N and the Marchenko-Pastur law against N, with standard "
    "errors, all sigma together; and densities, one marker for each sigma, over the law's. Heavy-tailed "
    "entries of the same variance, the control, stay away from it.",
)
