"""The page shows all there is, says what it cannot show, loads nothing, and runs nothing."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from rmt import plots
from rmt.claims import Verdict
from rmt.errors import InputError
from rmt.report import (
    cell_table_markdown,
    cell_text,
    effect_text,
    excerpt,
    read_results,
    update_readme,
    verdict_rows,
    verdict_table_markdown,
    write_report,
)

HOSTILE = '</style><script>alert("x")</script> & <img src=x onerror="alert(1)"> {{ 7 * 7 }} | λ₊ ≤ 2'
VERDICTS = (
    Verdict.judge("slope in log N", -1.0213, (-1.06, -0.98), (-2, -0.5), 150, "It falls."),
    Verdict.judge("control", 0.18, (0.17, 0.195), (0, 0.1), 50, "It stays."),
    Verdict.judge("not measurable", float("nan"), (float("-inf"), float("inf")), (0, 1), 0, "Nothing to see."),
)


@pytest.fixture(scope="module")
def figure_text() -> str:
    fig, axes = plots.figure()
    plots.points(axes[0, 0], [1, 2], [[1.0, 2.0], [2.0, 4.0]], "measured")
    plots.curve(axes[0, 0], [1, 2], [1, 2], "theory")
    plots.legend(fig)
    return plots.svg(fig)


def add(folder, claim, size="default", figure=None, **changes):
    text = {name: f"the {name} of {claim}" for name in ("title", "quote", "source", "criterion", "caption")}
    file = f"experiments/{claim}.py"
    record = {
        "claim": claim,
        **text,
        "size": size,
        "file": file,
        "command": f"rmt run {file} --size {size}",
        "seconds": 12.3,
        "seed": 7,
        "versions": {"jax": "0.10.2", "python": "3.11.7"},
        "git": "84d735b-dirty",
        "verdicts": [verdict.to_json() for verdict in VERDICTS],
        **changes,
    }
    path = folder / claim / f"{size}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    if figure is not None:
        path.with_suffix(".svg").write_text(figure, encoding="utf-8")
    return path


class Page(HTMLParser):
    """Start tags with their attributes, and the text between the tags."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def attributes(self, *names: str) -> list[str]:
        return [value or "" for _, attributes in self.tags for name, value in attributes.items() if name in names]


def page_of(folder) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def test_every_claim_is_there_with_quote_verdicts_figure_and_command(tmp_path, figure_text):
    for claim in ("beta", "alpha"):
        add(tmp_path, claim, figure=figure_text)
    page = page_of(tmp_path)
    for claim in ("alpha", "beta"):
        for part in ("title", "quote", "source", "criterion", "caption"):
            assert f"the {part} of {claim}" in page.text
        assert f"rmt run experiments/{claim}.py --size default" in page.text
    for verdict in VERDICTS:
        assert page.text.count(verdict.sentence) == 2
        assert page.text.count(verdict.statement) == 4  # in the table and in its section
    assert page.text.count("-1.021 [-1.060, -0.980], n = 150") == 2
    assert "2 claims, 6 verdicts" in page.text
    assert page.text.index("1. the title of alpha") < page.text.index("2. the title of beta")
    assert [tag for tag, _ in page.tags].count("svg") == 2
    assert re.search(r"seed\s*7\s*time\s*12\.3 s\s*git\s*84d735b-dirty\s*jax\s*0\.10\.2\s*python\s*3\.11\.7", page.text)


def test_every_link_has_its_target_and_no_id_comes_twice(tmp_path, figure_text):
    for claim in ("one", "two"):
        add(tmp_path, claim, figure=figure_text)
    page = page_of(tmp_path)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    links = page.attributes("href", "xlink:href")
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    references = re.findall(r"url\(#([^)]+)\)", " ".join(page.attributes("clip-path", "style")))
    assert references
    assert set(references) <= set(ids)
    assert set(page.attributes("aria-labelledby")) <= set(ids)


def test_nothing_is_loaded_and_nothing_runs(tmp_path, figure_text):
    add(
        tmp_path,
        "hostile",
        figure=figure_text,
        **dict.fromkeys(("title", "quote", "caption", "command", "git"), HOSTILE),
    )
    table = {"title": HOSTILE, "note": HOSTILE, "columns": [HOSTILE], "rows": [[HOSTILE]]}
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "x.json").write_text(json.dumps(table), encoding="utf-8")
    page = page_of(tmp_path)
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe", "object", "embed", "base", "form"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.attributes("src", "srcset", "action") == []
    assert page.text.count(HOSTILE) >= 8  # shown, as text, everywhere it was put
    assert next(a for t, a in page.tags if t == "svg")["aria-label"] == HOSTILE
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    style = (tmp_path / "report.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_a_hostile_figure_is_reduced_to_its_drawing(tmp_path):
    figure = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9"'
        ' onload="a()">'
        '<script>a()</script><style>body{display:none}</style><a href="javascript:a()"><text>link</text></a>'
        '<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="https://example.org"/></foreignObject>'
        '<image xlink:href="https://example.org/x.png"/><use xlink:href="other.svg#id"/>'
        '<path id="p" onclick="a()" style="fill: url(https://example.org/#p)"/>'
        '<use xlink:href="#p"/><text>kept</text></svg>'
    )
    add(tmp_path, "claim", figure=figure)
    page = page_of(tmp_path)
    assert "kept" in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "foreignobject", "iframe"}
    assert "example.org" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.attributes("onload", "onclick") == []
    assert "#f1-p" in page.attributes("xlink:href")


