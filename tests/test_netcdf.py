"""netCDF files hold what was written, in less space where that is asked for."""

import numpy as np
import xarray as xr

from rmt.netcdf import compact, write


def test_the_compact_dataset_is_the_dataset_but_for_rounding(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 50)) * 10.0 ** rng.integers(-30, 30, (3, 50))
    x[0, 0], x[1, 1], x[2, 2] = np.nan, np.inf, -np.inf
    ds = xr.Dataset(
        {
            "x": (("mu", "trial"), x),
            "huge": (("trial",), np.array([1.0, 1e300])[[0] * 49 + [1]]),
            "n": (("trial",), np.arange(50) - 7),
            "flag": (("trial",), np.arange(50) > 7),
        },
        coords={"mu": [1.0, 2.0, 3.0]},
        attrs={"seed": [0, 1]},
    )
    write(compact(ds), tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc") as read:
        np.testing.assert_allclose(read.x, x, rtol=1.3e-4)
        assert float(read.huge[-1]) == 1e300
        assert read.n.dtype.itemsize == 1
        np.testing.assert_array_equal(read.n, ds.n)
        np.testing.assert_array_equal(read.flag, ds.flag)
        assert read.x.dtype == np.float32


def test_strings_survive_and_what_netcdf_cannot_hold_is_escaped(tmp_path):
    names = ["", "a/b [0,1] 'x' \\", "line\nbreak\ttab", "Gewicht Ω 🦊", "nul\0inside\0", "half \ud800", "x" * 3000]
    ds = xr.Dataset({"kind": (("layer",), np.array(names[::-1], object))}, coords={"layer": np.array(names, object)})
    ds = ds.assign_attrs(source="a\0b", flag=True)
    ds.kind.attrs["long_name"] = "kind"
    write(ds, tmp_path / "x.nc")
    expected = [*names[:4], "nul\\x00inside\\x00", "half \\ud800", names[-1]]
    with xr.open_dataset(tmp_path / "x.nc") as read:
        assert read.layer.values.tolist() == expected
        assert read.kind.values.tolist() == expected[::-1]
        assert read.kind.attrs == {"long_name": "kind"}
        assert (read.attrs["source"], read.attrs["flag"]) == ("a\\x00b", 1)
    assert ds.layer.values.tolist() == names  # the dataset in memory is as it was
    assert [path.name for path in tmp_path.iterdir()] == ["x.nc"]
