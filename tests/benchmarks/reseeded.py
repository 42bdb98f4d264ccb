"""What another seed does to alpha: networks of the same settings, trained from two seeds by experiment 26.

    for seed in 1 2; do FASHION_MNIST=FOLDER rmt run experiments/26_contest.py --seed $seed --out results/seed$seed; done
    python tests/benchmarks/reseeded.py results/seed1/contest/default.nc results/seed2/contest/default.nc

Prints for the alpha of a layer, its log spectral norm, and the mean alpha of a network: the correlation of the two seeds, the root
mean square of their difference, and the standard deviation of the first seed's, which a difference is to be held against. The same
for initial and for shuffled weights, which share nothing but their shapes and, shuffled, their entries. Layers are those with
0 < alpha < 8 from both seeds; a mean is over those of its seed.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from realnets.analysis import ALPHA_CUT
from realnets.families import FAMILIES
from realnets.trained import FINAL, INITIAL, SHUFFLED, Models

KINDS = {"trained": FINAL, "initial": INITIAL, "shuffled": SHUFFLED}


def compared(first: np.ndarray, second: np.ndarray) -> str:
    """Of two columns, row by row."""
    correlation, apart = np.corrcoef(first, second)[0, 1], np.sqrt(np.mean((first - second) ** 2))
    return f"{len(first)}, correlation {correlation:.2f}, differ by {apart:.2f}, spread {np.std(first):.2f}"


def layers(models: list[Models], name: str, of: int) -> np.ndarray:
    """One number of every matrix of the networks of all families, in one row."""
    return np.concatenate([m.rows[name].transpose("model", ...).values[:, of].ravel() for m in models])


def main() -> None:
    """Print three lines for each kind of weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs=2, type=Path, help="the dataset of each seed")
    seeds = [[Models(xr.load_dataset(file), family) for family in FAMILIES] for file in parser.parse_args().files]
    for kind, of in KINDS.items():
        kept = np.logical_and.reduce([(a > 0) & (a < ALPHA_CUT) for a in (layers(ms, "alpha", of) for ms in seeds)])
        for what, name in (("alpha", "alpha"), ("log10 spectral norm", "log_spectral_norm")):
            print(f"{kind}: {what} of a layer: {compared(*(layers(models, name, of)[kept] for models in seeds))}")
        means = np.array([np.concatenate([m.mean("Alpha", of) for m in models]) for models in seeds])
        print(f"{kind}: mean alpha of a network: {compared(*means[:, np.isfinite(means).all(axis=0)])}")


if __name__ == "__main__":
    main()
