"""Strict JAX for every test: no silent dtype or rank promotion, no key used twice."""

import os
import resource
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest

import rmt  # noqa: F401 (turns on x64 before any test traces)

jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

ROOT = Path(__file__).parent.parent


def slow(*case: object):
    """A case of a parametrized test that is left to the slow suite."""
    return pytest.param(*case, marks=pytest.mark.slow)


def printed_quickly(*arguments: str) -> str:
    """What a command prints, once it was seen to take few times the processor time that JAX needs to be imported.

    Processor time, since the wall time of a busy machine is not the command's; a ratio, since nor is its clock.
    """

    def run(*command: str) -> tuple[str, float]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    printed, seconds = run(*arguments)
    assert seconds < 4 * run("-c", "import jax")[1]
    return printed


@pytest.fixture(scope="session")
def reference() -> Path:
    """The shared reference data, which are not part of the repository."""
    folder = ROOT.parent / "shared" / "reference"
    if not folder.is_dir():
        pytest.skip("the shared reference data are not on this machine")
    return folder
