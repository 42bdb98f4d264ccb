"""Datasets as netCDF files: written whole through h5netcdf, in less space where that is asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rmt.console import written_whole

if TYPE_CHECKING:
    import xarray as xr


def write(ds: "xr.Dataset", path: Path) -> None:
    """Write a dataset for `xarray.open_dataset`; the file is there whole or not at all.

    netCDF has no booleans among its attributes, which become 0 and 1, and no strings with NUL or with half of a surrogate
    pair: these characters are escaped as in Python, \\x00 and \\ud800.

    Raises:
        OSError: it cannot be written there.
    """
    ds = ds.assign_attrs({name: _attribute(value) for name, value in ds.attrs.items()})
    texts = {
        name: (of.dims, np.array([_storable(text) for text in of.values.flat], object).reshape(of.shape), of.attrs)
        for name, of in ds.variables.items()
        if of.size and isinstance(of.values.flat[0], str)
    }
    with written_whole(path) as part:
        ds.assign(texts).to_netcdf(part, engine="h5netcdf")


def compact(ds: "xr.Dataset") -> "xr.Dataset":
    """The dataset in less space: floats of 12 significant bits in float32, integers in as few bytes as hold them, deflated.

    The rounding, 1.2e-4 relative, is far below any standard error; values beyond float32 stay float64.
    """
    small = ds.drop_attrs().assign_attrs(ds.attrs)
    for name, variable in ds.data_vars.items():
        values = variable.values
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                single = values.astype(np.float32)
            if np.array_equal(np.isfinite(single), np.isfinite(values)):
                single = ((single.view(np.uint32) + np.uint32(0x400)) & np.uint32(0xFFFFF800)).view(np.float32)
                values = np.where(np.isfinite(values), single, values.astype(np.float32))
        elif values.dtype.kind in "iu":
            types = (t for t in (np.int8, np.int16, np.int32) if np.all(values == values.astype(t)))
            values = values.astype(next(types, values.dtype))
        small[name] = variable.dims, values
        small[name].encoding = {"zlib": True, "shuffle": True, "complevel": 9}
    return small


def _attribute(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else _storable(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
