"""What the p-values of the matched nulls are distributed like where the null holds: uniform, alone and with multiplicity.

Writes null_tests.json beside itself. Matrices of 60 x 40 from each null's own law, 19 replicates each: for every statistic KS
tests against the uniform law of the rank p-value, its steps filled at random, and of p (Student); and rates at 5 and 1 %, of p and of
what decides, which is p beyond all replicates only.
Then models of ten such layers: the share with any verdict but the right one, by Holm's rule at 5 %. Ten minutes on two cores.
"""

import json
from functools import partial
from pathlib import Path

import jax
import numpy as np
from scipy import stats

import rmt
from rmt import inference
from rmt.calibration.nulls import STATISTICS, localised, null_p_value, null_spectra, null_tests

SEED, N, M, N_NULLS, N_MATRICES, LAYERS = 11, 60, 40, 19, 2000, 10
LEVELS = (0.05, 0.01, 0.005)
TRUTHS = {
    "Gaussian entries, gaussian": (rmt.Gaussian(0.3), "gaussian"),
    "Gaussian entries, shuffled": (rmt.Gaussian(0.3), "shuffled"),
    "signed Pareto mu = 1, shuffled": (rmt.Pareto(1.0), "shuffled"),
    "signed Pareto mu = 3, shuffled": (rmt.Pareto(3.0), "shuffled"),
    "Student t(3) entries, fitted": (rmt.StudentT(3.0), "fitted"),
}


def measured(law, null, key):
    """The tests of one matrix of a law, and its one p-value."""
    key, own = jax.random.split(key)
    W = np.asarray(rmt.IID(law).sample(own, (N, M)))
    eigenvalues = np.asarray(rmt.spectrum(W).eigenvalues)
    tests = null_tests(eigenvalues, N, null_spectra(W, null, key, N_NULLS))
    return tests, null_p_value(null, tests, localised(W)), localised(W)


def described(tests, rng):
    """Of one statistic in many matrices."""
    p, rank, decides = (np.array([getattr(test, what) for test in tests]) for what in ("p", "rank", "p_value"))
    step = np.diff(np.unique(rank)).min()
    filled = rank - step * rng.uniform(size=len(rank))
    rates = {
        f"{what} below {level:.1%}": float(np.mean(of < level))
        for what, of in (("p", p), ("p_value", decides))
        for level in LEVELS
    }
    found = {"rank, KS": float(stats.kstest(filled, "uniform").pvalue)}
    found["p, KS"] = None if np.isnan(p).any() else float(stats.kstest(p, "uniform").pvalue)
    return found | rates


def main():
    found, rng = {}, np.random.default_rng(SEED)
    for i, (name, (law, null)) in enumerate(TRUTHS.items()):
        keys = jax.random.split(jax.random.key(SEED + i), N_MATRICES)
        each = list(map(partial(measured, law, null), keys))
        rows = {what: described([tests[what] for tests, _, _ in each], rng) for what in STATISTICS}
        p = np.array([value for _, value, _ in each]).reshape(-1, LAYERS)
        wrong = int(sum((inference.holm(model) <= 0.05).any() for model in p))
        found[name] = {
            "statistics": rows,
            "matrix, share with p below 5 %": float(np.mean(p < 0.05)),
            "share localised": float(np.mean([local for _, _, local in each])),
            "models with a wrong verdict": [wrong, len(p)],
        }
        print(name, json.dumps(found[name], indent=1), flush=True)
    settings = {
        "N": N,
        "M": M,
        "replicates": N_NULLS,
        "matrices": N_MATRICES,
        "layers of a model": LAYERS,
        "seed": SEED,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(settings | {"truths": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
