"""Spectra of symmetric unit Pareto matrices beside `LevyWishart`, bin by bin, and its distance as N grows.

    python tests/benchmarks/levy_wishart.py               # a few minutes on one core

For mu = 0.5, 1, 1.5 and Q = 1, 2, 5: the share of the eigenvalues of W^T W/N in 12 bins of equal mass under the law of
`LevyWishart.of_matrix`, its standard error from the scatter between matrices, and z = (share - 1/12)/error. Two sizes, since
the law is a limit: what is left of the differences in `bias`, root of the mean over the bins of (share - 1/12)^2 - error^2,
falls with N. Writes levy_wishart.json beside this file.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import numpy as np

import rmt
from rmt.laws import LevyWishart

SIZES = {100: 400, 800: 30}  # rows, matrices
GRID = [(mu, Q) for mu in (0.5, 1.0, 1.5) for Q in (1, 2, 5)]
BINS = 12


def cell(mu: float, Q: int, N: int, matrices: int) -> dict:
    """The shares of the bins, as the module says."""
    M = N // Q
    law = LevyWishart.of_matrix(mu, N, M)
    edges = np.asarray(law.ppf(np.arange(1, BINS) / BINS))
    ensemble, draw = rmt.IID(rmt.Pareto(mu)), jax.jit(lambda key: ensemble.sample(key, (N, M)))
    shares = []
    for key in jax.random.split(jax.random.key(int(1000 * mu) + Q), matrices):
        x = np.linalg.svd(np.asarray(draw(key)), compute_uv=False) ** 2 / N
        shares.append(np.bincount(np.searchsorted(edges, x), minlength=BINS) / M)
    share, error = np.mean(shares, 0), np.std(shares, 0, ddof=1) / np.sqrt(matrices)
    bias = np.mean((share - 1 / BINS) ** 2 - error**2)
    row = {"mu": mu, "Q": Q, "N": N, "M": M, "matrices": matrices}
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
        for mu, Q in GRID:
            cells.append(cell(mu, Q, N, matrices))
            z = np.array(cells[-1]["z"])
            print(f"{mu=} {Q=} {N=}: largest |z| {np.abs(z).max():.1f}, bias {cells[-1]['bias']:.4f}", flush=True)
    out.write_text(json.dumps({"sizes": list(SIZES), "bins": BINS, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
