"""Blocks of quantised weights as ggml's reference quantisers write them and read them.

Usage: make_quant_fixtures.py LIBRARY

LIBRARY is ggml's base library (libggml-base.so) built without contraction of multiply-adds, as IEEE 754 says; builds with
contraction choose another rounding in some blocks of the K formats. Writes tests/fixtures/quant/<type>.bin: for every
block its elements (float32), its bytes, and the elements they stand for (float32).
"""

import ctypes
import pathlib
import sys

import numpy as np

FORMATS = {  # type: (bytes of a block, elements, name in ggml)
    "q8_0": (34, 32, "q8_0"),
    "q4_0": (18, 32, "q4_0"),
    "q4_1": (20, 32, "q4_1"),
    "q5_0": (22, 32, "q5_0"),
    "q5_1": (24, 32, "q5_1"),
    "q4_k": (144, 256, "q4_K"),
    "q5_k": (176, 256, "q5_K"),
    "q6_k": (210, 256, "q6_K"),
    "q2_k": (84, 256, "q2_K"),
    "q3_k": (110, 256, "q3_K"),
    "iq4_nl": (18, 32, "iq4_nl"),
}
ELEMENTS = 256


def cases():
    rng = np.random.default_rng(11)
    normal = lambda: rng.standard_normal(ELEMENTS)
    yield normal()
    yield normal() ** 3
    yield normal() * 1e-3
    yield np.abs(normal())
    yield -np.abs(normal())
    yield np.zeros(ELEMENTS)
    yield np.full(ELEMENTS, 2.5)
    yield np.full(ELEMENTS, -0.0)
    yield np.where(np.arange(ELEMENTS) % 64 < 32, 0.0, normal())
    yield np.where(np.arange(ELEMENTS) == 77, 100.0, normal() * 0.1)
    yield normal() * 1e-7
    yield normal() * 5000
    yield np.linspace(-1, 1, ELEMENTS)
    yield rng.standard_t(2, ELEMENTS)


def main():
    library = ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
    out = pathlib.Path(__file__).parent.parent / "fixtures" / "quant"
    out.mkdir(parents=True, exist_ok=True)
    for name, (size, elements, ggml) in FORMATS.items():
        encode = getattr(library, f"quantize_row_{ggml}_ref")
        decode = getattr(library, f"dequantize_row_{ggml}")
        encode.argtypes = decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        with open(out / f"{name}.bin", "wb") as file:
            for case in cases():
                x = case.astype(np.float32)
                blocks = np.zeros(ELEMENTS // elements * size, np.uint8)
                y = np.zeros(ELEMENTS, np.float32)
                encode(x.ctypes.data, blocks.ctypes.data, ELEMENTS)
                if name == "iq4_nl":  # the reference leaves the codes of zeros as it finds them in memory
                    zero = np.abs(x.reshape(-1, elements)).max(1) < 1e-15
                    blocks.reshape(-1, size)[zero, 2:] = 0x88
                decode(blocks.ctypes.data, y.ctypes.data, ELEMENTS)
                file.write(x.tobytes() + blocks.tobytes() + y.tobytes())


main()
