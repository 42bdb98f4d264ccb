"""How often the intervals of a fit to independent data hold the truth, and whether its p-values are uniform.

    python tests/benchmarks/coverage.py                  # 1,000 data sets a cell; continues where it was stopped
    python tests/benchmarks/coverage.py --trials 50      # a look

The data are exact Pareto, and a body below 1 (log-normal or exponential, cut there) with a Pareto tail of 30 % of the values
above 1: for these the model "power law above the true xmin" is exact. The controls have no power law: how often is one
rejected at p <= 0.1? Writes coverage.json beside this file, which the
docstrings of `rmt.tails.bootstrap` quote.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import rmt
from rmt import inference

N_RESAMPLES = 500
SAMPLES = {
    "Pareto, alpha = 1.5": 1.5,
    "Pareto, alpha = 2.5": 2.5,
    "Pareto, alpha = 3.5": 3.5,
    "log-normal body, alpha = 3": 3.0,
    "exponential body, alpha = 3": 3.0,
}
TAIL_SHARE = 0.3
CONTROLS = {"log-normal": rmt.laws.LogNormal(0.0, 0.5), "exponential": rmt.laws.Exponential(1.0)}


def sample(key, data: str, n: int):
    """n independent values whose tail is a power law above 1."""
    tail_key, body_key, which_key = jax.random.split(key, 3)
    alpha = SAMPLES[data]
    tail = jnp.exp(jax.random.exponential(tail_key, (n,)) / (alpha - 1))
    if data.startswith("Pareto"):
        return tail
    body = {"log": rmt.laws.LogNormal(0.0, 1.0), "exp": rmt.laws.Exponential(1.0)}[data[:3]]
    below = body.ppf(jax.random.uniform(body_key, (n,)) * body.cdf(1.0))
    return jnp.where(jax.random.uniform(which_key, (n,)) < TAIL_SHARE, tail, below)


def measure(key, *, data, n):
    sample_key, bootstrap_key = jax.random.split(key)
    result = rmt.bootstrap(bootstrap_key, sample(sample_key, data, n), rmt.Clauset(), N_RESAMPLES)
    alpha, given_xmin = SAMPLES[data], result.fit.interval()
    low, high = result.interval()
    xmin_low, xmin_high = result.xmin_interval()
    return {
        "covered": ((low <= alpha) & (alpha <= high)) * 1.0,
        "covered_given_xmin": ((given_xmin[0] <= alpha) & (alpha <= given_xmin[1])) * 1.0,
        "covered_xmin": ((xmin_low <= 1) & (xmin_high >= 1)) * 1.0,
        "width": high - low,
        "width_given_xmin": given_xmin[1] - given_xmin[0],
        "p_value": result.p_value,
        "p_scaled": result.p_scaled,
    }


def measure_control(key, *, data, n):
    sample_key, bootstrap_key = jax.random.split(key)
    x = CONTROLS[data].sample(sample_key, (n,))
    result = rmt.bootstrap(bootstrap_key, x, rmt.Clauset(), N_RESAMPLES, calibrate=False)
    return {"p_value": result.p_value, "p_scaled": result.p_scaled, "n_tail": result.fit.n_tail}


def rejections(ds) -> list[dict]:
    """Of each control, how often p <= 0.1, and the median length of the tail."""
    return [
        {
            "data": str(data),
            "n": int(n),
            **{p: _proportion(ds.sel(data=data, n=n)[p].values <= 0.1) for p in ("p_value", "p_scaled")},
            "n_tail": int(np.median(ds.sel(data=data, n=n).n_tail)),
        }
        for data in ds.data.values
        for n in ds.n.values
    ]


def summary(ds) -> list[dict]:
    """One row a cell, with 95 % Wilson intervals for the proportions."""
    rows = []
    for data in ds.data.values:
        for n in ds.n.values:
            cell = ds.sel(data=data, n=n)
            row = {"data": str(data), "n": int(n), "trials": int(cell.sizes["trial"])}
            for name in ("covered", "covered_given_xmin", "covered_xmin"):
                row[name] = _proportion(cell[name].values > 0)
            for name in ("p_value", "p_scaled"):
                p = cell[name].values
                row[name] = {
                    "p <= 0.1": _proportion(p <= 0.1),
                    "KS": round(float(stats.kstest(p, "uniform").statistic), 3),
                }
            row["width ratio"] = round(float(np.median(cell.width) / np.median(cell.width_given_xmin)), 2)
            rows.append(row)
    return rows


def _proportion(which) -> list[float]:
    estimate = inference.proportion_interval(int(np.sum(which)), len(which), method="wilson")
    return [round(x, 4) for x in (estimate.value, estimate.low, estimate.high)]


def main() -> None:
    """Run the study and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--store", default="results/coverage.zarr", help="where finished cells are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    grid = {"data": list(SAMPLES), "n": [100, 1000]}
    ds = rmt.sweep(measure, grid, key=jax.random.key(2026), n_trials=options.trials, store=options.store)
    rows = summary(ds)
    grid["data"] = list(CONTROLS)
    key = jax.random.key(2027)
    store = Path(options.store).with_suffix(".controls.zarr")
    controls = rejections(rmt.sweep(measure_control, grid, key=key, n_trials=options.trials, store=store))
    found = {"n_resamples": N_RESAMPLES, "rows": rows, "controls": controls}
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    for row in rows + controls:
        print(
            f"{row['data']:28} n = {row['n']:<5}",
            *(f"{k} {v}" for k, v in row.items() if k not in ("data", "n")),
            sep="  ",
        )


if __name__ == "__main__":
    main()
