#!/usr/bin/env python3
"""Makes tests/fixtures/quantized: tiny models whose linear layers are quantised in every way that weft reads, the
weights that the packages make of them, and the logits of those weights.

README.md beside this file describes the contents and how to run this script.
"""

import copy
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "quantized"
MOST_BYTES = 90_000  # one file
IDS = [1, 0, 47, 5, 12, 33, 8, 21, 40, 2, 19, 46]
WHOLE = "model.layers.0.self_attn.k_proj.weight"  # kept in full; of the others there are hashes
# Not multiples of 64, so that blocks of flat elements cross rows; multiples of 32, as packed integers want it.
LLAMA = dict(vocab_size=48, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4)
LLAMA.update(num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=False)
GPT2 = dict(vocab_size=48, n_embd=32, n_layer=1, n_head=4, n_positions=64, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0)
GPT2.update(bos_token_id=1, eos_token_id=2)


def fnv1a(tensor):
    """The 64-bit FNV-1a hash of the bytes."""
    value = 0xCBF29CE484222325
    for byte in tensor.contiguous().view(torch.uint8).numpy().tobytes():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def make_model(seed, dtype, kind=LlamaForCausalLM, config=None):
    model = kind(config or LlamaConfig(**LLAMA)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_((1 + 0.2 * noise if "norm" in name or "ln_" in name else 0.15 * noise).to(dtype).float())
    return model


def is_linear(name):
    return name.endswith("_proj.weight")


def write(name, config, tensors, weights, logits):
    """tensors: what the checkpoint holds; weights: what its quantised layers stand for."""
    directory = FIXTURES / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file({key: t.contiguous() for key, t in tensors.items()}, directory / "model.safetensors")
    finish(directory, weights, logits)


def finish(directory, weights, logits):
    reference = {"input_ids": torch.tensor(IDS), "logits": logits}
    reference |= {key: t for key, t in weights.items() if key == WHOLE}
    hashes = {key: f"{fnv1a(t):016x} {str(t.dtype).removeprefix('torch.')}" for key, t in weights.items()}
    metadata = {"reference": json.dumps({"weights": hashes}, sort_keys=True)}
    save_file({key: t.contiguous() for key, t in reference.items()}, directory / "reference.safetensors", metadata)
    for file in directory.iterdir():
        assert file.stat().st_size <= MOST_BYTES, (file, file.stat().st_size)
    print(f"{directory.name}: {sum(file.stat().st_size for file in directory.iterdir())} bytes")


def logits_of(model, weights):
    """The logits in float32 with these weights in place of the model's own."""
    state = model.state_dict()
    for key, weight in weights.items():
        assert state[key].shape == weight.shape, key
        state[key] = weight.float()
    model.load_state_dict(state)
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].float()


def quantised(name, model, dtype, quantization, quantise):
    """quantise(layer, weight) gives the stored tensors by what follows the name of the layer, and the weight."""
    config = json.loads(model.config.to_json_string()) | {"dtype": str(dtype).removeprefix("torch.")}
    config["quantization_config"] = quantization
    tensors, weights = {}, {}
    for key, weight in model.state_dict().items():
        if not is_linear(key):
            tensors[key] = weight.to(dtype)
            continue
        layer = key.removesuffix(".weight")
        stored, weights[key] = quantise(layer, weight)
        tensors |= {layer + part: t for part, t in stored.items()}
    write(name, config, tensors, weights, logits_of(model, weights))


# ---- GPTQ and AWQ ----------------------------------------------------------------------------------------------------


def round_to_groups(weight, bits, group_size, symmetric, dtype):
    """Integers (in, out), zero points and scales (groups, out)."""
    w = weight.T
    groups = w.reshape(-1, w.shape[0] if group_size == -1 else group_size, w.shape[1])
    most = 2**bits - 1
    if symmetric:
        scales = (2 * groups.abs().amax(1) / most).to(dtype)
        zeros = torch.full_like(scales, 2 ** (bits - 1)).int()
    else:
        low, high = groups.amin(1).clamp(max=0), groups.amax(1).clamp(min=0)
        scales = ((high - low) / most).to(dtype)
        zeros = (-low / scales.float()).round().clamp(0, most).int()
    integers = (groups / scales.float()[:, None] + zeros[:, None]).round().clamp(0, most)
    return integers.reshape(w.shape).int(), zeros, scales


