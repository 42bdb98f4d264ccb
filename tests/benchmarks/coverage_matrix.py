"""How often an interval for the alpha of a spectrum holds what the estimator gives on such matrices, in the median.

    python tests/benchmarks/coverage_matrix.py                # 200 matrices a row; continues where it was stopped
    python tests/benchmarks/coverage_matrix.py --trials 20    # a look

Beside the bootstrap of replicated matrices stand the intervals that take eigenvalues for independent data: the one given
xmin, and that of `rmt.bootstrap`. The truth is the median alpha of 2,000 other matrices. Writes coverage_matrix.json beside
this file, which the docstrings of `rmt.replicates` and `rmt.tails.bootstrap` quote.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference

SHAPE = (200, 100)
N_RESAMPLES, N_TRUTH = 100, 2000
ENTRIES = {
    "signed Pareto, mu = 1": rmt.Pareto(1.0),
    "signed Pareto, mu = 1.5": rmt.Pareto(1.5),
    "signed Pareto, mu = 3": rmt.Pareto(3.0),
    "Lomax, mu = 3": rmt.Lomax(3.0),
    "Gaussian": rmt.Gaussian(),
}


def alpha_of(key, entries: str) -> dict:
    """alpha of one matrix."""
    return {"alpha": rmt.fit_tail(rmt.spectrum(rmt.IID(ENTRIES[entries]).sample(key, SHAPE))).alpha}


def measure(key, *, entries):
    """The ends of every interval for one matrix."""
    draw_key, entries_key, parametric_key, independent_key = jax.random.split(key, 4)
    ensemble = rmt.IID(ENTRIES[entries])
    W = ensemble.sample(draw_key, SHAPE)
    s = rmt.spectrum(W)
    fit = rmt.fit_tail(s)

    def replicated(key, ensemble):
        def one(k):
            again = rmt.fit_tail(rmt.spectrum(ensemble.sample(k, SHAPE)))
            return again.alpha, again.xmin

        return rmt.MatrixBootstrap(fit, *jax.lax.map(one, jax.random.split(key, N_RESAMPLES))).interval()

    return {
        "given xmin": jnp.stack(fit.interval()),
        "independent": jnp.stack(rmt.bootstrap(independent_key, s, n_resamples=N_RESAMPLES).interval()),
        "own entries": jnp.stack(replicated(entries_key, rmt.Resampled(W))),
        "true law": jnp.stack(replicated(parametric_key, ensemble)),
    }


def main() -> None:
    """Run the study and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument(
        "--store", default="results/coverage_matrix", help="stem of the folders that keep finished cells"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    grid = {"entries": list(ENTRIES)}
    key, truth_key = jax.random.split(jax.random.key(2027))
    truth = rmt.sweep(
        lambda key, *, entries: alpha_of(key, entries),
        grid,
        key=truth_key,
        n_trials=N_TRUTH,
        store=f"{options.store}-truth.zarr",
    )
    ds = rmt.sweep(measure, grid, key=key, n_trials=options.trials, store=f"{options.store}.zarr")
    rows = []
    for entries in ENTRIES:
        alpha = float(np.median(truth.alpha.sel(entries=entries)))
        row: dict = {"entries": entries, "alpha": round(alpha, 3), "trials": options.trials}
        for name in ds.data_vars:
            low, high = ds[name].sel(entries=entries).values.T
            covered = inference.proportion_interval(
                int(np.sum((low <= alpha) & (alpha <= high))), options.trials, method="wilson"
            )
            row[str(name)] = [round(x, 3) for x in (covered.value, covered.low, covered.high)]
        rows.append(row)
        print(*(f"{k} {v}" for k, v in row.items()), sep="  ")
    options.out.write_text(json.dumps({"shape": SHAPE, "n_resamples": N_RESAMPLES, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
