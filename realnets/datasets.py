"""Tables of layers as xarray datasets: one variable for each column, with what it means and in which unit."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from realnets.analysis import Row
from rmt.calibration.classes import CLASSES
from rmt.calibration.nulls import NULLS

if TYPE_CHECKING:
    import xarray as xr

_W, _W2 = "unit of W", "unit of W squared"
_COLUMNS: Mapping[str, tuple[str, str]] = {
    "tensor": ("tensor that the matrix comes from", ""),
    "kind": ("kind of layer", ""),
    "transposed": ("whether W is the transpose of the stored matrix", ""),
    "N": ("rows of W", "1"),
    "M": ("columns of W, at most N", "1"),
    "Q": ("N/M", "1"),
    "alpha": ("exponent of the tail of the spectrum", "1"),
    "stderr": ("standard error of alpha given xmin", "1"),
    "alpha_stderr": ("standard error of the change of alpha, were both independent", "1"),
    "alpha_low": ("lower end of the 95 % interval of alpha given xmin", "1"),
    "alpha_high": ("upper end of the 95 % interval of alpha given xmin", "1"),
    "xmin": ("least eigenvalue of the tail", _W2),
    "ks": ("Kolmogorov-Smirnov distance D of the tail from the fit", "1"),
    "n_tail": ("eigenvalues in the tail", "1"),
    "lambda_max": ("largest eigenvalue of W^T W / N", _W2),
    "lambda_min": ("smallest eigenvalue of W^T W / N", _W2),
    "log_norm": ("log10 of the squared Frobenius norm of W", "1"),
    "log_spectral_norm": ("log10 of the squared spectral norm of W", "1"),
    "alpha_hat": ("alpha log10 lambda_max", "1"),
    "log_alpha_norm": ("log10 of the trace of (W^T W / N)^alpha", "1"),
    "stable_rank": ("squared Frobenius norm over squared spectral norm", "1"),
    "log_stable_rank": ("log of the squared Frobenius norm over log of lambda_max", "1"),
    "entropy": ("entropy of the eigenvalues over the logarithm of their number", "1"),
    "rank": ("numerical rank", "1"),
    "fitted": ("whether the tail was fitted", ""),
    "status": ("status of the fit", ""),
    "alpha_threshold": ("alpha that 5 % of noise of this shape stays below", "1"),
    "alpha_p": ("share of noise of this shape with so small an alpha", "1"),
    "ks_threshold": ("D that 5 % of samples of a power law exceed", "1"),
    "n_outside": ("eigenvalues outside of the Marchenko-Pastur bulk", "1"),
    "edge": ("edge of that bulk that 1 % of noise passes", _W2),
    "n_spikes": ("eigenvalues above spike_edge", "1"),
    "spike_edge": ("point that lambda_max of noise of this mean square passes in 1 %", _W2),
    "traps_expected": ("eigenvalues above spike_edge that the entries make wherever they stand", "1"),
    "traps_p": ("p-value of lambda_max of the shuffled matrix against noise of this mean square", "1"),
    "traps_p_adjusted": ("traps_p by Holm's rule over the layers", "1"),
    "mp_distance": ("distance of the ESD from the Marchenko-Pastur law of this mean square", "1"),
    "esd_layer": ("distance of the ESD from the pooled ESD of the replicates", "1"),
    "esd": ("distance of the ESD from the pooled ESD of the other replicates", "1"),
    "n_nulls": ("replicates of each null", "1"),
    "localised": ("whether single entries make eigenvalues of their own", ""),
    "phase": ("phase of training by the shape of the spectrum", ""),
    "class_likely": ("classes that together have most of the probability", ""),
    "class": ("universality class of the independent matrix with the likest spectrum", ""),
    "unlike": ("distance from all classes over that which 1 % of their matrices exceed", "1"),
    "mu": ("tail index of the entries, were they independent", "1"),
    "mu_low": ("lower end of the 95 % interval of mu", "1"),
    "mu_high": ("upper end of the 95 % interval of mu", "1"),
    "identifiable": ("whether the spectrum tells mu", ""),
    "remarks": ("what was left out, and why", ""),
    "verdict": ("what the nulls say of the layer", ""),
    "distance": ("Frobenius norm of the change of W", _W),
    "relative_distance": ("Frobenius norm of the change over that of W in the first network", "1"),
    "p": ("p-value of the decisive tests", "1"),
    "p_adjusted": ("p-value of the decisive tests by Holm's rule over all tests", "1"),
    **{f"p_{name}": (f"probability of the class {name}, each as likely before", "1") for name in CLASSES},
}
_OF_REPLICATES = {
    "": "{}: median of the replicates of the {} null",
    "_t": "{}: distance from the mean of the {} null in standard deviations",
    "_p": "{}: Student's p-value against the {} null",
    "_rank": "{}: rank p-value against the {} null",
    "_beyond": "{}: whether it is beyond every replicate of the {} null",
}
_OF_PAIRS = {"_first": "{}, first network", "_second": "{}, second network", "_change": "{}, second less first"}


def as_dataset(rows: Sequence[Row], attrs: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> "xr.Dataset":
    """Rows as a dataset over the dimension `layer`, whose labels are the names.

    Args:
        rows: one for each layer, all with the same columns, `name` among them.
        attrs: attributes of the dataset, strings and numbers.
        lists: variables that are not of layers. Those whose names begin alike, up to an underscore, share a dimension of that name.
    """
    import xarray as xr  # half a second, which a table for the terminal need not pay

    names = [row["name"] for row in rows]
    variables = of_columns([{name: of for name, of in row.items() if name != "name"} for row in rows], "layer")
    variables |= {name: (name.split("_")[0], as_array(of)) for name, of in lists.items()}
    layer = ("layer", as_array(names), {"long_name": "name of the layer"})
    return xr.Dataset(variables, coords={"layer": layer}, attrs=dict(attrs))


def of_columns(
    rows: Sequence[Row], dim: str, about: Callable[[str], Mapping[str, str]] | None = None
) -> dict[str, tuple[str, np.ndarray, Mapping[str, str]]]:
    """The columns of rows as variables over one dimension, each with what it means; by default as columns of layers."""
    return {
        name: (dim, as_array([row[name] for row in rows]), (about or _about)(name))
        for name in (rows[0] if rows else ())
    }


def as_array(values: Sequence[Any]) -> np.ndarray:
    """Values of one type as an array, strings as objects; of no values the type is that of strings.

    NumPy's own strings end at their last character that is not NUL.
    """
    texts = bool(values) and isinstance(values[0], str)
    return np.array(values, object if texts else None if values else str)


def _about(name: str) -> dict[str, str]:
    if name in _COLUMNS:
        text, unit = _COLUMNS[name]
    elif match := re.fullmatch(rf"({'|'.join(NULLS)})_(.+?)(_t|_p|_rank|_beyond)?", name):
        null, of, what = match.groups("")
        if of not in _COLUMNS:
            return {}
        text, unit = _COLUMNS[of]
        text = f"{text} ({null} null)" if of.startswith(("p", "esd_")) else _OF_REPLICATES[what].format(text, null)
        unit = unit if not what else "" if what == "_beyond" else "1"
    elif (match := re.fullmatch(r"(.+)(_first|_second|_change)", name)) and match[1] in _COLUMNS:
        text, unit = _COLUMNS[match[1]]
        text = _OF_PAIRS[match[2]].format(text)
    else:
        return {}
    return {"long_name": text} | ({"units": unit} if unit else {})