def test_the_same_results_give_the_same_bytes(tmp_path, figure_text):
    add(tmp_path, "claim", figure=figure_text)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["claim", "report.html"]


def test_the_largest_size_is_shown_and_the_others_are_mentioned(tmp_path, figure_text):
    for size in ("smoke", "paper", "default"):
        add(tmp_path, "claim", size, figure_text, quote=f"at {size}")
    page = page_of(tmp_path)
    assert "at paper" in page.text
    assert "at smoke" not in page.text
    assert re.search(r"Also run at\s+size default: .*\s+size smoke: ", page.text, re.DOTALL)
    assert {row["size"] for row in verdict_rows(tmp_path)} == {"paper"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"claim": ', "cannot be read"),
        ("[]", "must be a JSON object, got list"),
        ('{"claim": "x"}', "lacks 'title'"),
        ("\x00", "cannot be read"),
    ],
)
def test_a_broken_record_is_named_and_hides_nothing(tmp_path, figure_text, text, reason):
    add(tmp_path, "good", figure=figure_text)
    add(tmp_path, "bad", "smoke", figure_text)
    (tmp_path / "bad" / "default.json").write_text(text)
    page = page_of(tmp_path)
    assert re.search(rf"bad/default\.json: .*{reason}", page.text)
    assert "the quote of good" in page.text
    assert "the quote of bad" in page.text  # from the size that can be read


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verdicts": []}, "holds no verdicts"),
        ({"verdicts": [VERDICTS[0].to_json() | {"outcome": "maybe"}]}, "verdict 1: outcome must be one of supported"),
        ({"verdicts": [VERDICTS[0].to_json() | {"interval": [1]}]}, "verdict 1: interval must be two numbers"),
        ({"verdicts": [VERDICTS[0].to_json() | {"cell": ["row"]}]}, "verdict 1: cell must be row, column and claim"),
        ({"seed": "7"}, "'seed' cannot be a str"),
    ],
)
def test_a_record_that_says_nonsense_is_unreadable(tmp_path, change, reason):
    path = add(tmp_path, "claim", **change)
    with pytest.raises(InputError, match=re.escape(str(path)) + ".*" + reason):
        write_report(tmp_path)


@pytest.mark.parametrize("figure", [None, "no svg", "<html/>", '<svg xmlns="http://www.w3.org/2000/svg"/>'])
def test_a_missing_or_broken_figure_is_named(tmp_path, figure):
    add(tmp_path, "claim", figure=figure)
    page = page_of(tmp_path)
    assert re.search(r"claim/default\.svg: the figure", page.text)
    assert "the quote of claim" in page.text


def test_no_folder_or_nothing_in_it(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no verdict records"):
        write_report(tmp_path)


def test_a_page_that_cannot_be_written_is_said_so(tmp_path, figure_text):
    add(tmp_path, "claim", figure=figure_text)
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match=r"report\.html: cannot be written"):
        write_report(tmp_path)


