"""How often the class of a spectrum is right, and how often it should be by its own probabilities, on fresh matrices.

    python tests/benchmarks/classes.py STORE

1,000 matrices, 200 of each class, of shapes between those of the table and seed 1, which the table never saw. STORE keeps what is
simulated. Writes classes.json beside this file: the confusion matrix with undecided ones, the calibration curve (the largest
probability against the share that is right, in ten bins) and the expected calibration error, the same for every class, the
share that is found unlike all classes, and as a negative control what is said of matrices that are of no class.
"""

import json
import sys
from pathlib import Path

import numpy as np

import rmt
from rmt.calibration import estimate_mu
from rmt.calibration.class_simulation import simulate
from rmt.calibration.classes import CLASSES, DECIDED, UNDECIDED, classify, shipped

SHAPES = ((90, 60), (180, 120), (240, 240), (360, 90), (500, 250), (900, 360))
EACH, OF_EACH_CLASS, SEED, N_BINS = 60, 200, 1, 10


def calibration(p: np.ndarray, right: np.ndarray) -> tuple[float, list[dict]]:
    """Expected calibration error, sum over bins of their share |mean p - share right|, and the curve."""
    at = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    bins = [(p[at == i], right[at == i]) for i in range(N_BINS) if np.any(at == i)]
    curve = [{"said": float(said.mean()), "right": float(was.mean()), "n": len(said)} for said, was in bins]
    return sum(len(said) / len(p) * abs(said.mean() - was.mean()) for said, was in bins), curve


def of_no_class(rng: np.random.Generator, N: int, M: int) -> dict[str, np.ndarray]:
    """Matrices that are of no class, of shape N x M."""
    noise = rng.normal(size=(N, M))
    apart = np.abs(np.subtract.outer(np.arange(M), np.arange(M)))
    return {
        "orthonormal columns and noise": np.linalg.qr(noise)[0] + 0.3 * rng.normal(size=(N, M)) / np.sqrt(N),
        "columns of two scales, 1 : 5": noise * np.where(np.arange(M) < M // 2, 0.2, 1.0),
        "columns of scales from 0.1 to 3": noise * np.geomspace(0.1, 3, M),
        "columns correlated by 0.9^|i-j|": noise @ np.linalg.cholesky(0.9**apart).T,
        "product of two": noise @ rng.normal(size=(M, M)),
        "product of thin ones and noise": rng.normal(size=(N, M // 3)) @ rng.normal(size=(M // 3, M)) + 1e-3 * noise,
    }


def controls(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Of matrices of no class: the share found unlike all, that called a class, and that where no tail has such a spectrum."""
    found: dict[str, list[list[bool]]] = {}
    for N, M in SHAPES[1:]:  # the table of mu starts at N = 100
        for _ in range(5):
            for name, W in of_no_class(rng, N, M).items():
                s = rmt.spectrum(W)
                each = classify(s)
                called = each.name != UNDECIDED
                row = [
                    each.unlike > 1,
                    called,
                    called and (each.name in ("MP", "spiked") or bool(estimate_mu(s).entries)),
                ]
                found.setdefault(name, []).append(row)
    columns = ("unlike all", "called a class", "called a class, and a tail fits")
    return {name: dict(zip(columns, np.mean(rows, axis=0).tolist(), strict=True)) for name, rows in found.items()}


def main(store: str) -> None:
    """Simulate, classify, write and print."""
    table, rng = shipped(), np.random.default_rng(SEED)
    data = simulate(dict.fromkeys(SHAPES, EACH), seed=SEED, store=Path(store))
    x = np.concatenate([ds.features.values.reshape(-1, ds.features.shape[-1]) for ds in data.values()])
    label = np.concatenate([ds.label.values.ravel() for ds in data.values()])
    some = np.concatenate(
        [rng.choice(np.flatnonzero(label == c), OF_EACH_CLASS, replace=False) for c in range(len(CLASSES))]
    )
    x, label = x[some], label[some]
    p, unlike = table.probabilities(x), table.unlike(x)
    best, top = p.argmax(axis=1), p.max(axis=1)
    decided = (top >= DECIDED) & (unlike <= 1)
    named = np.where(decided, best, len(CLASSES))
    confusion = [
        [int(np.sum((label == c) & (named == d))) for d in range(len(CLASSES) + 1)] for c in range(len(CLASSES))
    ]
    error, curve = calibration(top, best == label)
    of_class = {name: calibration(p[:, c], label == c)[0] for c, name in enumerate(CLASSES)}
    found = {
        "shapes": SHAPES,
        "columns": [*CLASSES, UNDECIDED],
        "confusion": dict(zip(CLASSES, confusion, strict=True)),
        "right": float(np.mean(best == label)),
        "decided": float(np.mean(decided)),
        "right where decided": float(np.mean((best == label)[decided])),
        "expected calibration error": float(error),
        "expected calibration error of each class": of_class,
        "curve": curve,
        "unlike all": float(np.mean(unlike > 1)),
        "matrices of no class": controls(rng),
    }
    text = json.dumps(found, indent=1)
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
