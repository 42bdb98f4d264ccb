"""Phases of training: six shapes of a layer's spectrum, told apart by tests whose error rates are stated.

The papers draw the six as pictures. Here each is a definition that a program can apply, from what stands outside of the
Marchenko-Pastur bulk, how far, whether there is such a bulk at all, and how fast the tail falls.
"""

import math
from enum import IntEnum
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from rmt.laws import MarchenkoPastur, TracyWidom, johnstone
from rmt.metrics import largest_gap
from rmt.spectra import Spectrum
from rmt.tails import fit_tail

LEVEL = 0.01
"""Nominal level of the test for eigenvalues outside of the bulk, and of that for the shape of the bulk."""

GAP = 6.5
"""A spike is separated from the bulk by more than this many Tracy-Widom scales."""

FEW = 0.5
"""A bulk has no more outliers than this times sqrt M, a vanishing share."""

HEAVY = 3.0
"""alpha = mu/2 + 1 at mu = 4: below it the largest eigenvalue is Frechet's and not the edge's."""

COLLAPSED = 0.05
"""From this share of zeros on, the rank has collapsed."""

FEWEST = 20
"""Eigenvalues that a phase needs."""

_COUNT_VAR = 0.4  # of the number of eigenvalues below a point in the bulk, (ln M + this)/pi^2
_BULK_KS = (1.3, 0.61)  # the 99 % point of M D for noise, this + this ln M
_WIDTH = 512  # a spectrum is padded to a multiple of it, so that few programs serve all shapes
_PASSES = 3  # over the variance and the outliers, which must not count in it


class Phase(IntEnum):
    """The phase of a spectrum; UNDEFINED if an eigenvalue is not finite."""

    UNDEFINED = -1
    RANDOM_LIKE = 0
    BLEEDING_OUT = 1
    BULK_SPIKES = 2
    BULK_DECAY = 3
    HEAVY_TAILED = 4
    RANK_COLLAPSE = 5

    @property
    def label(self) -> str:
        """The published name."""
        return _LABELS[self]


_LABELS = ("Random-like", "Bleeding-out", "Bulk+Spikes", "Bulk-decay", "Heavy-tailed", "Rank-collapse", "undefined")


class Evidence(eqx.Module):
    """What the phase of a spectrum is decided by; scalars, with a batch axis under `vmap`.

    Attributes:
        variance: sigma^2 of the bulk, median eigenvalue / median of the Marchenko-Pastur law of unit variance; of the
            eigenvalues inside only.
        edge: the point that the largest eigenvalue of noise of that variance exceeds with probability `LEVEL`.
        n_outside: number of eigenvalues above `edge`.
        gap: the widest distance between neighbours from the last eigenvalue inside on, in Tracy-Widom scales; 0 if none is
            outside.
        bulk_ks: sup |F_m - F|, the distance of the m eigenvalues inside from the Marchenko-Pastur law.
        has_bulk: whether that is the distance of noise, and those outside are few.
        zero_share: share of the eigenvalues that are zero to within their error; NaN if one is not finite.
        alpha: exponent of the tail, by the fit of `rmt.fit_tail`; NaN where that failed.
    """

    variance: Float[Array, ""]
    edge: Float[Array, ""]
    n_outside: Int[Array, ""]
    gap: Float[Array, ""]
    bulk_ks: Float[Array, ""]
    has_bulk: Bool[Array, ""]
    zero_share: Float[Array, ""]
    alpha: Float[Array, ""]

    @property
    def phase(self) -> Int[Array, ""]:
        """The `Phase` code that this makes; see `phase`."""
        outlying = jnp.where(self.gap > GAP, Phase.BULK_SPIKES, Phase.BLEEDING_OUT)
        with_bulk = jnp.where(self.n_outside == 0, Phase.RANDOM_LIKE, outlying)
        without = jnp.where(self.alpha < HEAVY, Phase.HEAVY_TAILED, Phase.BULK_DECAY)
        code = jnp.where(self.has_bulk, with_bulk, without)
        code = jnp.where(self.zero_share >= COLLAPSED, Phase.RANK_COLLAPSE, code)
        return jnp.where(jnp.isfinite(self.zero_share), code, Phase.UNDEFINED)


def phase(s: Spectrum) -> Int[Array, ""]:
    """The `Phase` code of a spectrum: the first of these definitions that applies.

    Rank-collapse: at least 5 % of the eigenvalues are zero to within their error bound, which is that of the arithmetic: take
        the spectrum in the precision in which the weights were stored.
    With a bulk: at most sqrt(M)/2 eigenvalues are outside, and the others are distributed by the Marchenko-Pastur law, by a KS
        test at level 0.01.
        Random-like: none is outside, by a Tracy-Widom test of lambda_max at level 0.01.
        Bulk+Spikes: some are outside, and a gap of more than 6.5 Tracy-Widom scales lies between them and the bulk, or
            between two of them.
        Bleeding-out: some are outside, and there is no such gap.
    Without one:
        Heavy-tailed: the fitted alpha is below 3, which alpha = mu/2 + 1 makes mu < 4.
        Bulk-decay: it is not, or there is no fit.

    Args:
        s: all eigenvalues of a matrix, 20 of them at least, unbatched; `jax.vmap(phase)` for a batch.

    Returns:
        A `Phase` code; UNDEFINED where an eigenvalue is not finite.

    Raises:
        ValueError: as `weigh`.

    Source: the names are those of Martin & Mahoney, JMLR 22(165) 2021, section 5, who tell the phases apart by eye. The
        definitions and thresholds are ours.
    Accuracy: of Gaussian matrices of five shapes, M = 50 to 400 and Q = 1 to 5, at most 4 % are not Random-like where
        the two levels say 2 % (`tests/test_phases.py`). Both tests assume entries without excess kurtosis, which moves the edge
        by `rmt.extremes.edge_shift`. How often the other phases are found, `experiments/19_phases.py` measures.
    """
    return weigh(s).phase