def test_tables_are_shown_and_a_crooked_one_is_named(tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    rows = [["pooler", 384, 2.123456, None], ["query", 384, float("nan"), True]]
    table = {"title": "A network", "note": "beside its nulls", "columns": ["layer", "N", "α", "odd"], "rows": rows}
    (tables / "a.json").write_text(json.dumps(table))
    (tables / "b.json").write_text(json.dumps(table | {"rows": [[1]]}))
    page = page_of(tmp_path)
    for part in ("A network", "beside its nulls", "pooler", "384", "2.123", "–"):
        assert part in page.text
    assert "2.1234" not in page.text
    assert "b.json: row 1 must be a list of 4 values" in page.text
    assert verdict_rows(tmp_path) == []


def test_rows_carry_claim_and_verdict(tmp_path):
    add(tmp_path, "claim")
    rows = verdict_rows(tmp_path)
    assert [row["outcome"] for row in rows] == ["supported", "contradicted", "inconclusive"]
    assert rows[0]["command"] == "rmt run experiments/claim.py --size default"
    assert rows[0]["interval"] == [-1.06, -0.98]
    assert rows[2]["effect"] is None


def test_an_excerpt_is_one_claim_of_the_page(tmp_path, figure_text):
    for claim in ("one", "two"):
        add(tmp_path, claim, title=HOSTILE if claim == "one" else "2", figure=figure_text)
    html = excerpt(tmp_path, "one")._repr_html_()
    shown = Page(html)
    assert HOSTILE in shown.text
    for part in ("the quote of one", "the criterion of one", "It falls.", "-1.021", "✗ contradicted"):
        assert part in shown.text
    assert "of two" not in shown.text
    assert not {"script", "img"} & {tag for tag, _ in shown.tags}
    assert [tag for tag, _ in shown.tags].count("svg") == 1
    with pytest.raises(InputError, match="no record of 'three'; there is one, two"):
        excerpt(tmp_path, "three")


def test_markdown_has_one_row_per_verdict_and_no_cell_breaks_out(tmp_path):
    add(tmp_path, "claim", title=HOSTILE, command="rmt run a|b.py")
    lines = verdict_table_markdown(read_results(tmp_path).records).splitlines()
    assert len(lines) == 2 + len(VERDICTS)
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 7
    assert "<" not in "".join(lines)
    assert "supported | -1.021 [-1.060, -0.980] | 150 | `rmt run a\\|b.py` |" in lines[2]


def test_the_cells_of_a_claim_are_a_table_on_the_page_and_in_markdown(tmp_path, figure_text):
    cells = [VERDICTS[0].in_cell("light | tails", "edge", "no *edge*"), VERDICTS[1].in_cell("heavy", "tail", "long")]
    add(tmp_path, "claim", figure=figure_text, verdicts=[verdict.to_json() for verdict in cells])
    records = read_results(tmp_path).records
    header, _, light, heavy = cell_table_markdown(records).splitlines()
    assert header == "|  | edge | tail |"
    assert light == r"| light \| tails | no \*edge\*: **supported** -1.021 [-1.060, -0.980] |  |"
    assert heavy.startswith("| heavy |  | long: **contradicted** 0.180")
    page = page_of(tmp_path)
    assert "light | tails" in page.text
    assert ("class", "cells") in [item for _, attributes in page.tags for item in attributes.items()]


def test_links_lead_to_the_figure_and_the_data_that_are_there(tmp_path, figure_text):
    path = add(tmp_path, "claim", figure=figure_text)
    path.with_suffix(".nc").write_bytes(b"data")
    table = verdict_table_markdown(read_results(tmp_path).records, tmp_path)
    assert "[figure](claim/default.svg) [data](claim/default.nc)" in table
    assert "claim/default.nc" in page_of(tmp_path).attributes("href")
    path.with_suffix(".nc").unlink()
    assert "[data]" not in verdict_table_markdown(read_results(tmp_path).records, tmp_path)
    assert "claim/default.nc" not in page_of(tmp_path).attributes("href")


def test_the_readme_changes_between_its_markers_and_nowhere_else(tmp_path):
    add(tmp_path, "claim")
    records = read_results(tmp_path).records
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- verdicts:begin -->\nold\n<!-- verdicts:end -->\nafter\n", encoding="utf-8")
    update_readme(readme, records)
    once = readme.read_text(encoding="utf-8")
    assert once.startswith("before\n<!-- verdicts:begin -->\n\n| claim |")
    assert once.endswith("|\n\n<!-- verdicts:end -->\nafter\n")
    assert "old" not in once
    update_readme(readme, records)
    assert readme.read_text(encoding="utf-8") == once


@pytest.mark.parametrize("text", ["", "<!-- verdicts:end --> <!-- verdicts:begin -->", "<!-- verdicts:begin -->" * 2])
def test_a_readme_without_its_markers_is_left_alone(tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(InputError, match="once each"):
        update_readme(readme, [])
    assert readme.read_text() == text
    with pytest.raises(InputError, match="cannot be read"):
        update_readme(tmp_path / "none.md", [])


@pytest.mark.parametrize(
    ("effect", "interval", "text"),
    [
        (1.00042, [0.99913, 1.00171], "1.0004 [0.9991, 1.0017]"),
        (-120.4, [-155.0, -85.0], "-120 [-155, -85]"),
        (1.2345e25, [9.1e24, 1.6e25], "1.234e+25 [9.1e+24, 1.6e+25]"),
        (0.5, [0.5, 0.5], "0.5 [0.5, 0.5]"),
        (0.5, [None, 0.7512345], "0.5 [–, 0.7512]"),
        (None, [None, None], "– [–, –]"),
    ],
)
def test_numbers_have_the_digits_their_interval_warrants(effect, interval, text):
    assert " ".join(effect_text({"effect": effect, "interval": interval})) == text


def test_cells():
    assert [cell_text(v) for v in (2, 2.0, 0.123456, None, float("nan"), "ok")] == ["2", "2", "0.1235", "–", "–", "ok"]


def test_the_figure_in_the_page_is_the_figure(tmp_path, figure_text):
    add(tmp_path, "claim", figure=figure_text)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    inlined = ET.fromstring(text[text.index("<svg ") : text.index("</svg>") + 6])
    original = ET.fromstring(figure_text)

    def drawing(root):
        return [element.get("d") for element in root.iter("{http://www.w3.org/2000/svg}path")]

    assert drawing(inlined) == drawing(original)
    assert inlined.get("viewBox") == original.get("viewBox")
