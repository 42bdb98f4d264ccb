"""10,000 damaged files of every format: no crash, 5 s and 1 GB at most, nothing run; and proof that this would be noticed."""

import contextlib
import ctypes
import importlib
import io
import marshal
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import fuzz
import numpy as np
import pytest
from corpora import CORPORA, N_FILES, attacks, canary, fuzzed, hostile, in_a_process_of_its_own
from fuzz import Forbidden, survives, watched

from realnets.readers import npz, open_checkpoint
from realnets.readers._pickle import Interpreter
from rmt import InputError


@pytest.mark.parametrize("name", CORPORA)
def test_a_few_damaged_files_of_every_format(name):
    row = fuzzed(name, 150, seed=5)
    assert row["files"] >= 150
    assert row["refused"] > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CORPORA)
def test_ten_thousand_damaged_files_of_every_format(name):
    row = in_a_process_of_its_own(name)
    assert row["files"] >= N_FILES
    assert row["slowest s"] < 5
    assert row["peak MB"] < 1000


def test_a_crash_of_the_interpreter_is_noticed(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(AssertionError, match="exit code 1"):
        in_a_process_of_its_own("GGUF", 1)


def test_too_much_memory_or_time_is_noticed(tmp_path, monkeypatch):
    np.savez(tmp_path / "w.npz", W=np.zeros((2, 2)))

    def hungry(data: bytes, where: str) -> np.ndarray:
        return np.ones(64 * 2**20, np.uint8)[:4].reshape(2, 2)

    monkeypatch.setattr(npz, "npy_array", hungry)
    survives(tmp_path / "w.npz")
    monkeypatch.setattr(fuzz, "MEGABYTES", 50)
    with pytest.raises(AssertionError, match="megabytes"):
        survives(tmp_path / "w.npz")
    monkeypatch.undo()
    monkeypatch.setattr(fuzz, "SECONDS", 0)
    with pytest.raises(AssertionError, match="seconds"):
        survives(tmp_path / "w.npz")


# --- the canary


def test_every_hostile_pickle_is_refused_or_left_out(tmp_path):
    for case in hostile(tmp_path):
        case.victim.write_bytes(case.wrapped(case.data))
        with pytest.raises(InputError):
            [t.load() for t in open_checkpoint(case.opened).tensors]


def _unpickles(interpreter, stream: io.BytesIO):
    return pickle.load(stream)


@pytest.mark.parametrize("container", [1, 2, 3], ids=["legacy", "zip", "npz"])
def test_it_sings_where_a_reader_unpickles(tmp_path, monkeypatch, container):
    """Under Python's unpickler the same file is stopped at the first name; unwatched, it leaves its mark."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    case = hostile(folder)[4 * len(attacks(folder)) + container]  # which names nothing but os.system
    case.victim.write_bytes(case.wrapped(case.data))
    monkeypatch.setattr(Interpreter, "load", _unpickles)
    monkeypatch.setattr(npz, "npy_array", lambda data, where: np.load(io.BytesIO(data), allow_pickle=True))
    with pytest.raises(AssertionError, match=r"not only read.*pickle\.find_class"):
        survives(case.opened)
    assert not canary(tmp_path).exists()
    with contextlib.suppress(Exception):
        [t.load() for t in open_checkpoint(case.opened).tensors]
    assert canary(tmp_path).exists()


@pytest.mark.parametrize(
    "act",
    [
        lambda p: os.system(f"touch {p}"),
        lambda p: subprocess.run(["touch", str(p)]),
        lambda p: exec("1"),
        lambda p: eval("1"),
        lambda p: compile("1", "x.py", "exec"),
        lambda p: importlib.import_module("this"),
        lambda p: pickle.loads(b"cos\nsystem\n."),
        lambda p: marshal.loads(marshal.dumps(1)),
        lambda p: ctypes.CDLL(None),
        lambda p: socket.socket(),
        lambda p: urllib.request.urlopen("http://127.0.0.1:9"),
        lambda p: os.putenv("CANARY", "1"),
        lambda p: os.environ.update(CANARY="1"),
        lambda p: os.remove(p),
        lambda p: os.mkdir(p),
        lambda p: os.symlink("/", p),
        lambda p: os.kill(os.getpid(), 0),
        lambda p: os.open(p, os.O_CREAT | os.O_WRONLY),
        lambda p: p.write_text("x"),
        lambda p: p.open("a"),
        lambda p: Path("/etc/passwd").read_text(),
        lambda p: tempfile.mkstemp(),
    ],
)
@pytest.mark.parametrize("caught", [False, True])
def test_whatever_is_not_reading_is_stopped_and_told(tmp_path, act, caught):
    way = contextlib.suppress(Forbidden) if caught else contextlib.nullcontext()
    with pytest.raises(AssertionError, match="not only read"), watched(tmp_path), way:
        act(tmp_path / "canary")
    assert list(tmp_path.iterdir()) == []
    assert "CANARY" not in os.environ


def test_reading_is_no_offence_and_neither_is_anything_afterwards(tmp_path):
    (tmp_path / "w").write_text("x")
    with watched(tmp_path):
        assert (tmp_path / "w").read_bytes() == b"x"
        assert [p.name for p in tmp_path.iterdir()] == ["w"]
    (tmp_path / "w").unlink()
