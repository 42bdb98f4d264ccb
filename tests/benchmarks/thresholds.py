"""How often the thresholds of noise are passed by noise of other entries and shapes than they were made from, and by signals.

    python tests/benchmarks/thresholds.py                    # half an hour on one core; continues where it was stopped
    python tests/benchmarks/thresholds.py --trials 100 --power-trials 20

False positives: matrices of Gaussian, Laplace and Student t(10) entries of unit variance, of shapes between those of the table and
with keys of their own, at nominal 1 and 5 %. sigma is given, or the root mean square of the matrix; the excess kurtosis is that
of the law, that of the matrix's own entries, or taken to be 0. A rate is called off where its exact two-sided binomial test at 1 %,
shared out over all rows (Bonferroni), says so; rows that neglect the kurtosis of their entries show what that costs. Power: shares
of heavy-tailed and of spiked matrices that the tests of alpha and of lambda_max at 5 % detect. Writes thresholds.json beside this
file.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import rmt
from rmt.calibration import ks_threshold, noise_threshold, spike_threshold

NOISE = {"Gaussian": rmt.Gaussian(), "Laplace": rmt.Laplace(), "Student t(10)": rmt.StudentT(10.0)}
KURTOSIS = {"Gaussian": 0.0, "Laplace": 3.0, "Student t(10)": 1.0}
SHAPES = ["120x80", "333x250", "600x150", "900x400"]
LEVELS = (0.01, 0.05)
HEAVY = {"signed Pareto": rmt.Pareto, "Student t": rmt.StudentT}
MU = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0]
SPIKES = [0.8, 1.0, 1.2, 1.5, 2.0, 3.0]
"""theta over its threshold Q^(-1/4)."""
RANKS = (1, 5)
POWER_M = [25, 35, 50, 70, 100, 140, 200]
ASPECTS = [1, 2]
INDEPENDENT = [15, 30, 60, 80, 150, 250, 700, 3000]
EXPONENT = 1.75  # of the independent values
POWER_LEVEL = 0.05
KEY = jax.random.key(20320)


def found(W):
    """What the tests need of a matrix."""
    s = rmt.spectrum(W)
    var = jnp.mean(W**2)
    return {
        "alpha": rmt.fit_tail(s).alpha,
        "lambda_max": s.lambda_max,
        "var": var,
        "kurtosis": jnp.mean(W**4) / var**2 - 3,
    }


def noise(key, *, entries, N, M):
    law = NOISE[entries]
    return found(rmt.IID(law).sample(key, (N, M)) / jnp.sqrt(law.var))


def laplace(key, *, N, M):
    W = NOISE["Laplace"].sample(key, (N, M)) / jnp.sqrt(NOISE["Laplace"].var)
    return {**found(W), "largest": jnp.abs(W).max()}


def heavy(key, *, entries, N, M, mu):
    return found(rmt.IID(HEAVY[entries](mu)).sample(key, (N, M)))


def spiked(key, *, rank, N, M, strength):
    theta = strength * rmt.spikes.spike_threshold(N / M)
    return found(rmt.Spiked(rmt.Wishart(), jnp.full(rank, theta)).sample(key, (N, M)))


def independent(key, *, n):
    fit = rmt.fit_tail(rmt.Pareto(mu=EXPONENT - 1, signed=False).sample(key, (n,)))
    return {"ks": fit.ks, "n_tail": fit.n_tail, "alpha": fit.alpha}


def detections(ds, N, M, level, law=None, kurtosis=None) -> dict:
    """Test -> which of the matrices it takes for a signal."""
    alpha, top, var, own = (ds[name].values.squeeze() for name in ("alpha", "lambda_max", "var", "kurtosis"))
    own_edge = spike_threshold(N, M, level, kurtosis=own, estimated=True)
    tests = {
        "alpha": alpha < noise_threshold(N, M, level),
        "lambda_max, own sigma, own kurtosis": top / var > own_edge,
        "lambda_max, own sigma, kurtosis 0": top / var > spike_threshold(N, M, level, estimated=True),
        "lambda_max, own sigma, WeightWatcher's edge": top / var > weightwatcher_edge(N, M),
    }
    if law is not None:
        own_edge = spike_threshold(N, M, level, kurtosis=own)
        tests |= {
            "lambda_max, kurtosis of the law": top > spike_threshold(N, M, level, kurtosis=kurtosis),
            "lambda_max, own kurtosis": top > own_edge,
            "lambda_max, kurtosis 0": top > spike_threshold(N, M, level),
            "lambda_max, law": top > spike_threshold(N, M, level, entries=law) / float(law.var),
            "lambda_max, own sigma, kurtosis of the law": top / var
            > spike_threshold(N, M, level, kurtosis=kurtosis, estimated=True),
        }
    return tests


def weightwatcher_edge(N, M) -> float:
    """lambda_plus + sqrt(T), T = lambda_plus^(2/3)/(sqrt(Q) M^(2/3)): above it WeightWatcher counts spikes, mean(lambda) = 1."""
    Q = N / M
    edge = (1 + Q**-0.5) ** 2
    return edge + (edge ** (2 / 3) * Q**-0.5 * M ** (-2 / 3)) ** 0.5


def weightwatcher_rows() -> list[dict]:
    """By how many Tracy-Widom scales that edge is beyond lambda_plus, and what it lets pass."""
    rows = []
    for N, M in [(100, 100), (500, 500), (1000, 500), (2000, 1000), (4000, 4000)]:
        edge, ours = weightwatcher_edge(N, M), spike_threshold(N, M, 0.01)
        centre, scale = (float(each) / N for each in rmt.johnstone(N, M))
        rows.append(
            {
                "N": N,
                "M": M,
                "Tracy-Widom scales from lambda_plus": (edge - float(rmt.MarchenkoPastur(N / M).lambda_plus)) / scale,
                "those of the threshold at 1 %": (ours - float(rmt.MarchenkoPastur(N / M).lambda_plus)) / scale,
                "share of noise above": float(rmt.TracyWidom().sf((edge - centre) / scale)),
                "weakest spike above, theta^2 over its threshold": float(
                    rmt.spikes.outlier_inverse(edge, N / M) * (N / M) ** 0.5
                ),
                "the same at 1 %": float(rmt.spikes.outlier_inverse(ours, N / M) * (N / M) ** 0.5),
            }
        )
    return rows


def false_positives(sweep, shapes, n_trials) -> list[dict]:
    rows = []
    for N, M in shapes:
        ds = sweep(noise, {"entries": list(NOISE), "N": [N], "M": [M]}, n_trials, f"noise.{N}x{M}")
        for entries, law in NOISE.items():
            for level in LEVELS:
                at = ds.sel(entries=entries)
                for test, hit in detections(at, N, M, level, law, KURTOSIS[entries]).items():
                    if not test.endswith("edge"):
                        rows.append({"entries": entries, "N": N, "M": M, "test": test, **rate(hit, level)})
    ds = sweep(independent, {"n": INDEPENDENT}, n_trials, "independent")
    for n in INDEPENDENT:
        at = ds.sel(n=n)
        for level in LEVELS:
            n_tail = np.maximum(at.n_tail.values, 10)
            limits = {m: ks_threshold(int(m), level) for m in np.unique(n_tail)}
            limit = np.array([limits[m] for m in n_tail])
            rows.append({"entries": "independent Pareto", "N": n, "test": "D", **rate(at.ks.values > limit, level)})
    for row in rows:
        row["by neglect"] = row["test"].endswith("kurtosis 0") and row["entries"] != "Gaussian"
    meant = sum(not row["by neglect"] for row in rows)
    for row in rows:
        row["off"] = bool(row["p"] < 0.01 / meant)
    return rows


def by_largest_entry(sweep, shape, n_trials) -> list[dict]:
    """Where the correction by the kurtosis is poorest: Laplace entries at a small shape, by the size of the largest entry."""
    N, M = shape
    ds = sweep(laplace, {"N": [N], "M": [M]}, n_trials, "laplace")
    size = ds.largest.values.squeeze() / (N * M) ** 0.25
    rows = []
    for level in LEVELS:
        tests = detections(ds, N, M, level, NOISE["Laplace"], KURTOSIS["Laplace"])
        for test in (
            "alpha",
            "lambda_max, kurtosis of the law",
            "lambda_max, own sigma, own kurtosis",
            "lambda_max, law",
        ):
            for low, high in ((0, np.inf), (0, 0.7), (0.7, 0.9), (0.9, np.inf)):
                at = (size >= low) & (size < high)
                about = {"test": test, "largest entry, in spike thresholds": f"{low} to {high}"}
                rows.append({**about, "share": round(float(at.mean()), 4), **rate(tests[test][at], level)})
    return rows


def precision(sweep, n_trials) -> list[dict]:
    """How far alpha is from the truth for independent values of a power law, by their number."""
    ds = sweep(independent, {"n": INDEPENDENT}, n_trials, "independent")
    rows = []
    for n in INDEPENDENT:
        error = np.log((ds.alpha.sel(n=n).values - 1) / (EXPONENT - 1))
        within = {f"within a factor {f}": round(float(np.mean(np.abs(error) < np.log(f))), 3) for f in (1.25, 1.5, 2)}
        rows.append({"n": n, "n_tail": float(np.median(ds.n_tail.sel(n=n))), **within})
    return rows


def rate(hit, level) -> dict:
    test = stats.binomtest(int(hit.sum()), len(hit), level)
    return {"level": level, "trials": len(hit), "rate": round(float(hit.mean()), 4), "p": float(test.pvalue)}


def power(sweep, columns, n_trials) -> list[dict]:
    rows = []
    for Q in ASPECTS:
        for M in columns:
            N = Q * M
            grid = {"entries": list(HEAVY), "N": [N], "M": [M], "mu": MU}
            ds = sweep(heavy, grid, n_trials, f"heavy.{N}x{M}")
            for entries in HEAVY:
                for mu in MU:
                    rows.append({"signal": entries, "at": mu, **_power(ds.sel(entries=entries, mu=mu), N, M)})
            grid = {"rank": list(RANKS), "N": [N], "M": [M], "strength": SPIKES}
            ds = sweep(spiked, grid, n_trials, f"spiked.{N}x{M}")
            for rank in RANKS:
                for strength in SPIKES:
                    at = ds.sel(rank=rank, strength=strength)
                    rows.append({"signal": f"{rank} spikes", "at": strength, **_power(at, N, M)})
    return rows


def _power(ds, N, M) -> dict:
    hits = detections(ds, N, M, POWER_LEVEL)
    return {"N": N, "M": M, "trials": ds.sizes["trial"]} | {k: round(float(hit.mean()), 4) for k, hit in hits.items()}


def smallest(rows, needed=0.8) -> list[dict]:
    """The M from which on a test has the power that is needed at level 5 %, or None if it has not at the largest M."""
    found = []
    cells = {(row["signal"], row["at"], row["N"] // row["M"]) for row in rows}
    for signal, at, Q in sorted(cells):
        of = sorted(
            (row["M"], row) for row in rows if (row["signal"], row["at"], row["N"] // row["M"]) == (signal, at, Q)
        )
        for test in ("alpha", "lambda_max, own sigma, own kurtosis", "lambda_max, own sigma, kurtosis 0"):
            M = None
            for m, row in reversed(of):
                if row[test] < needed:
                    break
                M = m
            found.append({"signal": signal, "at": at, "Q": Q, "test": test, "M": M})
    return found


def show(rows) -> None:
    for row in rows:
        values = ((k, f"{v:.4g}" if isinstance(v, float) else v) for k, v in row.items())
        print(*(f"{name} {value}" for name, value in values), sep="  ")


def main() -> None:
    """Run the study and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000, help="matrices of noise a cell")
    parser.add_argument("--power-trials", type=int, default=400, help="matrices of signals a cell")
    parser.add_argument(
        "--shapes", nargs="+", default=SHAPES, help="of the noise; the first also for the largest entry"
    )
    parser.add_argument("--power-m", nargs="+", type=int, default=POWER_M, help="columns of the signals")
    parser.add_argument("--workers", type=int, default=1, help="threads")
    parser.add_argument("--store", default="results/thresholds", help="folder where finished cells are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()

    def sweep(measure, grid, n_trials, name):
        store, executor = Path(options.store) / f"{name}.zarr", rmt.Threads(options.workers)
        return rmt.sweep(measure, grid, key=KEY, n_trials=n_trials, store=store, executor=executor, block=n_trials // 4)

    shapes = [(int(N), int(M)) for N, M in (shape.split("x") for shape in options.shapes)]
    positives = false_positives(sweep, shapes, options.trials)
    signals = power(sweep, options.power_m, options.power_trials)
    result = {
        "false positives": positives,
        f"Laplace {options.shapes[0]}": by_largest_entry(sweep, shapes[0], 10 * options.trials),
        "alpha - 1 of independent values": precision(sweep, options.trials),
        "power": signals,
        "smallest M of power 0.8": smallest(signals),
        "WeightWatcher's edge": weightwatcher_rows(),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for rows in result.values():
        show(rows)
    for neglect, what in ((False, "rates"), (True, "rates that neglect the kurtosis")):
        of = [row["off"] for row in positives if row["by neglect"] == neglect]
        print(f"{sum(of)} of {len(of)} {what} are off")


if __name__ == "__main__":
    main()
