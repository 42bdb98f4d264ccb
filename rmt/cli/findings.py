"""Everything `rmt fit` finds out about one set of numbers: what it prints as JSON, and what its text is made from."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from rmt.console import plain

LEVEL = 0.95
GIVEN_XMIN, BOOTSTRAP, MATRIX_BOOTSTRAP = "given-xmin", "bootstrap", "matrix-bootstrap"

LARGEST_SCAN = 50_000
"""D at every xmin takes O(n^2): six seconds for this many values. For more it is looked at if a picture is asked for."""


@dataclass(frozen=True)
class Findings:
    """What was found. JSON has these keys, in this order; null for what does not apply, or was not asked for.

    Attributes:
        file: name of the file.
        n: number of values; with --matrix, of eigenvalues.
        N: rows of the matrix.
        M: its columns.
        method: the method, as --method has it.
        sides: which D, "one-sided" or "two-sided".
        alpha: exponent of the density.
        alpha_low: lower end of its 95 % interval.
        alpha_high: upper end.
        interval: what that interval is: "bootstrap", of `rmt.bootstrap`, which accounts for the choice of xmin in
            independent data; "matrix-bootstrap", of `rmt.bootstrap_matrix`, the one for spectra; "given-xmin",
            alpha -+ 1.96 stderr.
        stderr: standard error of alpha given xmin.
        xmin: start of the tail.
        xmin_low: lower end of its 95 % interval, 0 if that reaches the smallest value.
        xmin_high: upper end.
        xmax: the largest value fitted.
        decades: log10(xmax / xmin).
        ks: D.
        n_tail: number of values in the tail.
        status: name of a `rmt.Status`: OK or a note.
        remedy: cause and cure of a note.
        clear_minimum: whether D has a clear minimum.
        lambda_plus: edge of the Marchenko-Pastur bulk of the same N, M and median.
        bulk_share: share of the tail below it.
        in_bulk: whether that is most of the tail.
        p_value: that of Clauset, Shalizi and Newman; p <= 0.1 rejects the power law.
        p_stderr: its Monte-Carlo error.
        p_scaled: that of sqrt(n_tail) D, which is uniform under a power law.
        n_resamples: number of resamples of the values.
        n_matrices: number of replicated matrices.
        n_failed: how many of both could not be fitted.
        seed: seed of the resamples.
        comparison: rows of `rmt.compare`, with `values` of the parameters of each law.
        picture: file of the picture.
    """

    file: str
    n: int
    N: int | None
    M: int | None
    method: str
    sides: str
    alpha: float
    alpha_low: float
    alpha_high: float
    interval: str
    stderr: float
    xmin: float
    xmin_low: float | None
    xmin_high: float | None
    xmax: float
    decades: float
    ks: float
    n_tail: int
    status: str
    remedy: str | None
    clear_minimum: bool | None
    lambda_plus: float | None
    bulk_share: float | None
    in_bulk: bool | None
    p_value: float | None
    p_stderr: float | None
    p_scaled: float | None
    n_resamples: int
    n_matrices: int
    n_failed: int
    seed: int
    comparison: list[dict[str, Any]] | None
    picture: str | None = None

    def to_json(self) -> str:
        """One JSON object; non-finite numbers are null."""
        return json.dumps(plain(asdict(self)), allow_nan=False)
