"""What people have on disk or in a pipe: read exactly where it is numbers, refused in one line where it is not."""

import io
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmt import datafiles
from rmt.datafiles import STDIN, load_array
from rmt.errors import InputError

X = np.random.default_rng(0).pareto(1.5, 40) + 1
W = X.reshape(8, 5)


def npy(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(array), version)
    return stream.getvalue()


def npz(save=np.savez, **arrays):
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def zipped(*members, method=zipfile.ZIP_STORED):
    """A zip of (name, bytes) pairs."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def claiming(shape, data=b"", descr="<f8"):
    """An .npy whose header says what it likes."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (40,), }"


def literal(text):
    """An .npy with this text for a header."""
    header = text.encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header


def lines(*columns, delimiter=","):
    rows = zip(*(np.asarray(c).tolist() for c in columns), strict=True)
    return "".join(delimiter.join(map(repr, row)) + "\n" for row in rows)


@pytest.fixture
def load(tmp_path):
    def load(content, **options):
        file = tmp_path / "data"  # no suffix: formats are told by content
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_array(file, **options)

    return load


@pytest.fixture
def refusal(load):
    """The one line that refuses a file, without the file's name at its beginning."""

    def refusal(content, **options):
        with pytest.raises(InputError) as caught:
            load(content, **options)
        where, message = re.fullmatch(r"(\S*?/data)(?:, |: )(.{5,400})", str(caught.value)).groups()
        assert where.endswith("/data")
        return message

    return refusal


# --- what is read


@pytest.mark.parametrize(
    "content",
    [
        npy(X),
        npy(X[:, None]),
        npy(X[None]),
        npy(X.astype(">f8")),
        npy(X, (2, 0)),
        npy(X, (3, 0)),
        literal(HEADER.replace("40", "40L")) + X.tobytes(),  # as Python 2 wrote it
        npz(x=X),
        npz(np.savez_compressed, x=X),
        zipped(("readme.txt", b"not an array"), ("../../../x.npy", npy(X))),
        lines(X),
        lines(X).replace("\n", "\r\n"),
        lines(X).replace("\n", "\r"),
        "\ufeff" + lines(X),
        "# eigenvalues\n\nlambda\n" + lines(X).replace("\n", "\n \n  # more\n", 1),
        lines(X).rstrip("\n"),
        lines(X).replace("\n", " "),
        lines(X).replace("\n", ",").rstrip(","),
        "".join(f'"{x!r}"\n' for x in X.tolist()),
    ],
)
def test_every_format_gives_the_same_numbers(load, content):
    got = load(content)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, X, strict=True)


@pytest.mark.parametrize(
    "content",
    [
        npy(W),
        npy(np.asfortranarray(W)),
        npy(W.astype(">f8")),
        npz(np.savez_compressed, W=np.asfortranarray(W)),
        lines(*W.T),
        lines(*W.T, delimiter=";"),
        lines(*W.T, delimiter="\t"),
        lines(*W.T, delimiter=", "),
        lines(*W.T, delimiter="   "),
        "a;b;c (x, y);d;e\n" + lines(*W.T, delimiter=";"),
    ],
)
def test_a_table_keeps_its_shape(load, content):
    np.testing.assert_array_equal(load(content), W, strict=True)
    np.testing.assert_array_equal(load(content, column="3"), W[:, 3], strict=True)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, ">f4", np.float32, np.longdouble])
def test_every_real_type_becomes_float64_of_the_same_values(load, dtype):
    array = X.astype(dtype)
    got = load(npy(array))
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, array.astype(np.float64))


def test_numbers_too_large_for_float64_are_infinite_and_nan_is_nan(load):
    np.testing.assert_array_equal(
        load("1e400\n-1e400\ninf\nnan\nNaN\n1e-400\n"), [np.inf, -np.inf, np.inf, np.nan, np.nan, 0]
    )
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        np.testing.assert_array_equal(load(npy(np.array([np.longdouble("1e400"), 1]))), [np.inf, 1])
    signalling = np.array([0x7F800001, 0x3F800000], np.uint32).view(np.float32)
    np.testing.assert_array_equal(load(npy(signalling)), [np.nan, 1])


