"""What another seed does to alpha and to the verdicts: networks of the same settings, trained from two seeds by experiment 26.

    for seed in 1 2; do FASHION_MNIST=FOLDER rmt run experiments/26_contest.py --seed $seed --out results/seed$seed; done
    python tests/benchmarks/reseeded.py results/seed1/contest/default.nc results/seed2/contest/default.nc

Prints for the alpha of a layer, its log spectral norm, and the mean alpha of a network: the correlation of the two seeds, the root
mean square of their difference, and the standard deviation of the first seed's, which a difference is to be held against. The same
for initial and for shuffled weights, which share nothing but their shapes and, shuffled, their entries. Layers are those with
0 < alpha < 8 from both seeds; a mean is over those of its seed. Then the verdict on each statement of the claim from either seed, and
Kendall's tau within depths between the test accuracy of a network and that of its twin, which knows all of it but the seed.

Networks that only one of the files has are left out of both, so that a run may be held against an unfinished one.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr
from flips import kind

from realnets.analysis import ALPHA_CUT
from realnets.families import FAMILIES
from realnets.trained import FINAL, INITIAL, SHUFFLED, Models
from rmt.association import average_interval
from rmt.claims import load_claims
from rmt.report import effect_text

CLAIM = Path(__file__).parents[2] / "experiments" / "26_contest.py"
KINDS = {"trained": FINAL, "initial": INITIAL, "shuffled": SHUFFLED}


def of_both(seeds: list[xr.Dataset]) -> list[xr.Dataset]:
    """The datasets without the networks that one of them lacks."""
    here = np.isfinite(seeds[0].train_accuracy) & np.isfinite(seeds[1].train_accuracy)
    return [ds.where(here) for ds in seeds]


def compared(first: np.ndarray, second: np.ndarray) -> str:
    """Of two columns, row by row."""
    correlation, apart = np.corrcoef(first, second)[0, 1], np.sqrt(np.mean((first - second) ** 2))
    return f"{len(first)}, correlation {correlation:.2f}, differ by {apart:.2f}, spread {np.std(first):.2f}"


def layers(models: list[Models], name: str, of: int) -> np.ndarray:
    """One number of every matrix of the networks of all families, in one row."""
    return np.concatenate([m.rows[name].transpose("model", ...).values[:, of].ravel() for m in models])


def main() -> None:
    """Print three lines for each kind of weights, one of the networks, one for each statement, and one for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs=2, type=Path, help="the dataset of each seed")
    datasets = of_both([xr.load_dataset(file) for file in parser.parse_args().files])
    seeds = [[Models(ds, family) for family in FAMILIES] for ds in datasets]
    for weights, of in KINDS.items():
        kept = np.logical_and.reduce([(a > 0) & (a < ALPHA_CUT) for a in (layers(ms, "alpha", of) for ms in seeds)])
        for what, name in (("alpha", "alpha"), ("log10 spectral norm", "log_spectral_norm")):
            print(f"{weights}: {what} of a layer: {compared(*(layers(models, name, of)[kept] for models in seeds))}")
        means = np.array([np.concatenate([m.mean("Alpha", of) for m in models]) for models in seeds])
        print(f"{weights}: mean alpha of a network: {compared(*means[:, np.isfinite(means).all(axis=0)])}")
    print("networks: " + ", ".join(f"{len(m.quality)} {family}" for family, m in zip(FAMILIES, seeds[0], strict=True)))
    (claim,) = load_claims([CLAIM]).values()
    for found in zip(*(claim.check(ds) for ds in datasets), strict=True):
        told = "; ".join(" ".join([v.outcome, *effect_text(asdict(v))]) for v in found)
        print(f"{kind([v.outcome for v in found])}: {found[0].statement}: {told}")
    for family, first, second in zip(FAMILIES, *seeds, strict=True):
        tau = average_interval("tau", second.quality, first.quality, first.depth, comparisons=len(FAMILIES))
        print(f"test accuracy by that of the twin, {family}: mean tau {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}]")


if __name__ == "__main__":
    main()
