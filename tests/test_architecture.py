"""The arrows: who may import whom, read off the source without running it."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

# What each module may import from the project, transitively named in one place: the plan of the house.
CORE = {"rmt.errors", "rmt.keys"}
MACHINE = {"rmt.threads", "rmt.provenance"}
LAWS = {"rmt.laws"}
ENSEMBLES = LAWS | {"rmt.ensembles", "rmt.spikes"}
SPECTRA = {"rmt.spectra", "rmt.batching"}
# a fit holds the law it found, and one undoes the outlier map
TAILS = SPECTRA | LAWS | {"rmt.keys", "rmt.tails", "rmt.spikes"}
ALLOWED = {
    "rmt.errors": set(),
    "rmt.keys": set(),
    "rmt.laws": LAWS,
    "rmt.spikes": LAWS,
    "rmt.ensembles": ENSEMBLES | SPECTRA,
    "rmt.batching": set(),
    "rmt.spectra": SPECTRA,
    "rmt.extremes": LAWS | {"rmt.spikes"},  # which may itself know the laws
    "rmt.tails": TAILS,
    "rmt.metrics": TAILS,
    "rmt.phases": TAILS | {"rmt.metrics"},
    "rmt.inference": set(),
    "rmt.association": {"rmt.inference"},
    "rmt.threads": set(),
    "rmt.provenance": {"rmt.threads"},
    "rmt.sweeps": CORE | MACHINE,
    "rmt.replicates": TAILS | ENSEMBLES | {"rmt.sweeps"},
    "rmt.calibration": TAILS
    | ENSEMBLES
    | CORE
    | {"rmt.sweeps", "rmt.console", "rmt.extremes", "rmt.metrics", "rmt.phases", "rmt.inference"},
    "rmt.claims": {"rmt.errors", "rmt.inference"},  # statistics, no science
    "rmt.plots": {"rmt.errors", "rmt.inference"} | TAILS,
    "rmt.console": {"rmt.errors"},
    "rmt.datafiles": {"rmt.errors"},
    "rmt.netcdf": {"rmt.console"},
    "rmt.inline_svg": {"rmt.errors"},
    "rmt.report": {"rmt.errors", "rmt.console", "rmt.inline_svg"},
    "rmt.runs": CORE | {"rmt.sweeps", "rmt.claims", "rmt.console", "rmt.netcdf"},
}
ONLY_HOME = {"matplotlib": "rmt.plots", "zarr": "rmt.sweeps.store"}


def modules() -> dict[str, Path]:
    files = [p for package in ("rmt", "realnets") for p in sorted((ROOT / package).rglob("*.py"))]
    return {str(p.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__"): p for p in files}


def imports(path: Path) -> set[str]:
    """Every module imported anywhere in the file; `if TYPE_CHECKING:` bodies are names, not arrows."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "rmt" else {node.module or ""}
            )
    return found


def room(module: str) -> str:
    """rmt.tails.clauset belongs to the room rmt.tails."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("module", [m for m in modules() if room(m) in ALLOWED])
def test_imports_follow_the_arrows(module):
    allowed = ALLOWED[room(module)] | {room(module)}
    ours = {
        room(name) for name in imports(modules()[module]) if name.split(".")[0] in ("rmt", "realnets", "experiments")
    }
    assert ours <= allowed, f"{module} imports {sorted(ours - allowed)}"


def test_every_room_has_its_arrows_stated():
    free = {"rmt", "rmt.cli", "rmt.__main__"}
    assert {room(m) for m in modules() if m.startswith("rmt")} <= set(ALLOWED) | free


@pytest.mark.parametrize("module", [m for m in modules() if m.startswith("rmt")])
def test_rmt_knows_neither_experiments_nor_realnets(module):
    assert not {name for name in imports(modules()[module]) if name.split(".")[0] in ("realnets", "experiments")}


@pytest.mark.parametrize("module", modules())
def test_matplotlib_and_zarr_have_one_home_each(module):
    for library, home in ONLY_HOME.items():
        if module != home and not module.startswith(home + "."):
            assert not any(name.split(".")[0] == library for name in imports(modules()[module])), (
                f"{library} in {module}"
            )