def test_only_names_are_taken_for_names(load):
    np.testing.assert_array_equal(load("nan\n1\n2\n"), [np.nan, 1, 2])
    np.testing.assert_array_equal(load("n,code\n1,05\n2,07\n", column="code"), [5, 7])  # so these are no decimal commas


def test_shapes_that_are_no_data_set_are_left_to_the_caller(load):
    assert load(npy(np.array(3.0))).shape == ()
    assert load(npy(np.ones((2, 3, 4)))).shape == (2, 3, 4)


def test_a_column_may_stand_beside_words(load):
    table = "layer,lambda\n" + "".join(f'"fc, {i}",{x!r}\n' for i, x in enumerate(X.tolist()))
    for column in ("lambda", "1"):
        np.testing.assert_array_equal(load(table, column=column), X)
    np.testing.assert_array_equal(load("fc1 1.5\nfc2 2.5\n", column="1"), [1.5, 2.5])  # no names: no row is lost
    np.testing.assert_array_equal(load('"fc; 1", "1.5"\n"fc; 2", "2.5"\n', column="1"), [1.5, 2.5])
    np.testing.assert_array_equal(load("lambda (a;b),n\n1.5,2\n", column="lambda (a;b)"), [1.5])


def test_an_array_of_an_npz_by_name_or_number(load):
    content = npz(W=W, x=X, **{"0": X[:3]})
    np.testing.assert_array_equal(load(content, array="x"), X)
    np.testing.assert_array_equal(load(content, array="1"), X)
    np.testing.assert_array_equal(load(content, array="0"), X[:3])  # a name goes first
    np.testing.assert_array_equal(load(content, array="W", column="2"), W[:, 2])


def test_an_archive_is_only_read(load, tmp_path):
    load(zipped(("../escaped.npy", npy(X)), ("/tmp/escaped.npy", npy(X))), array="../escaped")
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_million_numbers_of_text_load_at_once(load):
    numbers = np.random.default_rng(1).pareto(1.5, 10**6)
    content = lines(numbers)
    start = time.process_time()
    got = load(content)
    assert time.process_time() - start < 3  # 0.7 s where it was written; Python's own parsing takes over 3
    np.testing.assert_array_equal(got, numbers)


CELLS = [
    "1",
    "-2.5",
    " 3e2",
    "nan",
    "inf",
    "1e400",
    "",
    '"4"',
    '"5',
    "6_0",
    "٧",
    "8\u00a0",
    "\x1c9",
    "#",
    "word",
    "1,5",
    "0x1",
]
TABLES = st.sampled_from([";", ",", "\t", " ", ", "]).flatmap(
    lambda d: st.lists(
        st.lists(st.sampled_from(CELLS[:6]) | st.sampled_from(CELLS), max_size=3).map(d.join), max_size=5
    )
)


@settings(max_examples=500)
@given(TABLES.map("\n".join))
def test_numpy_reads_text_as_the_plain_parser_does(tmp_path_factory, text):
    """The quick path is no second grammar: without it the same files give the same numbers, and those alone."""
    file = tmp_path_factory.mktemp("text") / "data"
    file.write_text(text, encoding="utf-8", newline="")

    def outcome():
        try:
            return load_array(file).tolist()
        except InputError as error:
            return str(error)

    def none(*_, **__):
        raise ValueError

    with pytest.MonkeyPatch.context() as patch:
        quick = outcome()
        patch.setattr(np, "loadtxt", none)
        assert repr(outcome()) == repr(quick)


# --- standard input


@pytest.fixture
def pipe(monkeypatch):
    def pipe(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return pipe


@pytest.mark.parametrize("content", [npy(X), npz(np.savez_compressed, x=X), lines(X).encode()])
def test_standard_input_takes_every_format(pipe, content):
    pipe(content)
    np.testing.assert_array_equal(load_array(STDIN), X)


def test_errors_on_standard_input_name_it(pipe):
    pipe(b"1\nabc\n")
    with pytest.raises(InputError, match=r"^<stdin>, line 2: 'abc' is not a number$"):
        load_array(STDIN)
    pipe(npz(a=X, b=X))
    with pytest.raises(InputError, match=r"^<stdin>: holds 2 arrays"):
        load_array(STDIN)


def test_a_terminal_is_refused_and_not_waited_for(monkeypatch):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs) as terminal:
        name = os.ttyname(theirs)
        monkeypatch.setattr(sys, "stdin", terminal)
        for file in (STDIN, Path(name)):
            with pytest.raises(InputError, match=r"is a terminal; give a file, or pipe"):
                load_array(file)


