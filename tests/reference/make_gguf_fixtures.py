"""Small GGUF files as the gguf package writes them.

Usage: make_gguf_fixtures.py

Writes tests/fixtures/gguf/: types.gguf holds a metadata value of every type and a tensor of every element type that weft
reads, each block format beside the floats that the package reads from it ("<type>.values"); aligned.gguf has its tensors
at multiples of 128 bytes; split-0000N-of-00002.gguf hold one model's tensors in two files.
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type, GGUFValueType as Value

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "gguf"
BLOCK_FORMATS = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"]
# Where a block keeps its scales in float16.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0]}


def save(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def metadata(writer):
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_float32("t.f32", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "h\u00e9llo \"q\"\n")
    writer.add_uint64("t.u64", 2**64 - 1)
    writer.add_int64("t.i64", -(2**62))
    writer.add_float64("t.f64", 0.1)
    writer.add_array("t.strings", ["a", "", "\u2581b"])
    writer.add_key_value("t.u8s", [0, 255, 7], Value.ARRAY, Value.UINT8)
    writer.add_key_value("t.i32s", [-1, 0, 1], Value.ARRAY, Value.INT32)
    writer.add_key_value("t.f32s", [0.5, -0.25], Value.ARRAY, Value.FLOAT32)
    writer.add_key_value("t.bools", [True, False], Value.ARRAY, Value.BOOL)


def blocks(rng, name):
    elements, size = gguf.GGML_QUANT_SIZES[Type[name]]
    rows = rng.integers(0, 256, (2, 256 // elements * size), np.uint8)
    for row in rows:
        for block in range(0, len(row), size):
            for at in SCALES[name]:
                row[block + at : block + at + 2] = np.frombuffer(np.float16(rng.uniform(-1, 1)).tobytes(), np.uint8)
    return rows


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(OUT / "types.gguf", "llama")
    metadata(writer)
    plain = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I8": np.int8, "I32": np.int32, "I64": np.int64}
    for name, dtype in plain.items():
        writer.add_tensor(name, np.arange(-3, 3).astype(dtype).reshape(2, 3))
    writer.add_tensor("cube", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    floats = rng.standard_normal((2, 3)).astype(np.float32)
    writer.add_tensor("BF16", gguf.quants.quantize(floats, Type.BF16), raw_dtype=Type.BF16)
    writer.add_tensor("BF16.values", gguf.quants.dequantize(gguf.quants.quantize(floats, Type.BF16), Type.BF16))
    for name in BLOCK_FORMATS:
        rows = blocks(rng, name)
        writer.add_tensor(name, rows, raw_dtype=Type[name])
        writer.add_tensor(name + ".values", gguf.quants.dequantize(rows, Type[name]))
    writer.add_tensor("IQ2_XS", np.zeros((1, 74), np.uint8), raw_dtype=Type.IQ2_XS)
    save(writer)

    writer = gguf.GGUFWriter(OUT / "aligned.gguf", "llama")
    writer.add_custom_alignment(128)
    writer.add_tensor("a", np.float32([1, 2, 3]))
    writer.add_tensor("b", np.float32([4]))
    save(writer)

    for part in range(2):
        writer = gguf.GGUFWriter(OUT / f"split-{part + 1:05}-of-00002.gguf", "llama")
        writer.add_uint16("split.no", part)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", 3)
        if part == 0:
            writer.add_string("general.name", "split in two")
            writer.add_tensor("a", np.float32([1, 2]))
            writer.add_tensor("b", np.float32([3]))
        else:
            writer.add_tensor("c", np.float32([4, 5, 6]))
        save(writer)


main()
