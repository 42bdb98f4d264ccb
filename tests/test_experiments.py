"""Every experiment runs from its grid to its verdicts and its figure, without a warning."""

import math

import pytest
from conftest import ROOT

from rmt.claims import load_claims
from rmt.runs import run_claim

CLAIMS = load_claims([ROOT / "experiments"])


def test_every_experiment_has_its_three_sizes():
    for file, claim in CLAIMS.items():
        assert set(claim.sizes) == {"smoke", "default", "paper"}, file
        axes = [set(size.grid) for size in claim.sizes.values()]
        assert axes[0] == axes[1] == axes[2], file


@pytest.mark.slow
@pytest.mark.parametrize("file", CLAIMS, ids=lambda file: file.stem)
def test_an_experiment_runs_at_its_smallest_size(file, tmp_path):
    claim = CLAIMS[file]
    _, verdicts = run_claim(file, claim, "smoke", tmp_path, seed=1)
    assert len({verdict.statement for verdict in verdicts}) == len(verdicts) > 0
    for verdict in verdicts:
        low, high = verdict.interval
        assert math.isnan(verdict.effect) or low <= verdict.effect <= high, verdict
    assert (tmp_path / claim.name / "smoke.svg").is_file()