def test_a_terminal_that_is_refused_does_not_become_that_of_the_process():
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    code = """
import os, sys
from pathlib import Path
from rmt.datafiles import load_array
try:
    load_array(Path(sys.argv[1]))
except ValueError:
    os.open("/dev/tty", os.O_RDONLY)
"""
    with os.fdopen(ours, "rb"), os.fdopen(theirs):
        command = [sys.executable, "-c", code, os.ttyname(theirs)]
        ended = subprocess.run(command, start_new_session=True, capture_output=True, text=True)
    assert "OSError" in ended.stderr
    assert "'/dev/tty'" in ended.stderr


def test_a_closed_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match=r"^<stdin>: standard input is closed"):
        load_array(STDIN)


def test_a_pipe_that_never_ends_is_refused(pipe, monkeypatch):
    monkeypatch.setattr(datafiles, "_MAX_PIPED", 100)
    pipe(b"1\n" * 50)
    assert load_array(STDIN).shape == (50,)
    pipe(b"1\n" * 51)
    with pytest.raises(InputError, match=r"^<stdin>: more than 100 bytes; save them to a file"):
        load_array(STDIN)


@pytest.mark.parametrize("content", [npy(X), npz(x=X), lines(X).encode()])
def test_a_named_pipe_is_read_like_a_file(tmp_path, content):
    os.mkfifo(tmp_path / "data")
    writer = threading.Thread(target=(tmp_path / "data").write_bytes, args=(content,))
    writer.start()
    np.testing.assert_array_equal(load_array(tmp_path / "data"), X)
    writer.join()


