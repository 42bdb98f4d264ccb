"""From simulated matrices of the five classes to a `ClassTable`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy import optimize
from scipy.spatial import KDTree
from scipy.special import log_softmax

from rmt.calibration.classes import CLASSES, N_SHAPE, ClassTable, Neighbourhood, features, terms
from rmt.calibration.mu_simulation import FAMILIES
from rmt.calibration.simulation import sweep_shapes
from rmt.ensembles import IID, Spiked
from rmt.laws import Gaussian, Laplace, Law, StudentT
from rmt.spectra import spectrum
from rmt.spikes import spike_threshold

if TYPE_CHECKING:
    import xarray as xr

LIGHT: Mapping[str, Law] = {"Gaussian": Gaussian(), "Laplace": Laplace(), "Student t(10)": StudentT(10.0)}
"""Name -> law of the entries of the classes MP and spiked."""

TAILS = ((4.0, 8.0), (2.0, 4.0), (0.4, 2.0))
"""Range of mu of the classes WHT, MHT and VHT, in which ln mu is uniform."""

MOST_SPIKES, STRENGTHS = 10, (1.2, 10.0)
BLOCK = 60
FEWEST_TRIALS = 60
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3)
KEPT = 4000
"""About so many spectra stay in the table."""

OUTPUTS = {"features": 1, "label": 0}


def trials_of(M: int) -> int:
    """Matrices of each law of the entries in the shipped table. Where they are large there are fewer, for their time."""
    return 180 if M <= 300 else 120


def _shapes() -> dict[tuple[int, int], int]:
    ratios = dict.fromkeys((50, 70, 100, 140, 200, 300), (1, 1.5, 2.5, 4, 8)) | {450: (1, 1.5, 2.5, 4), 700: (1, 1.5)}
    return {(round(Q * M), M): trials_of(M) for M, Qs in ratios.items() for Q in Qs}


SHAPES: Mapping[tuple[int, int], int] = _shapes()
"""(N, M) -> matrices of each law of the entries."""


def measure(key: jax.Array, *, entries: str, N: int, M: int) -> dict[str, jax.Array]:
    """The features of one matrix of a random class, among those that these entries can have, and which it was."""
    kind, size, draw = jax.random.split(key, 3)
    if entries in FAMILIES:
        label = jax.random.randint(kind, (), 0, len(TAILS))
        low, high = jnp.log(jnp.array(TAILS)).T
        mu = jnp.exp(jax.random.uniform(size, (), minval=low[label], maxval=high[label]))
        W = IID(FAMILIES[entries](mu)).sample(draw, (N, M))
        label = label + CLASSES.index("WHT")
    else:
        law, label = LIGHT[entries], jax.random.randint(kind, (), 0, 2)
        number, strength = jax.random.split(size)
        n = jnp.where(label == 0, 0, jnp.floor((MOST_SPIKES + 1) ** jax.random.uniform(number)))
        low, high = jnp.log(jnp.array(STRENGTHS))
        square = jnp.exp(jax.random.uniform(strength, (MOST_SPIKES,), minval=low, maxval=high))
        theta = jnp.sqrt(square) * spike_threshold(N / M, jnp.sqrt(law.var))
        theta = jnp.where(jnp.arange(MOST_SPIKES) < n, theta, 0)
        W = Spiked(IID(law), theta).sample(draw, (N, M))
    return {"features": features(spectrum(W)), "label": label}


def simulate(
    shapes: Mapping[tuple[int, int], int] = SHAPES,
    *,
    seed: int,
    store: Path | None = None,
    workers: int | None = None,
    restart: bool = False,
    progress: bool = True,
) -> "dict[tuple[int, int], xr.Dataset]":
    """For every shape (N, M) the `features` and the `label` of so many matrices of each law; resumes what `store` holds."""
    return sweep_shapes(
        measure,
        shapes,
        {"entries": (*FAMILIES, *LIGHT)},
        purpose="classes",
        seed=seed,
        block=BLOCK,
        store=store,
        workers=workers,
        restart=restart,
        progress=progress,
    )


def build(data: "Mapping[tuple[int, int], xr.Dataset]", seed: int) -> ClassTable:
    """The table of what `simulate` found with a seed.

    Every class counts the same in the regression, however many of its matrices there are. How much its weights are held
    back is chosen by the likelihood of every fifth matrix, of a fit to the others.
    """
    x, label = (
        np.concatenate([_flat(ds[name].values, axes) for ds in data.values()]) for name, axes in OUTPUTS.items()
    )
    there = np.isfinite(x).all(axis=1)
    x, label = x[there], label[there]
    mean, std = x.mean(axis=0), x.std(axis=0)
    scale = np.where(std > 1e-9, std, 1.0)  # of one shape, or one M, there is nothing to scale
    z = (x - mean) / scale
    t, held = terms(z), np.arange(len(z)) % 5 == 0
    losses = [_loss(_regression(t[~held], label[~held], ridge), t[held], label[held]) for ridge in RIDGES]
    spectra = z[:: max(len(z) // KEPT, 1)]
    others = z[1 :: max(len(z) // KEPT, 1)]
    return ClassTable(
        mean=mean,
        scale=scale,
        weights=_regression(t, label, RIDGES[int(np.argmin(losses))]),
        spectra=spectra,
        far=float(np.quantile(Neighbourhood(spectra).isolation(others), 0.99)),
        N=np.array([N for N, _ in data]),
        M=np.array([M for _, M in data]),
        n_trials=np.array([ds.sizes["trial"] for ds in data.values()]),
        seed=seed,
    )


def deviations(
    table: ClassTable, N: int, M: int, workers: int | None = None, progress: bool = False
) -> dict[str, float]:
    """How far the spectra of a shape that the table keeps are, at worst, from those of its matrices drawn again, in its scales."""
    i = int(np.flatnonzero((table.N == N) & (table.M == M))[0])
    ds = simulate({(N, M): int(table.n_trials[i])}, seed=table.seed, workers=workers, progress=progress)[N, M]
    again = table.standardised(_flat(ds.features.values, 1))
    shape = again[0, -N_SHAPE:]
    kept = table.spectra[np.all(np.abs(table.spectra[:, -N_SHAPE:] - shape) < 1e-3, axis=1)]
    return {"spectra": float(KDTree(again).query(kept)[0].max(initial=0))}


def _flat(values: np.ndarray, axes: int) -> np.ndarray:
    """One row for each matrix."""
    return values.reshape(-1, *values.shape[values.ndim - axes :])


def _regression(t: Float[np.ndarray, "n T"], label: Int[np.ndarray, " n"], ridge: float) -> Float[np.ndarray, "T C"]:
    """Weights by maximum likelihood, less ridge/2 times their squares."""
    n_terms, n_classes = t.shape[1], len(CLASSES)
    share = _shares(label)
    target = np.eye(n_classes)[label]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(n_terms, n_classes)
        log_p = log_softmax(t @ w, axis=1)
        value = -share @ np.sum(target * log_p, axis=1) + ridge / 2 * np.sum(w[1:] ** 2)
        slope = t.T @ (share[:, None] * (np.exp(log_p) - target)) + ridge * np.vstack([np.zeros(n_classes), w[1:]])
        return float(value), slope.ravel()

    start = np.zeros(n_terms * n_classes)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 4000})
    return found.x.reshape(n_terms, n_classes)


def _loss(w: np.ndarray, t: np.ndarray, label: np.ndarray) -> float:
    return float(-_shares(label) @ log_softmax(t @ w, axis=1)[np.arange(len(t)), label])


def _shares(label: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Of each matrix, so that every class has the same."""
    return 1 / (np.bincount(label, minlength=len(CLASSES))[label] * len(CLASSES))
