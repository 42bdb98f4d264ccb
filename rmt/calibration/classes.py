"""Which universality class a spectrum is of: probabilities that are right as often as they say, of five kinds of matrices."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from rmt.calibration.storage import check_shapes, chosen, damaged, load_arrays, save_table, shipped_arrays
from rmt.calibration.summary import N_FEATURES, check_full_rank, summary
from rmt.errors import InputError
from rmt.laws import johnstone
from rmt.phases import weigh
from rmt.spectra import Spectrum

KIND = "heavytail-lab table of classes, version 1"
CLASSES = ("MP", "spiked", "WHT", "MHT", "VHT")
"""Independent entries, light-tailed; those plus 1 to 10 directions that are above the threshold by a factor of 1.2 to 10 in
theta^2; independent entries of tail index mu from 4 to 8, from 2 to 4 and from 0.4 to 2."""

HEAVY = CLASSES[2:]
UNDECIDED = "undecided"
DECIDED = 0.8
"""A class is decided from this probability on."""

NEIGHBOURS = 40
N_SHAPE = 2  # the last features, log M and log Q
N_CLASS_FEATURES = N_FEATURES + 6


@dataclass(frozen=True)
class ClassEstimate:
    """The class of a spectrum.

    Attributes:
        probabilities: of each of `CLASSES`, for a matrix that is of one of them, each as likely before.
        unlike: how far the spectrum is from simulated ones beside how far these are from each other, over what 1 % of them
            exceed: above 1 it is unlike any of the classes, and the probabilities say nothing.
    """

    probabilities: Mapping[str, float]
    unlike: float

    @property
    def name(self) -> str:
        """The class whose probability is at least `DECIDED`; undecided if there is none, or the spectrum is unlike all."""
        return self.likely[0] if len(self.likely) == 1 else UNDECIDED

    @property
    def likely(self) -> tuple[str, ...]:
        """The most probable classes, the first of them first, that have `DECIDED` together; none if the spectrum is unlike all."""
        falling = sorted(self.probabilities, key=lambda name: -self.probabilities[name])
        together = np.cumsum([self.probabilities[name] for name in falling])
        return tuple(falling[: 1 + int(np.sum(together < DECIDED))]) if self.unlike <= 1 else ()


@dataclass(frozen=True)
class ClassTable:
    """A multinomial logistic regression on the features of simulated spectra, and some of these spectra.

    Attributes:
        mean, scale: of the features.
        weights: of the standardised features, their squares and products, and 1, for each class.
        spectra: standardised features of simulated matrices, some of all classes and shapes.
        far: the isolation (`Neighbourhood`) that 1 % of spectra exceed.
        N, M: the shapes that were simulated.
        n_trials: matrices of each of them and each law of the entries.
        seed: of the simulation.
    """

    mean: Float[np.ndarray, " F"]
    scale: Float[np.ndarray, " F"]
    weights: Float[np.ndarray, "T C"]
    spectra: Float[np.ndarray, "n F"]
    far: float
    N: np.ndarray
    M: np.ndarray
    n_trials: np.ndarray
    seed: int

    def probabilities(self, features: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n C"]:
        """Of every class, by features as `features` gives them."""
        return scipy.special.softmax(terms(self.standardised(features)) @ self.weights, axis=-1)

    def standardised(self, features: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n F"]:
        """Less the mean, over the scale."""
        return (features - self.mean) / self.scale

    def unlike(self, features: Float[np.ndarray, "n F"]) -> Float[np.ndarray, " n"]:
        """See `ClassEstimate`."""
        return self._neighbourhood.isolation(self.standardised(features)) / self.far

    @cached_property
    def _neighbourhood(self) -> "Neighbourhood":
        return Neighbourhood(self.spectra)

    def check_shape(self, N: int, M: int) -> None:
        """Raise InputError unless N x M is within the shapes that were simulated."""
        Q = N / M
        low, high = self.M.min(), self.M.max()
        if not (low <= M <= high and 1.01 * max(self.N[self.M >= M] / self.M[self.M >= M]) >= Q):
            raise InputError(
                f"the table of classes reaches M = {low} to {high}, with Q = N/M up to "
                f"{max(self.N / self.M):.3g} where M is small and {max((self.N / self.M)[high == self.M]):.3g} at {high}; "
                f"got {N} x {M}. Take a block of the matrix"
            )


def features(s: Spectrum) -> Float[Array, " F"]:
    """What the class is decided by: the summary of the spectrum, what `rmt.phases.weigh` finds outside of the bulk, the shape."""
    found = weigh(s)
    centre, scale = (each / s.N for each in johnstone(s.N, s.M))
    variance = jnp.where(found.variance > 0, found.variance, 1)
    outlying = (s.lambda_max / variance - centre) / scale
    shape = jnp.log(jnp.array([s.M, s.Q], float))
    # Logarithms from a few units on: the heavier the tail the more decades these have
    evidence = jnp.arcsinh(jnp.stack([outlying, found.n_outside * 1.0, found.gap, s.M * found.bulk_ks]))
    return jnp.concatenate([summary(s), evidence, shape])


def terms(z: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n T"]:
    """1, the features, their squares and their products."""
    i, j = np.triu_indices(z.shape[-1])
    return np.concatenate([np.ones((len(z), 1)), z, z[:, i] * z[:, j]], axis=1)


class Neighbourhood:
    """Standardised spectra among which others are near or far, without regard to shape."""

    def __init__(self, spectra: Float[np.ndarray, "m F"]):
        spectra = spectra[:, :-N_SHAPE]
        self._tree = scipy.spatial.KDTree(spectra)
        self._among = self._tree.query(spectra, NEIGHBOURS + 1)[0][:, -1]  # the nearest of each is itself

    def isolation(self, z: Float[np.ndarray, "n F"]) -> Float[np.ndarray, " n"]:
        """The distance from the `NEIGHBOURS`-th nearest of the spectra over the mean of theirs.

        Light-tailed spectra are far closer to each other than heavy-tailed ones, which no one distance does justice to.

        Source: M. M. Breunig et al., Proc. ACM SIGMOD 2000, 93, a simpler form of their local outlier factor.
        """
        distance, nearest = self._tree.query(z[:, :-N_SHAPE], NEIGHBOURS)
        return distance[:, -1] / self._among[nearest].mean(axis=1)


def classify(s: Spectrum, table: "ClassTable | str | Path | None" = None) -> ClassEstimate:
    """The class of a spectrum among `CLASSES`, with probabilities.

    They are for a matrix drawn from one of the five, each as likely as the others, the entries signed Pareto, Student t or
    centred Lomax in the heavy-tailed ones and Gaussian, Laplace or Student t(10) otherwise. Noise is never called MP, since no
    spectrum tells it from a weak tail without outliers: MP and WHT are likely then (`ClassEstimate.likely`).

    A trained matrix need not be any of the five. `unlike` finds narrow bulks, products of matrices and columns of two scales or
    of many; but correlated columns make a spectrum that is called VHT, and that a heavy tail fits in 5 of 6 cases. Whether
    entries are independent the shuffled ones say (`rmt.calibration.null_tests`), and no spectrum alone.

    Args:
        s: all eigenvalues of one N x M matrix.
        table: a `ClassTable` or the path of one, instead of the shipped one.

    Raises:
        ValueError: s is a batch, or has not all eigenvalues.
        InputError: the shape is outside of the table; the matrix has not full rank; the table cannot be read.

    Accuracy: of 1,000 fresh matrices, 200 of each class and of shapes between those of the table, 75 % have the right class as the
        most probable one; 44 % are decided, of which 95 % are right. The expected calibration error is 0.014, and 0.010 to 0.027
        for the probability of each class (`tests/benchmarks/classes.json`, with the confusion matrix).
    """
    if s.eigenvalues.ndim != 1 or not s.complete:
        raise ValueError(
            f"classify(s) needs all eigenvalues of one matrix, got shape {s.eigenvalues.shape} of M = {s.M}"
        )
    table = chosen(table, shipped, load)
    table.check_shape(s.N, s.M)
    check_full_rank(s, "classify")
    found = np.asarray(_features(s))[None]
    p = table.probabilities(found)[0]
    return ClassEstimate(dict(zip(CLASSES, map(float, p), strict=True)), float(table.unlike(found)[0]))


_features = jax.jit(features)


def save(table: ClassTable, path: Path) -> None:
    """Write a table in single precision."""
    save_table(path, KIND, table)


def load(path: Path) -> ClassTable:
    """A table that `save` wrote.

    Raises:
        InputError: it is no such table, or of another version, or damaged.
    """
    return _checked(load_arrays(path, KIND, ClassTable), path)


@cache
def shipped() -> ClassTable:
    """The table inside the package."""
    return _checked(shipped_arrays("classes.npz", KIND, ClassTable), "classes.npz")


def _checked(values: Mapping[str, np.ndarray], where: object) -> ClassTable:
    numbers = {name: np.asarray(values[name], float) for name in ("mean", "scale", "weights", "spectra")}
    F = N_CLASS_FEATURES
    n_terms = 1 + F + F * (F + 1) // 2
    shapes = {"mean": (F,), "scale": (F,), "weights": (n_terms, len(CLASSES)), "M": values["N"].shape}
    check_shapes({**numbers, "M": values["M"]}, shapes | {"spectra": (len(numbers["spectra"]), F)}, where)
    far = float(values["far"])
    if not (far > 0 and math.isfinite(far) and np.all(numbers["scale"] > 0) and len(numbers["spectra"]) > NEIGHBOURS):
        raise damaged(where, "its scales are not positive")
    whole = {name: np.asarray(values[name], int) for name in ("N", "M", "n_trials")}
    return ClassTable(**numbers, **whole, far=far, seed=int(values["seed"]))
