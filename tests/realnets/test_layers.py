"""Tensors to matrices: what is taken, how it is cut, what is left out and why."""

import weakref

import numpy as np
import pytest
import torchfiles as tf

from realnets.layers import Layers
from realnets.naming import by_depth
from realnets.readers import Tensor
from rmt import InputError


def tensor(name: str, array: np.ndarray, memory=None) -> Tensor:
    return Tensor(name, array.shape, array.dtype.name, lambda: array, memory)


def layers_of(arrays: dict[str, np.ndarray], min_M: int = 4, conv: str = "slices") -> Layers:
    return Layers([tensor(n, a) for n, a in arrays.items()], min_M, conv=conv)


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


def test_gates_of_onnx_in_both_directions():
    W, R = tf.random(2, 24, 5), tf.random(2, 24, 6, seed=1)
    got = taken({"rnn.LSTM.W": W, "rnn.LSTM.R": R})
    assert [n for n in got if ".R" in n] == [f"rnn.LSTM.R[{d},{g}]" for d in (0, 1) for g in "iofc"]
    kind, matrix, _ = got["rnn.LSTM.W[1,f]"]
    assert kind == "lstm"
    np.testing.assert_array_equal(matrix, W[1, 12:18])
    assert [n for n in taken({"g.W": W[:1, :18], "g.R": R[:1, :18]}) if ".W" in n] == ["g.W[z]", "g.W[r]", "g.W[h]"]


def test_a_kernel_of_one_place_has_no_number():
    assert list(taken({"conv.weight": tf.random(8, 5, 1, 1)})) == ["conv.weight"]


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


@pytest.mark.parametrize("kernel", [(3,), (3, 2), (2, 3, 2)])
def test_kernels_of_every_dimension_in_both_layouts(kernel):
    torch = tf.random(8, 5, *kernel)
    keras = np.ascontiguousarray(np.moveaxis(torch, (0, 1), (-1, -2)))
    spots = list(np.ndindex(kernel))
    stack = np.stack([torch[:, :, *at] for at in spots])
    for array, upright in ((torch, stack), (keras, stack)):
        got = taken({"conv.weight": array})
        assert list(got) == [f"conv.weight[{','.join(map(str, at))}]" for at in spots]
        for (kind, W, _), place in zip(got.values(), upright, strict=True):
            assert kind == f"conv{len(kernel)}d"
            np.testing.assert_array_equal(W, place)
        (pool,) = Layers([tensor("conv.weight", array)], 4, conv="pooled")
        assert (pool.name, pool.W.shape) == ("conv.weight", stack.shape)
        np.testing.assert_array_equal(pool.W, stack)
        (flat,) = Layers([tensor("conv.weight", array)], 4, conv="reshaped")
        np.testing.assert_allclose(flat.W.T @ flat.W, torch.reshape(8, -1) @ torch.reshape(8, -1).T, rtol=1e-5)


def test_an_unknown_way_with_convolutions_is_refused():
    with pytest.raises(ValueError, match="'diagonal' is not a valid Conv"):
        Layers([], conv="diagonal")


@pytest.mark.parametrize(
    ("name", "axis", "split"),
    [
        ("attn.in_proj_weight", 0, "qkv"),
        ("blocks.0.attn.qkv.weight", 0, "qkv"),
        ("h.0.attn.c_attn.weight", 1, "qkv"),
        ("to_qkv.weight", 0, "qkv"),
        ("model.layers.0.self_attn.qkv_proj.weight", 0, "qkv"),
        ("attention.query_key_value.weight", 0, ""),  # interleaved by heads
        ("h.0.self_attention.query_key_value.weight", 0, ""),
        ("gpt_neox.layers.0.attention.query_key_value.weight", 0, ""),
        (
            "transformer.h.0.attn.qkv_proj.weight",
            0,
            "",
        ),  # CodeGen: query, value and key of a quarter of the heads in turn
        ("attn.out_proj.weight", 0, ""),
    ],
)
def test_fused_projections_are_split_where_thirds_are_sure(name, axis, split):
    thirds = [tf.random(6, 6, seed=seed) for seed in range(3)]
    got = taken({name: np.concatenate(thirds, axis)})
    assert list(got) == ([f"{name}[{part}]" for part in split] or [name])
    for (_, W, _), third in zip(got.values(), thirds if split else [np.concatenate(thirds, axis)], strict=True):
        np.testing.assert_array_equal(W, third)


