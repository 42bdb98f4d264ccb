"""Verdicts judge by intervals; claims are loaded from files."""

import json

import pytest

from rmt.claims import Verdict, load_claims, shape_of
from rmt.errors import InputError
from rmt.inference import Estimate

CLAIM = """
import rmt
claim = rmt.Claim(name={name!r}, title="t", quote="q", source="s", criterion="c", sizes={{}}, measure=None, check=None,
                  figure=None, caption="c")
"""


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        ((1.0, 2.0), "supported"),  # inside, touching both ends
        ((1.2, 1.3), "supported"),
        ((2.1, 3.0), "contradicted"),
        ((0.0, 0.9), "contradicted"),
        ((1.9, 2.1), "inconclusive"),  # straddles the end
        ((0.0, 3.0), "inconclusive"),  # contains the claim: too wide to tell
        ((float("nan"), float("nan")), "inconclusive"),
    ],
)
def test_judged_by_intervals(interval, outcome):
    assert Verdict.judge("s", 1.5, interval, (1.0, 2.0), 10, "").outcome == outcome


def test_an_estimate_is_judged_by_its_interval():
    judged = Verdict.judge("s", 1.5, (1.2, 1.8), (1.0, 2.0), 10, "found")
    assert Verdict.of("s", Estimate(1.5, 1.2, 1.8, 10), (1.0, 2.0), "found") == judged


def test_a_family_is_judged_by_its_worst_member_which_is_named():
    found = {("a", 1): Estimate(0.0, -0.1, 0.1, 9), ("b", 2): Estimate(0.5, 0.4, 0.6, 7)}
    judged = Verdict.of_all("s", found, (-0.2, 0.2), "{at[0]} {at[1]:g} of {count}: {x:.1f}, {percent:.0f} %")
    assert judged == Verdict("s", "contradicted", 0.5, (0.4, 0.6), 7, "b 2 of 2: 0.5, 50 %")


def test_what_is_not_tested_is_inconclusive():
    verdict = Verdict.not_tested("s", "no data")
    assert verdict.outcome == "inconclusive"
    assert verdict.to_json()["effect"] is None


def test_a_shape_is_spelled_as_matrices_are():
    assert shape_of("600x300") == (600, 300)
    for text in ("600", "600 x 300", "0x3", "600x300x2"):
        with pytest.raises(ValueError, match="spelled NxM"):
            shape_of(text)


def test_json_has_no_nan():
    verdict = Verdict.judge("s", float("nan"), (float("-inf"), 1.0), (0.0, 1.0), 3, "")
    assert json.loads(json.dumps(verdict.to_json(), allow_nan=False))["interval"] == [None, 1.0]


def test_a_folder_stands_for_its_files(tmp_path):
    for name in ("b", "a", "_helpers"):
        (tmp_path / f"{name}.py").write_text(CLAIM.format(name=name))
    assert [claim.name for claim in load_claims([tmp_path]).values()] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file or folder"),
        ("x = 1", "defines no `claim"),
        ("import nonesuch", "cannot be loaded: ModuleNotFoundError"),
        ("1 +", "cannot be loaded: SyntaxError"),
    ],
)
def test_what_holds_no_claim_is_said(tmp_path, text, message):
    file = tmp_path / "experiment.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_claims([file])


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="no experiment files"):
        load_claims([tmp_path])


def test_two_claims_of_one_name_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(CLAIM.format(name="same"))
    with pytest.raises(InputError, match="two claims are called 'same'"):
        load_claims([tmp_path])