# --- what is refused


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\n  \n# nothing\n", "is empty"),
        ("lambda\n", "has column names but no numbers"),
        ("x\n1.0\n# two\n\nabc\n", "line 5: 'abc' is not a number"),
        ("1\nNA\n", "line 2: 'NA' is not a number"),
        ("1,2\n3\n", "line 2: has 1 columns, the first row has 2"),
        ("eigenvalues of a layer\n1\n2\n", "line 2: has 1 columns, the first row has 4; titles and notes begin with #"),
        ("a,b\n1,2\n3,\n", "line 3: an empty cell; fill it, or leave the row out"),
        (",\n1,2\n", "line 1: an empty cell"),
        ("1;2;\n3;4;\n", "line 1: an empty cell"),
        ('1,2\n3,"4\n', "line 2: '\"4' is not a number"),
        ("1\n1_000\n", "line 2: '1_000' is not a number; write it like 1234.5"),
        ("1_000\n2_000\n", "line 1: '1_000' is not a number; write it like 1234.5"),
        ("1\n0x1F\n", "line 2: '0x1F' is not a number"),
        ("1\n٣\n", "line 2: '٣' is not a number"),
        ("1\n1+2j\n", r"line 2: '1\+2j' is a complex number; real numbers are needed"),
        ("(1+2j)\n(3+4j)\n", r"line 1: '\(1\+2j\)' is a complex number"),
        ("1,5;2,5\n", "line 1: '1,5' is not a number; write it like 1234.5, a decimal point"),
        ("a;b\n1,5;2,5\n", "line 2: '1,5' is not a number; write it like 1234.5, a decimal point"),
        ("1,5 2,5\n", "line 1: '5 2' is not a number; write it like 1234.5, a decimal point"),
        ("lambda\n1,5\n2,5\n", "line 2: has 2 columns, the first row has 1; if these are decimal commas, write points"),
        ("1\n1,5\n", "line 2: has 2 columns, the first row has 1; if these are decimal commas, write points"),
        ("1,25\n1,05\n", "'1,05' looks like one number with a decimal comma; write decimals with a point, or name"),
        ("2\n3 # note\n", "line 2: has 3 columns, the first row has 1; titles and notes begin with #"),
        ("1\n2\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("1\n2\n".encode("utf-16-le"), r"neither .npy, .npz nor UTF-8 text \(a zero at byte 1\)"),
        ("1\n2\ngröße\n".encode("latin-1"), r"neither .npy, .npz nor UTF-8 text \(invalid \S+ byte at byte 6\)"),
        (b"\x1f\x8b\x08\x00gzipped", "neither .npy, .npz nor UTF-8 text .* unpack or convert it first"),
        (b'1\n"' + b"2" * 200_000 + b"\n", "line 2: '\"2{39}' is not a number"),
        ("1\nx" + "2" * 1000, "line 2: 'x2{39}' is not a number$"),
    ],
)
def test_text_is_refused_with_its_line(refusal, content, says):
    assert re.match(says, refusal(content))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npy(X)[:20], "not a usable .npy array"),
        (npy(X)[:-1], r"shape \(40,\) does not fit the 319 bytes of its data"),
        (npy(X) + b"\0", r"shape \(40,\) does not fit the 321 bytes of its data"),
        (claiming((10**7, 10**7), bytes(80)), "shape .* does not fit the 80 bytes"),
        (claiming((-2, -5), bytes(80)), "shape .* does not fit the 80 bytes"),
        (claiming((0, 10**30)), "not a usable .npy array"),
        (claiming((5,), descr="|V0"), "not a usable .npy array"),
        (npy(np.array([{}, {}])), "holds pickled Python objects, which are never loaded"),
        (literal("__import__('os').system('true')"), "not a usable .npy array"),
        (literal("(" * 9000), "not a usable .npy array"),
        (literal("-" * 9000 + "1"), "not a usable .npy array"),
        (literal(HEADER.ljust(15_000)) + X.tobytes(), "not a usable .npy array"),
        (npy(X.astype(complex)), "holds complex128 values; real numbers are needed"),
        (npy(np.array(["1", "2"])), "holds <U1 values; real numbers are needed"),
        (npy(np.zeros(3, [("a", "f8"), ("b", "f8")])), r"holds \[\('a', '<f8'\), .* values; real numbers are needed"),
        (npy(np.zeros(3, "M8[s]")), r"holds datetime64\[s\] values; real numbers are needed"),
        (npy(np.zeros(0)), r"holds no numbers; its shape is \(0,\)"),
        (npy(np.zeros((5, 0))), r"holds no numbers; its shape is \(5, 0\)"),
    ],
)
def test_npy_is_refused_alone_and_in_an_archive(refusal, content, says):
    assert re.match(says, refusal(content))
    assert re.match(says if says.startswith("holds no") else f"x: {says}", refusal(zipped(("x.npy", content))))


def test_the_arrays_of_an_npz_are_listed_a_few_at_a_time(refusal):
    assert refusal(npz(a=X, W=W)) == "holds 2 arrays: a (40,), W (8, 5); choose one with --array NAME"
    many = {f"w{i}": np.ones(i) for i in range(1, 9)}
    assert refusal(npz(**many)).startswith("holds 8 arrays: w1 (1,), w2 (2,), w3 (3,), w4 (4,), w5 (5,) and 3 more;")
    assert refusal(npz(**many), array="v") == "no array 'v'; there are w1, w2, w3, w4, w5 and 3 more, or 0 to 7"
    assert refusal(npz(a=X), array="1") == "no array '1'; there are a, or 0 to 0"
    assert "bad unreadable, a (40,)" in refusal(zipped(("bad.npy", b"text"), ("a.npy", npy(X))))


def test_a_name_cannot_command_the_terminal(refusal):
    assert "\x1b" not in refusal(zipped(("\x1b[2J.npy", npy(X)), ("b.npy", npy(X))))
    assert "\x1b" not in refusal("\x1b[2J,b\n1,2\n", column="c")
    assert "\x1b" not in refusal("1\n\x1b[2J\n")