def test_depth_is_the_order_of_the_file_with_numbers_in_theirs():
    alphabetical = ["emb", "h.0.k", "h.0.q", "h.1.k", "h.1.q", "h.10.k", "h.10.q", "h.2.k", "h.2.q", "lm_head"]
    assert [alphabetical[i] for i in by_depth(alphabetical)] == [
        *["emb", "h.0.k", "h.0.q", "h.1.k", "h.1.q", "h.2.k", "h.2.q", "h.10.k", "h.10.q", "lm_head"]
    ]
    registered = ["wte", "layer1.0.conv2", "layer1.1.conv1", "layer2.0.conv1", "fc", "ab[0,1]", "ab[0,10]"]
    assert by_depth(registered) == list(range(7))
    hostile = ["1" * 10**5, "", "0", "007", "7", "a1" * 10**5, "٣", "\0"]
    assert sorted(by_depth(hostile)) == list(range(8))


def test_a_query_beside_fewer_keys_and_values_stays_whole():
    assert list(taken({"attn.qkv_proj.weight": tf.random(10, 6)})) == ["attn.qkv_proj.weight"]


def test_gates_of_a_feed_forward_layer_are_split():
    array = tf.random(20, 6)
    got = taken({"mlp.gate_up_proj.weight": array})
    np.testing.assert_array_equal(got["mlp.gate_up_proj.weight[gate]"][1], array[:10])
    np.testing.assert_array_equal(got["mlp.gate_up_proj.weight[up]"][1], array[10:])


def test_experts_and_heads_in_three_axes():
    stack = tf.random(3, 6, 8)
    got = taken({"moe.experts.w1": stack})
    assert list(got) == [f"moe.experts.w1[{i}]" for i in range(3)]
    np.testing.assert_array_equal(got["moe.experts.w1[2]"][1], stack[2].T)
    query, out = tf.random(12, 3, 4), tf.random(3, 4, 12)
    got = taken({"attention/query/kernel": query, "attention/out/kernel": out})
    np.testing.assert_array_equal(got["attention/query/kernel"][1], query.reshape(12, 12))
    np.testing.assert_array_equal(got["attention/out/kernel"][1], out.reshape(12, 12))


@pytest.mark.parametrize(
    ("down", "up", "flax"),
    [
        ("lora_A.weight", "lora_B.weight", False),
        ("lora_A.default.weight", "lora_B.default.weight", False),
        ("lora_down.weight", "lora_up.weight", False),
        ("lora_a", "lora_b", True),
    ],
)
def test_an_adapter_is_multiplied_out_and_added_to_its_base(down, up, flax):
    A, B, base = tf.random(5, 8), tf.random(9, 5, seed=1), tf.random(9, 8, seed=2)
    if flax:
        A, B, base = A.T, B.T, base.T
    product = (A @ B if flax else B @ A).astype(float)
    got = taken({f"fc.{down}": A, f"fc.{up}": B, "fc.weight": base})
    assert sorted(got) == ["fc.weight", "fc.weight[+B A]", "fc[B A]"]
    upright = product.T if flax else product
    np.testing.assert_allclose(got["fc[B A]"][1], upright, atol=1e-5)
    np.testing.assert_allclose(got["fc.weight[+B A]"][1], upright + (base.T if flax else base), atol=1e-5)


