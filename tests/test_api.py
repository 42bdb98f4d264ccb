"""The public API as README shows it, and what `import rmt` costs."""

import importlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import ROOT

import realnets
import rmt
from rmt import calibration, laws, sweeps, tails


def test_the_five_nouns_as_written():
    key = jax.random.key(0)
    W = rmt.IID(rmt.Pareto(mu=1.5)).sample(key, (200, 100))
    s = rmt.spectrum(W)
    assert (s.N, s.M, s.Q) == (200, 100, 2.0)
    assert (np.diff(s.eigenvalues) >= 0).all()
    fit = rmt.fit_tail(s)
    assert np.isfinite([fit.alpha, fit.stderr, fit.xmin, fit.xmax, fit.ks]).all()
    assert int(fit.n_tail) > 1
    assert int(fit.status) == rmt.Status.OK
    laws = (
        rmt.MarchenkoPastur(Q=2.0),
        rmt.TracyWidom(beta=1),
        rmt.Frechet(0.75),
        rmt.Pareto(mu=1.5),
        rmt.Lomax(mu=1.5),
    )
    for i, law in enumerate(laws):
        x = law.ppf(0.7)
        assert float(law.cdf(x)) == pytest.approx(0.7, abs=1e-9)
        assert float(law.cdf(x) + law.sf(x)) == pytest.approx(1)
        assert float(law.pdf(x)) == pytest.approx(float(np.exp(law.logpdf(x))))
        assert law.sample(jax.random.key(i), (3,)).shape == (3,)


def test_a_sweep_from_the_top_level():
    def measure(key, *, N, mu):
        s = rmt.spectrum(rmt.IID(rmt.Pareto(mu)).sample(key, (N, N // 2)))
        return {"alpha": rmt.fit_tail(s).alpha}

    ds = rmt.sweep(measure, {"N": [40, 60], "mu": [1.0, 2.0]}, key=jax.random.key(0), n_trials=3)
    assert ds.alpha.dims == ("N", "mu", "trial")
    assert np.isfinite(ds.alpha).all()


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_import_is_quiet_quick_allocates_nothing_and_sets_float64():
    out = run(
        "import time; t = time.process_time(); import rmt, realnets; t = time.process_time() - t\n"
        "import jax, sys; realnets.analyze, realnets.read_layers, rmt.fit_tail, rmt.IID\n"
        "print(t, len(jax.live_arrays()), jax.config.jax_enable_x64, [m for m in ('matplotlib', 'zarr', 'xarray', 'scipy.stats',"
        " 'scipy.linalg', 'pandas', 'rmt.sweeps', 'rmt.extremes', 'realnets.corpus') if m in sys.modules])"
    )
    seconds, arrays, x64, heavy = out.split(maxsplit=3)
    assert float(seconds) < 4  # the process's own: 1.5 s on a quiet machine, and the slack is for a busy one
    assert arrays == "0"
    assert x64 == "True"
    assert heavy.strip() == "[]"


def test_experiments_notebooks_and_readme_use_what_the_packages_offer():
    """By itself: a subpackage that something else imported would be found as well, and missing where nothing else did."""
    offered = {f"{package.__name__}.{name}" for package in (rmt, realnets) for name in package.__all__}
    paths = [path for kind in ("experiments/*.py", "notebooks/*.ipynb", "README.md") for path in ROOT.glob(kind)]
    missing = {}
    for path in paths:
        text = re.sub(r"(from|import) (rmt|realnets)\.\S+", "", path.read_text())
        used = set(re.findall(r"(?<![\w./-])(?:rmt|realnets)\.[a-zA-Z_]\w*", text))
        missing |= dict.fromkeys(used - offered, path.name)
    assert "rmt.IID" in offered
    assert missing == {}


@pytest.mark.parametrize(
    "package", [rmt, realnets, calibration, laws, sweeps, tails], ids=lambda package: package.__name__
)
def test_every_public_name_is_there_and_documented(package):
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match=f"{package.__name__} attribute fit_tails"):
        package.fit_tails  # noqa: B018


def test_functions_are_not_hidden_by_the_modules_they_are_in():
    for package, name in (
        (tails, "bootstrap"),
        (tails, "compare"),
        (tails, "diagnose"),
        (sweeps, "sweep"),
        (realnets, "simpson"),
    ):
        importlib.import_module(f"{package.__name__}.{name}")
        assert callable(getattr(package, name)), f"{package.__name__}.{name}"


def test_the_card_and_its_parts_are_public():
    from rmt import calibration

    for name in (
        "class_card",
        "Card",
        "classify",
        "ClassEstimate",
        "ClassTable",
        "null_spectra",
        "null_tests",
        "NullTest",
    ):
        assert getattr(calibration, name).__doc__, name
