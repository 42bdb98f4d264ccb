"""README says what the repository does: its table comes from the records, its Python runs, its commands exist."""

import re

import pytest
from conftest import ROOT

from rmt.claims import load_claims
from rmt.report import README_TABLES, effect_text, read_results

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def records():
    return read_results(ROOT / "experiments" / "verdicts").records


@pytest.mark.parametrize("name", README_TABLES)
def test_the_tables_are_those_of_the_records(records, name):
    table = README.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0]
    assert table.strip() == README_TABLES[name](records, ROOT).strip()


def test_the_records_are_of_the_experiments_as_they_stand(records):
    """A criterion may not change under a verdict: a record is stale if its claim says something else now."""
    claims = {claim.name: claim for claim in load_claims([ROOT / "experiments"]).values()}
    assert {record["claim"] for record in records} == set(claims)
    for record in records:
        claim = claims[record["claim"]]
        assert record["size"] == "paper"
        for field in ("title", "quote", "source", "criterion"):
            assert record[field] == getattr(claim, field), f"{claim.name}: run make paper"


def test_the_findings_are_about_the_verdicts_as_they_stand(records):
    """docs/findings.md says why for every verdict that is not "supported", by its statement, outcome and numbers."""
    text = (ROOT / "docs" / "findings.md").read_text()
    discussed = re.findall(r"^- \*\*(.*?)\*\* \((.*?)\)\. \w", text, re.MULTILINE)
    expected = [
        (verdict["statement"], f"{verdict['outcome']}, {' '.join(effect_text(verdict))}")
        for record in records
        for verdict in record["verdicts"]
        if verdict["outcome"] != "supported"
    ]
    assert discussed == expected


def test_data_and_figure_of_every_record_are_there(records):
    for record in records:
        assert record["path"].with_suffix(".nc").is_file(), record["claim"]
        assert record["path"].with_suffix(".svg").is_file(), record["claim"]


def test_the_python_in_readme_runs():
    first, laws, engine, _, mu, second = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    small = (first + laws).replace("(2000, 1000)", "(200, 100)")
    assert small != first + laws
    names: dict = {}
    exec(
        small
        + engine
        + mu
        + second.replace(', store="alpha.zarr"', ", progress=False").replace("n_trials=50", "n_trials=2"),
        names,
    )
    assert names["fit"].ok
    assert names["gaussian"].M == names["tied"].M == 100
    assert names["low"] < names["b"].fit.alpha < names["high"]
    assert len(names["table"]) == 6
    (low, high), (lower, higher) = names["stated"].interval, names["unknown"].interval
    assert lower <= low < 1.5 < high <= higher
    assert names["ds"].sizes == {"N": 2, "mu": 3, "trial": 2}


def test_the_files_readme_names_exist():
    for path in re.findall(r"experiments/[\w/.-]+\.\w+|`(?:LICENSE|[A-Z]+\.\w+)`", README):
        assert (ROOT / path.strip("`")).exists(), path