def test_an_adapter_of_a_small_rank_is_left_out_and_one_without_its_partner_stays():
    layers = layers_of({"q.lora_A.weight": tf.random(3, 9), "q.lora_B.weight": tf.random(9, 3)})
    assert list(layers) == []
    assert [(s.name, s.note) for s in layers.skipped] == [("q[B A]", "of rank 3")]
    assert list(taken({"q.lora_A.weight": tf.random(5, 9), "q.lora_B.weight": tf.random(8, 6)})) == [
        "q.lora_A.weight",
        "q.lora_B.weight",
    ]


@pytest.mark.parametrize(
    ("direction", "length"),
    [("weight_v", "weight_g"), ("parametrizations.weight.original1", "parametrizations.weight.original0")],
)
def test_a_normalised_weight_is_its_length_times_its_direction(direction, length):
    v, g = tf.random(9, 5), np.abs(tf.random(9, 1, seed=1))
    got = taken({f"fc.{direction}": v, f"fc.{length}": g})
    assert list(got) == ["fc.weight"]
    np.testing.assert_allclose(got["fc.weight"][1], g * v / np.linalg.norm(v, axis=1, keepdims=True), rtol=1e-6)


def test_a_pair_with_a_damaged_half_is_unreadable():
    def broken() -> np.ndarray:
        raise InputError("w.pt: fc.lora_B.weight: truncated")

    A = tf.random(5, 8)
    layers = Layers([tensor("fc.lora_A.weight", A), Tensor("fc.lora_B.weight", (9, 5), "float32", broken)], 4)
    assert list(layers) == []
    assert [(s.name, s.reason, s.note) for s in layers.skipped] == [
        ("fc[B A]", "unreadable", "w.pt: fc.lora_B.weight: truncated")
    ]


def test_two_thin_parts_do_not_fill_the_memory_with_their_product():
    """8 TB of float64 from 240 MB, of which nothing is read."""

    def unread() -> np.ndarray:
        raise AssertionError

    parts = {"fc.lora_A.weight": (60, 10**6), "fc.lora_B.weight": (10**6, 60)}
    layers = Layers([Tensor(name, shape, "float32", unread) for name, shape in parts.items()])
    assert list(layers) == []
    (skipped,) = layers.skipped
    assert skipped.note.startswith("fc[B A]: would have 1000000 x 1000000 entries")


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("fc.bias", tf.random(9), "bias"),
        ("LayerNorm.weight", tf.random(9), "normalisation"),
        ("bn1.running_var", tf.random(9), "normalisation"),
        ("scale", np.float32(1), "scalar"),
        ("token_type.weight", tf.random(2, 9), "fewer than 4 columns"),
        ("table.weight", np.broadcast_to(np.float32(1), (70, 70, 70, 70)), "4-D"),
        ("stack.weight", tf.random(9, 8, 3, 2, 2, 2), "6-D"),
        ("depthwise.weight", tf.random(9, 1, 3, 3), "one channel a filter"),
        ("depthwise_kernel", tf.random(3, 3, 9, 1), "one channel a filter"),
        ("q.lora_A.weight", tf.random(3, 9), "fewer than 4 columns"),
        ("fc.qweight", np.ones((9, 9), np.int8), "not floating point"),
        ("h.0.attn.bias", np.ones((1, 1, 64, 64), np.float32), "bias or mask"),
        ("attention.causal_mask", np.ones((1, 1, 64, 64), np.float32), "bias or mask"),
        ("optimizer.state.0.exp_avg", tf.random(9, 9), "optimiser state"),
        ("optimizer_state.state.140178894882568.exp_avg_sq", tf.random(9, 9), "optimiser state"),
        ("state.3.momentum_buffer", tf.random(9, 9), "optimiser state"),
        ("Adam/fc/kernel/m", tf.random(9, 9), "optimiser state"),
        ("fc/kernel/.OPTIMIZER_SLOT/opt/m", tf.random(9, 9), "optimiser state"),
        ("net/fc/kernel/Adagrad_1", tf.random(9, 9), "optimiser state"),
        ("sgd/fc_kernel_momentum", tf.random(9, 9), "optimiser state"),
        ("opt/_variables/3", tf.random(9, 9), "optimiser state"),
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
