"""Coverage, bias and width of `rmt.calibration.estimate_mu` on fresh matrices, cell by cell.

    python tests/benchmarks/mu_coverage.py STORE

STORE keeps the simulated summaries, so that a second call continues; seed 1, which the table never saw. Writes
tests/benchmarks/mu_coverage.json: for every family of entries, shape and mu, with the family stated and without, the share
of intervals that hold mu, the median error where mu is flagged identifiable, the share so flagged, and the median ratio of
the ends of the interval.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rmt.calibration.mu import invert
from rmt.calibration.mu_simulation import simulate
from rmt.calibration.mu_table import MuTable, shipped

MU = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 5.0)
SHAPES = ((120, 120), (140, 112), (150, 60), (180, 45))
"""Between those of the table."""
N_TRIALS = 400
SEED = 1
HERE = Path(__file__)


def rows(table: MuTable, shapes: Sequence[tuple[int, int]], store: Path, n_trials: int = N_TRIALS) -> list[dict]:
    """One row for every shape, family and mu, stated or not."""
    found = []
    for (N, M), ds in simulate(dict.fromkeys(shapes, n_trials), seed=SEED, store=store, mu=MU).items():
        for name in ds.entries.values:
            for mu in MU:
                x = ds.summary.sel(entries=name, mu=mu).isel(N=0, M=0).values
                for entries in ((str(name),), table.entries):
                    found.append({"N": N, "M": M, "entries": str(name), "mu": mu, **row(table, N, M, x, entries, mu)})
    return found


def row(table: MuTable, N: int, M: int, x: np.ndarray, entries: tuple[str, ...], mu: float) -> dict:
    """What the estimates from these summaries are worth."""
    found = invert(table, N, M, x, entries)
    inside = [low <= mu <= high for low, high in (each.interval for each in found)]
    known = [each.mu / mu for each in found if each.identifiable]
    bounds = [each.interval[1] == math.inf for each in found]
    ratio = [each.interval[1] / each.interval[0] if each.interval[0] else math.inf for each in found]
    return {
        "stated": len(entries) == 1,
        "coverage": float(np.mean(inside)),
        "bias": float(np.mean(known) - 1) if known else None,
        "identifiable": len(known) / len(found),
        "one_sided": float(np.mean(bounds)),
        "refused": float(np.mean([not each.entries for each in found])),
        "ratio": None if np.isinf(np.median(ratio)) else float(np.median(ratio)),
        "n": len(found),
    }


def main(store: str) -> None:
    """Simulate, estimate, print the worst and write all."""
    found = rows(shipped(), SHAPES, Path(store))
    for stated in (True, False):
        some = [each for each in found if each["stated"] == stated]
        cover = np.array([each["coverage"] for each in some])
        biases = [abs(each["bias"]) for each in some if each["bias"] is not None and each["identifiable"] > 0.5]
        print(
            f"{'family stated' if stated else 'family unknown'}: coverage {cover.min():.3f} to {cover.max():.3f}, in [0.92, 0.98] "
            f"in {np.sum((cover >= 0.92) & (cover <= 0.98))} of {len(cover)} cells, mean {cover.mean():.3f}; largest bias where "
            f"most are identifiable: {max(biases, default=math.nan):.3f}"
        )
    lines = ",\n".join(json.dumps(each) for each in found)
    HERE.with_suffix(".json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
