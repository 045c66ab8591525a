"""Blocks of GGML's types and the values that the Python package `gguf` finds in them; the code books of the IQ types.

    pip install gguf==0.19.0 numpy safetensors
    python build.py               # blocks.safetensors: NAME.bytes [blocks, bytes], NAME.values [blocks, values]
    python build.py --codebooks   # prints runtime/src/kernels/codebooks.rs, before rustfmt

Blocks are random bytes, seed 20230816, with the scales of half precision made finite and of ordinary size, since any byte is
valid everywhere else.
"""
import pathlib
import sys

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
BLOCKS = 8
# Byte offsets of the scales in half precision; IQ1_M has its own in the upper four bits of four numbers.
SCALES = {
    "IQ1_S": [0], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ4_NL": [0], "IQ4_XS": [0],
    "TQ1_0": [52], "TQ2_0": [64], "IQ1_M": [], "MXFP4": [],
}  # fmt: skip


def blocks(name, rng):
    _, size = GGML_QUANT_SIZES[Type[name]]
    data = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    scales = rng.normal(0, 0.01, BLOCKS).astype(np.float16)
    for at in SCALES[name]:
        data[:, at : at + 2] = scales.view(np.uint8).reshape(BLOCKS, 2)
    if name == "IQ1_M":
        bits = scales.view(np.uint16)
        for part in range(4):
            data[:, 49 + 2 * part] = data[:, 49 + 2 * part] & 0x0F | (bits >> (4 * part) & 15).astype(np.uint8) << 4
    if name == "MXFP4":
        # The two denormal scales, one, and ordinary ones.
        data[:, 0] = [0, 1, 2, 127, 120, 121, 130, 100]
    return data


def codebook(name, values):
    """Rows of a code book as numbers, the first value in the lowest bits."""
    grid_class = getattr(quants, name)
    grid_class.init_grid()
    grid, bits = grid_class.grid.reshape(grid_class.grid_shape), 3 if len(grid_class.grid_map) > 4 else 2
    index = {value: i for i, value in enumerate(grid_class.grid_map)}
    rows = [sum(index[int(value)] << (bits * i) for i, value in enumerate(row)) for row in grid]
    print(f"/// `{name}`: {len(rows)} rows of {grid.shape[1]} indices into {{{', '.join(map(str, grid_class.grid_map))}}},")
    print(f"/// {bits} bits each, the first in the lowest.")
    print(f"pub(super) static {values}: [u16; {len(rows)}] = [{', '.join(f'0x{row:04x}' for row in rows)}];\n")


if "--codebooks" in sys.argv:
    print("//! Code books of GGML's IQ types: the rows of numbers that their blocks refer to.")
    print("//!")
    print("//! Published in ggml (`ggml/src/ggml-common.h`) and in its Python package `gguf` 0.19.0, from which")
    print("//! `tests/goldens/blocks/build.py --codebooks` makes this file. Copyright (c) 2023 Georgi Gerganov; MIT License, in `LICENSE-ggml`.\n")
    for name in ["IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"]:
        codebook(name, name)
    sys.exit()

rng, tensors = np.random.default_rng(20230816), {}
for name in SCALES:
    data = blocks(name, rng)
    values = quants.dequantize(data, Type[name]).astype(np.float32).reshape(BLOCKS, -1)
    assert np.isfinite(values).all(), name
    tensors[f"{name}.bytes"], tensors[f"{name}.values"] = data, values
save_file(tensors, HERE / "blocks.safetensors", metadata={"gguf": "0.19.0", "seed": "20230816"})
