"""How far simulated largest eigenvalues of W^T W / N are from the laws that are said to be theirs.

    python tests/benchmarks/largest_eigenvalue.py                  # 1,000 matrices a cell; continues where it was stopped
    python tests/benchmarks/largest_eigenvalue.py --trials 50      # a look

KS distances to the Frechet limit, to the outlier map alone, to its product with Tracy-Widom, and to the corrected product,
`rmt.extremes.LargestEigenvalue`. Writes largest_eigenvalue.json beside this file.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import rmt
from rmt import spikes
from rmt.extremes import LargestEigenvalue, expected_outliers, truncated_moments

ENTRIES = {
    "signed Pareto": rmt.Pareto,
    "Student t": rmt.StudentT,
    "centred Lomax": lambda mu: rmt.Centred(rmt.Lomax(mu)),
}
MU = [2.5, 3.0, 3.5, 4.0, 5.0]
MU_AT = {"400x200": [6.0]}  # where the table has no cell
STEPS = 140
KEY = jax.random.key(2028)


def largest_eigenvalue(key, X):
    """lambda_max of a symmetric matrix by Lanczos' method from a random start, orthogonalised twice at every step."""
    M = X.shape[0]
    steps = min(STEPS, M)
    start = jax.random.normal(key, (M,))

    def step(i, state):
        basis, diagonal, off, v = state
        basis = basis.at[i].set(v)
        w = X @ v
        diagonal = diagonal.at[i].set(w @ v)
        for _ in range(2):
            w = w - basis.T @ (basis @ w)
        norm = jnp.linalg.norm(w)
        return basis, diagonal, off.at[i].set(norm), w / jnp.where(norm > 0, norm, 1.0)

    state = (jnp.zeros((steps, M)), jnp.zeros(steps), jnp.zeros(steps), start / jnp.linalg.norm(start))
    _, diagonal, off, _ = jax.lax.fori_loop(0, steps, step, state)
    off = off[:-1]
    return jnp.linalg.eigvalsh(jnp.diag(diagonal) + jnp.diag(off, 1) + jnp.diag(off, -1))[-1]


def matrix(key, entries, mu, N, M):
    return ENTRIES[entries](mu).sample(key, (N, M))


def measure(key, *, entries, mu, N, M):
    matrix_key, start_key = jax.random.split(key)
    W = matrix(matrix_key, entries, mu, N, M)
    return {"lambda_max": largest_eigenvalue(start_key, W.T @ W / N)}


def worst_error(N, M) -> float:
    """Of Lanczos against the SVD, relative, over the entry laws at both ends of mu."""
    errors = []
    for i, (entries, mu) in enumerate((e, mu) for e in ENTRIES for mu in (MU[0], MU[-1])):
        matrix_key, start_key = jax.random.split(jax.random.key(i))
        W = matrix(matrix_key, entries, mu, N, M)
        exact = jnp.linalg.svd(W, compute_uv=False)[0] ** 2 / N
        errors.append(abs(float(largest_eigenvalue(start_key, W.T @ W / N) / exact) - 1))
    return max(errors)


def laws(entries, mu, N, M) -> dict:
    """Name -> distribution function of lambda_max."""
    law = ENTRIES[entries](mu)
    b = law.abs_isf(1 / (N * M))
    sigma = jnp.sqrt(law.var)
    lambda_plus = rmt.MarchenkoPastur(N / M, sigma).lambda_plus

    def outlier_map(x):
        t = spikes.outlier_inverse(x, N / M, sigma)
        return jnp.where(x < lambda_plus, 0.0, jnp.exp(-N * M * law.abs_sf(jnp.sqrt(N * t))))

    return {
        "Frechet": rmt.Frechet(mu / 2, b**2 / N).cdf,
        "outlier map": outlier_map,
        "map times Tracy-Widom": LargestEigenvalue(law, N, M, corrected=False).cdf,
        "corrected": LargestEigenvalue(law, N, M).cdf,
    }


def summary(ds, N, M) -> list[dict]:
    """One row a cell."""
    rows = []
    for entries in ds.entries.values:
        for mu in ds.mu.values:
            x = ds.lambda_max.sel(entries=entries, mu=mu).squeeze().values
            law = ENTRIES[str(entries)](float(mu))
            var, kurtosis = truncated_moments(law, jnp.sqrt(law.var) * (N * M) ** 0.25)
            row = {"entries": str(entries), "mu": float(mu), "N": N, "M": M, "trials": len(x)}
            row["expected outliers"] = round(float(expected_outliers(law, N, M)), 3)
            row["kurtosis below the threshold"] = round(float(kurtosis), 2)
            row["variance below / variance"] = round(float(var / law.var), 4)
            for name, cdf in laws(str(entries), float(mu), N, M).items():
                row[name] = round(float(stats.kstest(x, lambda x, cdf=cdf: np.asarray(cdf(x))).statistic), 3)
            row["critical at 5 %"] = round(float(stats.kstwo.ppf(0.95, len(x))), 3)
            rows.append(row)
    return rows


def main() -> None:
    """Run the study and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trials", nargs="+", type=int, default=[1000], help="matrices a cell: one number, or one a size"
    )
    parser.add_argument("--sizes", nargs="+", default=["600x300", "1000x1000", "400x200"])
    parser.add_argument("--workers", type=int, default=1, help="threads")
    parser.add_argument(
        "--store", default="results/largest_eigenvalue.{size}.zarr", help="where finished cells are kept"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    found = {"steps": STEPS, "rows": [], "worst relative error of lambda_max": {}}
    if len(options.trials) not in (1, len(options.sizes)):
        parser.error("--trials needs one number, or one a size")
    trials = options.trials * (len(options.sizes) if len(options.trials) == 1 else 1)
    for size, n_trials in zip(options.sizes, trials, strict=True):
        N, M = (int(n) for n in size.split("x"))
        found["worst relative error of lambda_max"][size] = worst_error(N, M)
        grid = {"entries": list(ENTRIES), "mu": MU_AT.get(size, MU), "N": [N], "M": [M]}
        store = options.store.format(size=size)
        ds = rmt.sweep(measure, grid, key=KEY, n_trials=n_trials, store=store, executor=rmt.Threads(options.workers))
        found["rows"] += summary(ds, N, M)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    for row in found["rows"]:
        print(*(f"{name} {value}" for name, value in row.items()), sep="  ")
    print(found["worst relative error of lambda_max"])


if __name__ == "__main__":
    main()