def weigh(s: Spectrum) -> Evidence:
    """The `Evidence` of a spectrum.

    The median of the eigenvalues gives sigma^2, since the trace is in the hands of the largest; those found outside are then
    left out of it, twice. The test of lambda_max is widened by the variance of that median, (ln M + 0.4)/(pi M rho(m))^2 at a
    median m of density rho, from the logarithmic variance of the number of eigenvalues below a point. The KS test of m
    eigenvalues has the critical value (1.3 + 0.61 ln m)/m.

    Args:
        s: as for `phase`.

    Raises:
        ValueError: s is a batch, holds only the largest eigenvalues, or fewer than 20.

    Source: I. M. Johnstone, Ann. Statist. 29 (2001) 295, for the edge; J. Gustavsson, Ann. Inst. H. Poincare B 41 (2005) 151,
        and S. O'Rourke, J. Stat. Phys. 138 (2010) 1045, for the logarithm. The constants 0.4, 1.3, 0.61 and the gap, the
        99.9 % point of the one between the first two eigenvalues of noise, are from 4000 Wishart spectra of
        `jax.random.key(123)` at each of nine shapes, M = 50 to 400, Q = 1 to 5; `tests/test_phases.py` checks the rates that
        they give with other keys. The share of outliers and the passes over the variance were chosen on draws of
        `jax.random.key(321)`.
    """
    x = _checked(s)
    if not isinstance(x, Tracer):
        x = np.pad(np.asarray(x), (0, -s.M % _WIDTH), mode="edge")
    return _evidence(x, s.N, s.M, _noise(s.N, s.M), s.rank, fit_tail(s).alpha)


@jax.jit
def _evidence(
    x: Float[Any, " n"],
    N: Any,
    M: Any,
    noise: tuple[Any, ...],
    rank: Int[Array, ""],
    alpha: Float[Array, ""],
) -> Evidence:
    """Of the first M values; the last of them is repeated to the end."""
    median, centre, scale, point = noise
    x, n_outside = jnp.asarray(x), jnp.zeros((), int)
    inside = jnp.arange(len(x)) < M
    for _ in range(_PASSES):
        m = M - n_outside
        variance = (x[(m - 1) // 2] + x[m // 2]) / 2 / median
        edge = variance / N * (centre + scale * point)
        n_outside = jnp.sum((x > edge) & inside)
    m = M - n_outside
    bulk_ks = largest_gap(MarchenkoPastur(Q=N / M).cdf(x / jnp.where(variance > 0, variance, 1)), m)
    bulk = bulk_ks * m <= _BULK_KS[0] + _BULK_KS[1] * jnp.log(m)
    unit = variance * scale / N
    gap = jnp.max(jnp.where(x[1:] > edge, jnp.diff(x), 0)) / jnp.where(unit > 0, unit, 1)
    return Evidence(
        variance=variance,
        edge=edge,
        n_outside=n_outside,
        gap=gap,
        bulk_ks=bulk_ks,
        has_bulk=bulk & (n_outside <= FEW * jnp.sqrt(M)),
        zero_share=jnp.where(jnp.all(jnp.isfinite(x)), 1 - rank / M, jnp.nan),
        alpha=alpha,
    )


@cache
def _noise(N: int, M: int) -> tuple[float, ...]:
    """Of noise of that shape: median eigenvalue, centre and scale of the largest, and what it exceeds with LEVEL in that scale."""
    with jax.ensure_compile_time_eval():  # constants of a program
        return tuple(map(float, _noise_of(float(N), float(M))))


@jax.jit  # one program for all shapes
def _noise_of(N: Array, M: Array) -> tuple[Array, ...]:
    law, (centre, scale), tw = MarchenkoPastur(Q=N / M), johnstone(N, M), TracyWidom()
    median = law.ppf(0.5)
    error = jnp.sqrt(jnp.log(M) + _COUNT_VAR) / (math.pi * M * median * law.pdf(median))
    wider = jnp.sqrt(1 + (centre / scale * error) ** 2 / tw.var)
    return median, centre, scale, tw.mean + wider * (tw.isf(LEVEL) - tw.mean)


def _checked(s: Spectrum) -> Float[Array, " M"]:
    x = jnp.asarray(s.eigenvalues)
    if x.ndim != 1 or not s.complete or s.M < FEWEST:
        raise ValueError(
            f"phase(s) needs all eigenvalues of one matrix with M >= {FEWEST} columns, got shape {x.shape} of M = {s.M};"
            " use jax.vmap for a batch"
        )
    return x
