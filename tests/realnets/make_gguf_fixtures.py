"""Makes data/*.gguf with the gguf package 0.19.0 (pip install gguf): `python tests/realnets/make_gguf_fixtures.py`.

It writes version 3 in both byte orders; versions 1 and 2 are written opcode by opcode in test_gguf.py.
"""

from pathlib import Path

import gguf
import numpy as np
from waves import wave

DATA = Path(__file__).parent / "data"


def make(name: str, endianess: gguf.GGUFEndian, alignment: int | None) -> None:
    """One file with every readable type, one quantised tensor, and metadata of every kind."""
    writer = gguf.GGUFWriter(DATA / name, "llama", endianess=endianess)
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    writer.add_uint8("a.uint8", 1)
    writer.add_int64("a.int64", -1)
    writer.add_float64("a.float64", 0.5)
    writer.add_bool("a.bool", True)
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "", "ü", "word"])
    writer.add_array("tokenizer.ggml.scores", [0.0, -1.5, 3.0])
    writer.add_array("nested", [[1, 2], [3]])
    writer.add_tensor("token_embd.weight", wave(12, 8))
    writer.add_tensor("blk.0.attn_q.weight", wave(8, 6).astype(np.float16))
    writer.add_tensor("blk.0.ffn_up.weight", wave(6, 8).astype(np.float64))
    bits = (wave(4, 8).view(np.uint32) >> 16).astype(np.uint16)  # truncated, not rounded
    writer.add_tensor("blk.0.ffn_down.weight", bits, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("blk.0.steps", np.arange(5, dtype=np.int32))
    writer.add_tensor("blk.0.norm.weight", wave(8))
    if endianess == gguf.GGUFEndian.LITTLE:
        packed = gguf.quantize(wave(4, 64), gguf.GGMLQuantizationType.Q4_0)
        writer.add_tensor("output.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    make("little.gguf", gguf.GGUFEndian.LITTLE, None)
    make("big.gguf", gguf.GGUFEndian.BIG, 64)
