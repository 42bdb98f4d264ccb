"""Correlation traps: eigenvalues beyond the edge of noise that are still there when the entries of W are shuffled.

A spike is a direction that many entries share: shuffling scatters it. What is left has to do with the entries themselves,
wherever they stand: single large ones, each of which makes an eigenvalue of its own, and their mean. WeightWatcher counts such
eigenvalues of one shuffle as `num_traps`; here the median over the shuffles of their number above `spike_edge` is
`shuffled_n_spikes` among the columns of a card.
"""

import numpy as np
from jaxtyping import Float

from rmt import spikes
from rmt.calibration.nulls import SPIKE_LEVEL
from rmt.calibration.spikes import spike_p_value, spike_threshold


def expected_traps(W: Float[np.ndarray, "N M"]) -> int:
    """How many eigenvalues beyond the edge of noise the law of outliers sees in the entries of W, in whatever order.

    An entry w that is m off the mean of all puts an eigenvalue at g((w - m)^2/N), and the mean one at g(M m^2), with g of
    `rmt.spikes.outlier_map` and for its sigma that of the entries without the larger ones. Those above the edge are counted,
    which is `rmt.calibration.nulls.spike_edge`: noise of the mean square of W passes it in 1 % of matrices.

    Each entry counts for one. Two that a shuffle puts into one row or column act together; among k of them there are some
    k^2 (1/N + 1/M)/2 such pairs, so that of many large entries (mu < 2) it says some more than there are. An eigenvalue that it
    puts close to the edge may fall on either side. M at most.

    Args:
        W: the matrix, N >= M >= 2, finite numbers.

    Source: `rmt.spikes.outlier_map`; of the mean, `rmt.spikes.mean_spike_rank`.
    """
    N, M = W.shape
    edge = float(np.mean(W**2)) * float(spike_threshold(N, M, SPIKE_LEVEL, estimated=True))
    mean = float(np.mean(W))
    squares = np.ravel(W - mean)
    squares *= squares
    variance, k = float(np.mean(squares)), min(M, squares.size - 1)
    squares.partition(squares.size - k)  # in place: W may be large
    largest = np.sort(squares[-k:])[::-1]
    # Of all but those as large or larger: it falls along the list, as the entries do, and where one fails so do the others
    others = squares.size - 1 - np.arange(k)
    sigma = np.sqrt(np.maximum(variance * squares.size - np.cumsum(largest), 0) / np.maximum(others, 1))
    beyond = np.asarray(spikes.outlier_map(largest / N, N / M, sigma)) > edge
    count = int(np.argmin(np.append(beyond, False)))
    rest = sigma[count - 1] if count else variance**0.5
    return min(M, count + int(spikes.outlier_map(M * mean**2, N / M, rest) > edge))


def trap_p_value(shuffles: Float[np.ndarray, "n M"], N: int) -> float:
    """Whether the traps are more than chance: twice the median over the shuffles of the p-value of their lambda_max.

    Each is that of `spike_p_value`, against light-tailed noise of the same mean square. The shuffles of one matrix share its
    entries; twice the median of p-values is a p-value whatever the dependence between them. It is at most 0.02 where the median
    shuffle has an eigenvalue beyond the edge, that is, where there is a trap, which noise has far less often than in 1 % of
    matrices. Heavy tails too weak for outliers still move the edge (`rmt.extremes.edge_shift`), and count.

    Args:
        shuffles: eigenvalues of W^T W / N of each, from `null_spectra(W, "shuffled", ...)`.
        N: rows of W.

    Returns:
        p; NaN if the matrix is zero.

    Source: B. Rueger, Metrika 25 (1978) 171, for the median.
    """
    mean_square = shuffles.mean(axis=-1)
    if not np.all(mean_square > 0):
        return float("nan")
    p = spike_p_value(shuffles.max(axis=-1) / mean_square, N, shuffles.shape[-1], estimated=True)
    return min(1.0, 2 * float(np.median(p)))
