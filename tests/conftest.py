"""Strict JAX for every test: no silent dtype or rank promotion, no key used twice."""

import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest

import rmt  # noqa: F401 (turns on x64 before any test traces)

jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def reference() -> Path:
    """The shared reference data, which are not part of the repository."""
    folder = ROOT.parent / "shared" / "reference"
    if not folder.is_dir():
        pytest.skip("the shared reference data are not on this machine")
    return folder
