"""Tensors to matrices: what is taken, how it is cut, what is left out and why."""

import weakref

import numpy as np
import pytest
import torchfiles as tf

from realnets.layers import Layers
from realnets.readers import Tensor


def tensor(name: str, array: np.ndarray, memory=None) -> Tensor:
    return Tensor(name, array.shape, array.dtype.name, lambda: array, memory)


def layers_of(arrays: dict[str, np.ndarray], min_M: int = 4) -> Layers:
    return Layers([tensor(n, a) for n, a in arrays.items()], min_M)


def taken(arrays: dict[str, np.ndarray], min_M: int = 4) -> dict[str, tuple[str, np.ndarray, bool]]:
    return {layer.name: (layer.kind, layer.W, layer.transposed) for layer in layers_of(arrays, min_M)}


def test_dense_matrices_stand_upright_in_float64():
    wide, tall = tf.random(5, 8), tf.random(9, 5, seed=1, dtype=np.float16)
    got = taken({"fc1.weight": wide, "fc2.weight": tall})
    for name, array, transposed in (("fc1.weight", wide.T, True), ("fc2.weight", tall, False)):
        kind, W, was = got[name]
        assert (kind, was, W.dtype) == ("dense", transposed, np.float64)
        np.testing.assert_array_equal(W, array)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("embeddings.word_embeddings.weight", "embedding"),
        ("transformer.wte.weight", "embedding"),
        ("model.embed_tokens.weight", "embedding"),
        ("enc_emb", "embedding"),
        ("embedding/embeddings:0", "embedding"),
        ("time_embedding.linear_1.weight", "dense"),
        ("embed_out.weight", "dense"),
        ("encoder.layer.0.attention.self.key.weight", "dense"),
    ],
)
def test_embeddings_by_name(name, kind):
    assert taken({name: tf.random(9, 5)})[name][0] == kind


@pytest.mark.parametrize(
    ("prefix", "gates", "cell"),
    [("lstm.weight_{}_l0", "ifgo", "lstm"), ("gru.weight_{}_l1_reverse", "rzn", "gru"), ("enc_w_{}", "rzn", "gru")],
)
def test_torch_gates_are_the_stacked_rows(prefix, gates, cell):
    H, inputs, k = 6, 5, len(gates)
    kernels = {"ih": tf.random(k * H, inputs), "hh": tf.random(k * H, H, seed=1)}
    got = taken({prefix.format(side): kernel for side, kernel in kernels.items()})
    assert len(got) == 2 * k
    for side, kernel in kernels.items():
        for i, gate in enumerate(gates):
            kind, W, _ = got[f"{prefix.format(side)}[{gate}]"]
            assert kind == cell
            np.testing.assert_array_equal(W, kernel[i * H : (i + 1) * H])


def test_keras_gates_are_the_stacked_columns():
    kernels = {"a/lstm/kernel:0": tf.random(7, 24), "a/lstm/recurrent_kernel:0": tf.random(6, 24, seed=1)}
    got = taken(kernels)
    assert len(got) == 8
    np.testing.assert_array_equal(got["a/lstm/kernel:0[c]"][1], kernels["a/lstm/kernel:0"][:, 12:18])


def test_a_projected_lstm_and_a_plain_rnn_are_not_taken_for_one_another():
    H, P = 8, 4
    got = taken(
        {
            "r.weight_ih_l0": tf.random(4 * H, 5),
            "r.weight_hh_l0": tf.random(4 * H, P),
            "r.weight_hr_l0": tf.random(P, H),
        }
    )
    assert [n for n in got if "hh" in n] == [f"r.weight_hh_l0[{g}]" for g in "ifgo"]
    assert list(taken({"rnn.weight_hh_l0": tf.random(6, 6)})) == ["rnn.weight_hh_l0"]


def test_conv2d_slices_in_both_layouts():
    torch = tf.random(8, 5, 3, 2)
    keras = np.ascontiguousarray(torch.transpose(2, 3, 1, 0))
    for array in (torch, keras):
        got = taken({"conv1.weight": array})
        assert list(got) == [f"conv1.weight[{i},{j}]" for i in range(3) for j in range(2)]
        for i in range(3):
            for j in range(2):
                np.testing.assert_array_equal(got[f"conv1.weight[{i},{j}]"][1], torch[:, :, i, j])


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("fc.bias", tf.random(9), "bias"),
        ("LayerNorm.weight", tf.random(9), "normalisation"),
        ("bn1.running_var", tf.random(9), "normalisation"),
        ("scale", np.float32(1), "scalar"),
        ("token_type.weight", tf.random(2, 9), "fewer than 4 columns"),
        ("conv1d.weight", tf.random(9, 8, 3), "3-D"),
        ("fc.qweight", np.ones((9, 9), np.int8), "not floating point"),
        ("h.0.attn.bias", np.ones((1, 1, 64, 64), np.float32), "bias or mask"),
        ("attention.causal_mask", np.ones((1, 1, 64, 64), np.float32), "bias or mask"),
        ("optimizer.state.0.exp_avg", tf.random(9, 9), "optimiser state"),
        ("optimizer_state.state.140178894882568.exp_avg_sq", tf.random(9, 9), "optimiser state"),
        ("state.3.momentum_buffer", tf.random(9, 9), "optimiser state"),
        ("Adam/fc/kernel/m", tf.random(9, 9), "optimiser state"),
    ],
)
def test_what_is_left_out_is_listed_with_its_reason(name, array, reason):
    layers = layers_of({name: np.asarray(array)})
    assert list(layers) == []
    (skipped,) = layers.skipped
    assert (skipped.name, skipped.shape) == (name, np.shape(array))
    assert reason in skipped.reason


def test_an_fp8_weight_with_a_scale_beside_it_is_quantised():
    layers = layers_of({"fc.weight": tf.random(9, 9), "fc.weight_scale_inv": tf.random(1, 1)})
    assert list(layers) == []
    assert layers.skipped[0].reason == "quantised"


def test_tied_and_equal_tensors_are_given_once():
    W, V = tf.random(9, 5), tf.random(9, 5, seed=1)
    tensors = [tensor("a", W, "m0"), tensor("tied", W, "m0"), tensor("equal", W.copy(), "m1"), tensor("b", V, "m2")]
    layers = Layers(tensors, 4)
    for _ in range(2):  # iterating again starts again
        assert [layer.name for layer in layers] == ["a", "b"]
        assert [(s.name, s.reason) for s in layers.skipped] == [("tied", "duplicate"), ("equal", "duplicate")]
        assert "memory with a" in layers.skipped[0].note
        assert "equals a" in layers.skipped[1].note


def test_one_tensor_is_in_memory_at_a_time():
    loaded = []

    def load(shape):
        assert not [ref for ref in loaded if ref() is not None]
        array = tf.random(*shape)
        loaded.append(weakref.ref(array))
        return array

    shapes = [(9, 5), (10, 5), (11, 5)]
    layers = Layers([Tensor(f"w{s[0]}", s, "float32", lambda s=s: load(s)) for s in shapes], 4)
    assert [layer.W.shape for layer in layers] == shapes
    assert len(loaded) == 3