def test_what_has_no_such_column_or_array(refusal):
    assert refusal("a,b\n1,2\n3,4\n", column="c") == "no column 'c'; there are a, b, or 0 to 1"
    assert refusal(npy(W), column="5") == "no column '5'; there are 0 to 4"
    assert refusal(npy(W), column="-1") == "no column '-1'; there are 0 to 4"
    assert refusal(npy(X), column="0") == "has no columns to choose from; its shape is (40,)"
    assert refusal("a,a\n1,2\n", column="a") == "2 columns are called 'a'; give the number, 0 to 1"
    for content in (npy(X), lines(X)):
        assert refusal(content, array="a").startswith("has no arrays to choose from, as only .npz files have")


def test_two_arrays_of_one_name_are_told_apart_by_number(load, refusal):
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = zipped(("a.npy", npy(X)), ("a.npy", npy(W)))
    assert refusal(content, array="a") == "2 arrays are called 'a'; give the number, 0 to 1"
    np.testing.assert_array_equal(load(content, array="1"), W)


def patched(content, offset, value, signature=b"PK\x01\x02"):
    """An archive with other bytes at `offset` of its central directory's first entry."""
    at = content.index(signature) + offset
    return content[:at] + value + content[at + len(value) :]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (zipped(), "a zip of no .npy arrays, it holds nothing"),
        (
            zipped(("word/document.xml", b"")),
            "a zip of no .npy arrays, it holds word/document.xml; give .npz, .npy or text",
        ),
        (npz(x=X)[:-5], "truncated or damaged zip archive"),
        (npz(x=X)[:30], "truncated or damaged zip archive"),
        (npz(x=X).replace(X.tobytes()[:8], bytes(8)), "x: truncated or damaged zip archive .*CRC"),
        (patched(zipped(("x.npy", npy(X))), 8, b"\x01\x00"), "x: is encrypted; save it again without a password"),
        (zipped(("x.npy", npy(X)), method=zipfile.ZIP_LZMA), "x: compression method 14 is not supported"),
        (patched(zipped(("x.npy", npy(X))), 20, b"\xff\xff\xff\x7f" * 2), "x: truncated: has 2147483647 bytes in"),
        (patched(zipped(("x.npy", npy(X))), 24, b"\xff\xff\xff\x7f"), "x: would unpack .* refused as a zip bomb"),
        (patched(zipped(("x.npy", npy(X))), 24, b"\x00\x01\x00\x00"), "x: truncated or damaged zip archive .*CRC"),
    ],
)
def test_a_hostile_archive_is_refused(refusal, content, says):
    assert re.match(says, refusal(content))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(refusal, monkeypatch):
    bomb = zipped(("W.npy", claiming((2**13, 2**11), bytes(2**27))), method=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *_: pytest.fail("unpacked"))
    assert re.match(r"W: would unpack from \d+ to 134217856 bytes; refused as a zip bomb", refusal(bomb))


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="none: no such file"):
        load_array(tmp_path / "none")
    with pytest.raises(InputError, match=r"is a folder; give a .npy, .npz, .csv or .txt file"):
        load_array(tmp_path)


def test_what_does_not_fit_into_memory_is_refused(refusal, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np, "frombuffer", full)
    for content in (npy(X), npz(x=X)):
        assert refusal(content) == "does not fit into memory"


SEEDS = {
    "npy": npy(W.astype(">f4")),
    "npz": npz(np.savez_compressed, x=X),
    "several": npz(x=X, W=W),
    "csv": ("# c\nn;lambda\n" + lines(range(40), X, delimiter=";")).encode(),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_damage_anywhere_gives_numbers_or_one_line(load, refusal, kind):
    """Cut at each place, and 300 files of up to four changed bytes: nothing but an InputError comes out."""
    whole, rng = SEEDS[kind], np.random.default_rng(7)
    files = [whole[:end] for end in range(0, len(whole), max(len(whole) // 60, 1))]
    for _ in range(300):
        bad = bytearray(whole)
        for i in rng.integers(len(bad), size=rng.integers(1, 5)):
            bad[i] = rng.integers(256) if rng.random() < 0.5 else rng.choice(list(b"0123456789.,;_\n\"'# "))
        files.append(bytes(bad))
    numbers = 0
    for content in files:
        for options in ({}, {"column": "1"}, {"array": "0"}):
            try:
                numbers += load(content, **options).size
            except InputError:
                refusal(content, **options)
    assert numbers
