"""Where a result comes from: the versions, the device and the git commit that made it."""

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from typing import Any

import jax

from rmt.threads import cores

PACKAGES = {"rmt": "heavytail-lab", "jax": "jax", "jaxlib": "jaxlib", "numpy": "numpy", "scipy": "scipy"}


def versions() -> dict[str, str]:
    """Versions of rmt, jax, jaxlib, numpy, scipy and python; "unknown" for one that is not installed."""
    return {name: _version(package) for name, package in PACKAGES.items()} | {"python": platform.python_version()}


def device() -> str:
    """Kind of the default device, such as "cpu" or "NVIDIA A100"."""
    return jax.devices()[0].device_kind


@cache
def git_state() -> str:
    """Commit of the current checkout, with "-dirty" after it if tracked files differ; "unknown" outside of one.

    Read once per process: that is the code that was imported, whatever is checked out meanwhile.
    """
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance() -> dict[str, Any]:
    """All of it, as attributes of a dataset; holds no time stamp, so that equal runs give equal datasets."""
    return {**versions(), "device": device(), "x64": _x64(), "git": git_state()}


def numeric_facts() -> dict[str, Any]:
    """What the bits of a result depend on beside the program: versions, device, float64 and the threads of XLA."""
    about = {name: version for name, version in versions().items() if name in ("jax", "jaxlib", "scipy")}
    return {**about, "device": device(), "x64": _x64(), **_xla_threads()}


def _x64() -> bool:
    return bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]


@cache
def _xla_threads() -> dict[str, Any]:
    """Size of XLA's pool on CPU. A dot and a long sum are cut by it, and rounded accordingly (JAX 0.10)."""
    if jax.default_backend() != "cpu":
        return {}
    asked = os.environ.get("NPROC", "")
    return {"XLA threads": max(int(asked) if asked.isdigit() else cores(), jax.local_device_count())}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
