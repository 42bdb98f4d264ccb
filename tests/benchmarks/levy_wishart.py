"""Spectra of symmetric heavy-tailed matrices beside `LevyWishart`, bin by bin: its limit, and its law at finite N.

    python tests/benchmarks/levy_wishart.py               # a few minutes on one core

For mu = 0.5, 1, 1.5, 1.7 and Q = 1, 2, 5: the share of the eigenvalues of W^T W/N in 12 bins of equal mass under the law of
`LevyWishart.of_matrix`, its standard error from the scatter between matrices, and z = (share - 1/12)/error. `bias` is the
root of the mean over the bins of (share - 1/12)^2 - error^2, with its sign: what is left beyond the scatter.

Sums of N squares of Pareto entries lack N mu/(2 - mu) beside the stable sum of the same tail, which is of relative size
N^(1 - 2/mu): at mu = 1.5 only N^(-1/3). Hence "pareto" and "student t" entries beside the law of their second moment, continued
to mu < 2; "pareto" beside the limit alone; and entries that lack nothing beside the limit: "stable", with w^2 positive stable,
E exp(-p w^2) = exp(-Gamma(1 - mu/2) p^(mu/2)), and "smoothed", Pareto entries plus Gaussian ones of variance mu/(2 - mu).
Writes levy_wishart.json beside this file.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gamma

import rmt
from rmt.laws import LevyWishart

SIZES = {100: 300, 800: 40}  # rows, matrices
GRID = [
    (name, law, mu, Q)
    for name, law, mu in (
        ("pareto", "finite N", 0.5),
        ("pareto", "finite N", 1.0),
        ("pareto", "finite N", 1.5),
        ("pareto", "finite N", 1.7),
        ("student t", "finite N", 1.5),
        ("pareto", "limit", 1.5),
        ("stable", "limit", 1.5),
        ("smoothed", "limit", 1.5),
    )
    for Q in (1, 2, 5)
]
BINS = 12


def entries(name: str, mu: float, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """One matrix; squares of "stable" entries by Kanter's formula (Ann. Probab. 3 (1975) 697)."""
    if name == "student t":
        return rmt.IID(rmt.StudentT(mu)).sample(key, shape)
    if name == "pareto":
        return rmt.IID(rmt.Pareto(mu)).sample(key, shape)
    if name == "smoothed":
        noise = jax.random.normal(jax.random.fold_in(key, 1), shape, float)
        return entries("pareto", mu, key, shape) + jnp.sqrt(mu / (2 - mu)) * noise
    s = mu / 2
    angle_key, depth_key = jax.random.split(key)
    phi = jnp.pi * jax.random.uniform(angle_key, shape, float)
    a = (jnp.sin(s * phi) / jnp.sin(phi)) ** (1 / (1 - s)) * jnp.sin((1 - s) * phi) / jnp.sin(s * phi)
    square = gamma(1 - s) ** (1 / s) * (a / jax.random.exponential(depth_key, shape, float)) ** ((1 - s) / s)
    sign = jax.random.rademacher(jax.random.fold_in(key, 1), shape, float)
    return sign * jnp.sqrt(square)


def cell(name: str, law: str, mu: float, Q: int, N: int, matrices: int) -> dict:
    """The shares of the bins, as the module says."""
    M = N // Q
    constant = float(rmt.StudentT(mu).tail_constant) if name == "student t" else 1.0
    moment = 0.0 if law == "limit" else mu / (mu - 2)
    edges = np.asarray(LevyWishart.of_matrix(mu, N, M, constant, moment).ppf(np.arange(1, BINS) / BINS))
    draw = jax.jit(lambda key: entries(name, mu, key, (N, M)))
    shares = []
    for key in jax.random.split(jax.random.key(int(1000 * mu) + Q), matrices):
        x = np.linalg.svd(np.asarray(draw(key)), compute_uv=False) ** 2 / N
        shares.append(np.bincount(np.searchsorted(edges, x), minlength=BINS) / M)
    share, error = np.mean(shares, 0), np.std(shares, 0, ddof=1) / np.sqrt(matrices)
    bias = np.mean((share - 1 / BINS) ** 2 - error**2)
    row = {"entries": name, "law": law, "mu": mu, "Q": Q, "N": N, "M": M, "matrices": matrices}
    return row | {
        "share": share.tolist(),
        "error": error.tolist(),
        "z": ((share - 1 / BINS) / error).tolist(),
        "bias": float(np.sign(bias) * np.sqrt(abs(bias))),
    }


def main() -> None:
    """Every cell, into the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    out = parser.parse_args().out
    cells = []
    for N, matrices in SIZES.items():
        for name, law, mu, Q in GRID:
            cells.append(cell(name, law, mu, Q, N, matrices))
            z = np.array(cells[-1]["z"])
            print(
                f"{name}, {law}, {mu=} {Q=} {N=}: largest |z| {np.abs(z).max():.1f}, bias {cells[-1]['bias']:.4f}",
                flush=True,
            )
    out.write_text(json.dumps({"sizes": list(SIZES), "bins": BINS, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
