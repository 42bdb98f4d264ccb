"""At what rate, against n, `rmt.compare` tells data from a power law, and how often it takes a power law for something else.

    python tests/benchmarks/power.py                  # 400 data sets a cell: a quarter of an hour on one core; continues
    python tests/benchmarks/power.py --trials 20      # a look

Independent data: n values of each law above xmin = 1. Spectra: the n eigenvalues of a Gaussian 2n x n matrix. Everything is
compared twice, above the given xmin (for spectra, the median of the Marchenko-Pastur law) and above the one that `Clauset()`
finds. Writes power.json beside this file, which the docstring of `rmt.compare` quotes.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt.laws import Above, Exponential, LogNormal, PowerLaw, Weibull

LAWS = {
    "power law, alpha = 2.5": PowerLaw(2.5),
    "power law, alpha = 1.5": PowerLaw(1.5),
    "log-normal, log_sd = 0.5": Above(LogNormal(0.0, 0.5), 1.0),
    "log-normal, log_sd = 1": Above(LogNormal(0.0, 1.0), 1.0),
    "log-normal, log_sd = 2": Above(LogNormal(0.0, 2.0), 1.0),
    "exponential": Above(Exponential(1.0), 1.0),
    "stretched exponential, shape = 0.5": Above(Weibull(0.5, 1.0), 1.0),
    "exponential cutoff, alpha = 2, rate = 0.1": rmt.laws.ExpTruncatedPowerLaw(2.0, 0.1),
}
SPECTRUM = "Marchenko-Pastur bulk"
SIZES = [100, 300, 1000, 3000, 10000]
TESTS = ("TruncatedPareto", "ExpTruncated", "LogNormal", "StretchedExponential", "Exponential")


def independent(key, *, n, law):
    """`law` is a float, so that one program serves all laws: the number of one in LAWS."""
    draws = [each.sample(key, (n,)) for each in LAWS.values()]
    return both(jnp.stack(draws)[law.astype(int)], 1.0)


def bulk(key, *, n):
    W = rmt.IID(rmt.Gaussian()).sample(key, (2 * n, n))
    return both(rmt.spectrum(W), rmt.MarchenkoPastur(Q=2.0).ppf(0.5))


def both(data, xmin):
    """-1 where a test favours another law, 1 the power law, 0 neither: above the given xmin, and above the one found."""
    given, searched = rmt.compare(data, method=rmt.Clauset(xmin=xmin)), rmt.compare(data)
    return {
        "given": given.favoured(),
        "searched": searched.favoured(),
        "n_given": given.power_law.n_tail,
        "n_searched": searched.power_law.n_tail,
    }


def summary(data: str, cell) -> list[dict]:
    """For each way to xmin: the rates, by test, at which the other law and the power law are favoured."""
    rows = []
    for xmin in ("given", "searched"):
        favoured = cell[xmin].values
        rows.append(
            {
                "data": data,
                "n": int(cell.n),
                "xmin": xmin,
                "trials": len(favoured),
                "n_tail": int(np.median(cell[f"n_{xmin}"].values)),
                "other law": dict(zip(TESTS, np.mean(favoured < 0, 0).round(4).tolist(), strict=True)),
                "power law": dict(zip(TESTS, np.mean(favoured > 0, 0).round(4).tolist(), strict=True)),
            }
        )
    return rows


def table(rows: list[dict]) -> str:
    """Markdown: in each cell the rate in percent for the other law / for the power law."""
    lines = [f"| data | n | xmin | n_tail | {' | '.join(TESTS)} |", "|" + "---|" * (4 + len(TESTS))]
    for row in rows:
        rates = (f"{100 * row['other law'][test]:.0f} / {100 * row['power law'][test]:.0f}" for test in TESTS)
        lines.append(f"| {row['data']} | {row['n']} | {row['xmin']} | {row['n_tail']} | {' | '.join(rates)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="largest n; spectra stop at 1000")
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument(
        "--store", default="results/power", help="where finished cells are kept: a folder's name without .zarr"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    sizes = [n for n in SIZES if n <= options.largest]
    how = {
        "key": jax.random.key(2026),
        "n_trials": options.trials,
        "block": 20,
        "executor": rmt.Processes(options.workers),
    }
    grid = {"n": sizes, "law": [float(i) for i in range(len(LAWS))]}
    values = rmt.sweep(independent, grid, **how, store=f"{options.store}-values.zarr", progress="values")
    grid = {"n": [n for n in sizes if n <= 1000]}
    spectra = rmt.sweep(bulk, grid, **how, store=f"{options.store}-spectra.zarr", progress="spectra")
    cells = [(name, values.isel(law=i, n=j)) for i, name in enumerate(LAWS) for j in range(values.sizes["n"])]
    cells += [(SPECTRUM, spectra.isel(n=j)) for j in range(spectra.sizes["n"])]
    rows = [row for name, cell in cells for row in summary(name, cell)]
    options.out.write_text(json.dumps({"level": 0.1, "rows": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