def pack_rows(integers, bits):
    """32 / bits rows in one, the first in the lowest bits (GPTQModel, nn_modules/qlinear, pack)."""
    parts = integers.numpy().astype(np.uint32).reshape(-1, 32 // bits, integers.shape[1])
    words = np.zeros((parts.shape[0], parts.shape[2]), np.uint32)
    for i in range(32 // bits):
        words |= parts[:, i] << np.uint32(bits * i)
    return torch.from_numpy(words.view(np.int32))


def gptq(bits, group_size, symmetric, act_order, version, dtype=torch.float16):
    def quantise(layer, weight):
        inputs = weight.shape[1]
        size = inputs if group_size == -1 else group_size
        order = torch.arange(inputs)
        if act_order:
            order = torch.randperm(inputs, generator=torch.Generator().manual_seed(len(layer)))
        integers, zeros, scales = round_to_groups(weight[:, order], bits, group_size, symmetric, dtype)
        g_idx = torch.empty(inputs, dtype=torch.int32)
        g_idx[order] = torch.arange(inputs, dtype=torch.int32) // size
        back = torch.empty_like(integers)
        back[order] = integers
        if layer.endswith("o_proj"):  # a zero point of 0, which is lowered with a borrow
            zeros[0, 3] = 0
        qzeros = pack_rows(zeros.T, bits).T
        if version == "gptq":
            ones = sum(1 << (bits * i) for i in range(32 // bits))
            qzeros = torch.from_numpy((qzeros.numpy().view(np.uint32) - np.uint32(ones)).view(np.int32))
        # GPTQModel, nn_modules/qlinear/torch.py, dequantize_weight
        dequantised = scales[g_idx.long()] * (back - zeros[g_idx.long()])
        assert dequantised.dtype == dtype
        stored = {".qweight": pack_rows(back, bits), ".qzeros": qzeros, ".scales": scales, ".g_idx": g_idx}
        if layer.endswith("up_proj") and not act_order:
            del stored[".g_idx"]
        if layer.endswith("q_proj"):  # as AutoGPTQ wrote it for models without biases
            stored[".bias"] = torch.zeros(weight.shape[0], dtype=dtype)
        return stored, dequantised.T.contiguous()

    config = dict(quant_method="gptq", bits=bits, group_size=group_size, sym=symmetric, desc_act=act_order)
    return config | dict(checkpoint_format=version, damp_percent=0.01, true_sequential=True), quantise


AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # AutoAWQ, awq/utils/packing_utils.py


def awq(group_size):
    def pack(integers):
        parts = integers.numpy().astype(np.uint32).reshape(integers.shape[0], -1, 8)
        words = np.zeros(parts.shape[:2], np.uint32)
        for i in range(8):  # awq/modules/linear/gemm.py, from_linear
            words |= parts[:, :, AWQ_ORDER[i]] << np.uint32(4 * i)
        return torch.from_numpy(words.view(np.int32))

    def quantise(layer, weight):
        integers, zeros, scales = round_to_groups(weight, 4, group_size, False, torch.float16)
        repeats = weight.shape[1] // scales.shape[0]
        dequantised = (integers - zeros.repeat_interleave(repeats, 0)) * scales.repeat_interleave(repeats, 0)
        assert dequantised.dtype == torch.float16
        return {".qweight": pack(integers), ".qzeros": pack(zeros), ".scales": scales}, dequantised.T.contiguous()

    config = dict(quant_method="awq", bits=4, group_size=group_size, version="gemm", zero_point=True)
    return config | dict(modules_to_not_convert=None), quantise


# ---- compressed-tensors ----------------------------------------------------------------------------------------------


def compressed(format_name, scale_dtype, activations=False, **arguments):
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
    from compressed_tensors.quantization.lifecycle.forward import quantize
    from compressed_tensors.quantization.utils import calculate_qparams

    args = QuantizationArgs(**arguments)
    inputs = QuantizationArgs(num_bits=8, type=args.type, dynamic=True, strategy="token") if activations else None
    scheme = QuantizationScheme(targets=["Linear"], weights=args, input_activations=inputs, format=format_name)
    compressor = BaseCompressor.get_value_from_registry(format_name)

    def quantise(layer, weight):
        weight = weight.to(scale_dtype)
        out, columns = weight.shape
        rows, width = dict(tensor=(out, columns), channel=(1, columns), group=(1, args.group_size)).get(
            args.strategy, args.block_structure
        )
        low = torch.empty(-(-out // rows), -(-columns // width))
        high = torch.empty_like(low)
        for i in range(low.shape[0]):
            for j in range(low.shape[1]):
                block = weight[i * rows : (i + 1) * rows, j * width : (j + 1) * width].float()
                low[i, j], high[i, j] = block.min(), block.max()
        scale, zeros = calculate_qparams(low, high, args)
        scale = scale.to(scale_dtype)
        if args.strategy == "tensor":
            scale, zeros = scale.reshape(1), zeros.reshape(1)
        state = {"weight": weight, "weight_scale": scale}
        if not args.symmetric:
            state["weight_zero_point"] = zeros
        stored = compressor.compress(state, scheme)
        dequantised = compressor.decompress(stored, scheme)["weight"]
        assert dequantised.dtype == scale_dtype and (dequantised - weight).abs().max() < 0.3
        return {"." + key: t for key, t in stored.items() if t is not None}, dequantised

    config = QuantizationConfig(
        config_groups={"group_0": scheme}, format=format_name, quantization_status="compressed", ignore=["lm_head"]
    )
    return json.loads(json.dumps(config.model_dump(mode="json"))), quantise


# ---- FP8 -------------------------------------------------------------------------------------------------------------


def fp8(config, dtype, rows, columns, part, shape=None):
    """One scale for every block of (rows, columns) of a weight; None: all of them."""

    def quantise(layer, weight):
        height, width = rows or weight.shape[0], columns or weight.shape[1]
        scales = torch.empty(-(-weight.shape[0] // height), -(-weight.shape[1] // width))
        stored = torch.empty(weight.shape, dtype=dtype)
        dequantised = torch.empty(weight.shape)
        for i in range(scales.shape[0]):
            for j in range(scales.shape[1]):
                block = slice(i * height, (i + 1) * height), slice(j * width, (j + 1) * width)
                scales[i, j] = weight[block].abs().max() / torch.finfo(dtype).max
                stored[block] = (weight[block] / scales[i, j]).to(dtype)
                dequantised[block] = stored[block].float() * scales[i, j]
        tensors = {".weight": stored, part: scales if shape is None else scales.reshape(shape)}
        if config.get("activation_scheme") == "static":
            tensors[".input_scale"] = torch.tensor(0.5)
        return tensors, dequantised

    return config, quantise


# ---- bitsandbytes, by transformers itself ------------------------------------------------------------------------------


def bitsandbytes(name, model, dtype, **arguments):
    import bitsandbytes.functional as bnb
    from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
    from transformers import BitsAndBytesConfig

    directory = FIXTURES / name
    shutil.rmtree(directory, ignore_errors=True)
    plain = directory / "plain"
    copy.deepcopy(model).to(dtype).save_pretrained(plain)  # the rotary frequencies of the model stay float32
    quantization = BitsAndBytesConfig(bnb_4bit_compute_dtype=dtype, **arguments)
    loaded = AutoModelForCausalLM.from_pretrained(plain, quantization_config=quantization, dtype=dtype)
    loaded.save_pretrained(directory)
    shutil.rmtree(plain)

    stored = load_file(directory / "model.safetensors")
    weights = {}
    for key in stored:
        if key.endswith(".SCB"):
            layer = key.removesuffix(".SCB")
            weights[layer + ".weight"] = bnb.int8_vectorwise_dequant(stored[layer + ".weight"], stored[key])
        elif ".quant_state." in key:
            weight = key.split(".quant_state.")[0]
            parts = {k.removeprefix(weight + "."): t for k, t in stored.items() if k.startswith(weight + ".")}
            state = bnb.QuantState.from_dict(parts, device="cpu")
            absmax = state.absmax
            if state.nested:
                absmax = bnb.dequantize_blockwise(absmax, state.state2) + state.offset
            # Not dequantize_4bit: the processor's version in 0.50.2 is wrong where rows are not whole blocks.
            packed = stored[weight].view(torch.uint8).reshape(-1)
            weights[weight] = _dequantize_4bit_compute(
                packed, absmax, state.code, state.blocksize, state.shape, state.dtype
            )
    assert weights
    transposed = isinstance(model, GPT2LMHeadModel)  # whose Conv1D becomes a linear layer
    finish(directory, weights, logits_of(model, {k: w.T if transposed else w for k, w in weights.items()}))


def main(wanted):
    half, bfloat = torch.float16, torch.bfloat16
    e4m3, e5m2 = torch.float8_e4m3fn, torch.float8_e5m2
    blocks = dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic")
    variants = {
        "gptq": (half, gptq(4, 32, True, False, "gptq")),
        "gptq-act-order": (half, gptq(4, 32, False, True, "gptq")),
        "gptq-v2": (half, gptq(4, 32, False, True, "gptq_v2")),
        "gptq-8bit": (half, gptq(8, -1, False, False, "gptq")),
        "gptq-2bit": (bfloat, gptq(2, 16, False, False, "gptq", bfloat)),
        "awq": (half, awq(32)),
        "awq-whole": (half, awq(-1)),
        "packed-int4": (bfloat, compressed("pack-quantized", bfloat, num_bits=4, strategy="group", group_size=32)),
        "packed-int4-asymmetric": (
            half,
            compressed("pack-quantized", half, num_bits=4, strategy="group", group_size=16, symmetric=False),
        ),
        "packed-int8": (bfloat, compressed("pack-quantized", bfloat, num_bits=8, strategy="channel")),
        "packed-int8-tensor": (half, compressed("pack-quantized", half, num_bits=8, strategy="tensor")),
        "int8": (bfloat, compressed("int-quantized", bfloat, True, num_bits=8, strategy="channel")),
        "int8-asymmetric": (
            half,
            compressed("naive-quantized", torch.float32, num_bits=8, strategy="tensor", symmetric=False),
        ),
        "int8-group": (half, compressed("naive-quantized", half, num_bits=8, strategy="group", group_size=32)),
        "float8": (bfloat, compressed("float-quantized", bfloat, True, num_bits=8, type="float", strategy="channel")),
        "float8-block": (
            bfloat,
            compressed(
                "float-quantized", torch.float32, True, num_bits=8, type="float", strategy="block", block_structure=[40, 24]
            ),
        ),
        "fp8-block": (bfloat, fp8(blocks | dict(weight_block_size=[40, 24]), e4m3, 40, 24, ".weight_scale_inv")),
        "fp8-inv-tensor": (bfloat, fp8(blocks | dict(weight_block_size=None), e4m3, None, None, ".weight_scale_inv", ())),
        "fp8-tensor": (
            half,
            fp8(
                dict(quant_method="fp8", activation_scheme="static", ignored_layers=["lm_head"]),
                e5m2, None, None, ".weight_scale", (),
            ),
        ),  # fmt: skip
        "fbgemm-fp8": (
            bfloat,
            fp8(
                dict(quant_method="fbgemm_fp8", activation_scale_ub=1200.0, modules_to_not_convert=["lm_head"]),
                e4m3, 1, None, ".weight_scale",
            ),
        ),  # fmt: skip
    }
    for seed, (name, (dtype, (config, quantise))) in enumerate(variants.items()):
        if not wanted or name in wanted:
            quantised(name, make_model(seed, dtype), dtype, config, quantise)

    nf4 = dict(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    by_transformers = {
        "bnb-int8": (bfloat, dict(load_in_8bit=True)),
        "bnb-nf4": (bfloat, nf4 | dict(bnb_4bit_use_double_quant=True)),
        "bnb-nf4-single": (half, nf4),
        "bnb-fp4": (torch.float32, dict(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_use_double_quant=True)),
        "bnb-storage": (bfloat, nf4 | dict(bnb_4bit_quant_storage=bfloat)),
    }
    for seed, (name, (dtype, arguments)) in enumerate(by_transformers.items(), 100):
        if not wanted or name in wanted:
            bitsandbytes(name, make_model(seed, dtype), dtype, **arguments)
    if not wanted or "bnb-gpt2" in wanted:
        gpt2 = make_model(200, half, GPT2LMHeadModel, GPT2Config(**GPT2))
        bitsandbytes("bnb-gpt2", gpt2, half, load_in_8bit=True)


if __name__ == "__main__":
    main(sys.argv[1:])
