#!/usr/bin/env python3
"""Makes golden data in tests/fixtures/adapters: LoRA adapters as PEFT saves them, for models of tests/fixtures/models,
and the logits that PEFT computes with them, apart and merged.

A fixture is refused where it proves little: the adapter must change the logits by far more than the tests allow.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import tempfile
import warnings

import gguf
import numpy
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
MODELS, ADAPTERS = ROOT / "models", ROOT / "adapters"
MAJOR = int(transformers.__version__.split(".")[0])
LEAST_EFFECT = 0.02  # a hundred times what the tests allow
MOST_BYTES = 100_000  # one directory
TOKENS = 10

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]


@dataclasses.dataclass(frozen=True)
class Variant:
    """One adapter: the model that it is for, and its LoraConfig."""

    name: str
    model: str
    config: dict
    dtype: torch.dtype = torch.float32  # of what is saved
    pickle: bool = False
    major: int = 5  # the major version of transformers whose modules it is for
    tied: bool = False  # PEFT merges into the output head as well, which then is another model


VARIANTS = [
    Variant("lora", "llama-gqa", dict(target_modules=["q_proj", "v_proj"])),
    Variant(
        "patterns",
        "llama-gqa",
        dict(
            target_modules="all-linear",
            use_rslora=True,
            rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.up_proj": 6, "^model.layers.0.self_attn.o_proj": 3},
            alpha_pattern={"down_proj": 9, "layers.0.self_attn.q_proj": 2.5},
        ),
    ),
    Variant("dora", "llama-gqa", dict(target_modules=ATTENTION + MLP, use_dora=True)),
    Variant("regex", "llama-gqa", dict(target_modules=r".*\.(q_proj|mlp\.(gate|down)_proj)"), pickle=True),
    Variant(
        "layers",
        "llama-gqa",
        dict(target_modules=["k_proj", "up_proj", "o_proj"], layers_to_transform=[1], layers_pattern="layers"),
        dtype=torch.bfloat16,
    ),
    Variant(
        "excluded",
        "llama-gqa",
        dict(target_modules=MLP, exclude_modules=r".*layers\.0\.mlp\.up_proj"),
        dtype=torch.float16,
    ),
    Variant("bias-all", "llama-bias", dict(target_modules=["q_proj", "down_proj"], bias="all")),
    Variant("bias-lora-only", "llama-bias", dict(target_modules=["q_proj", "up_proj"], bias="lora_only")),
    Variant("bias-dora", "llama-bias", dict(target_modules=["q_proj", "up_proj"], bias="all", use_dora=True)),
    Variant("lora-bias", "llama-bias", dict(target_modules=["v_proj", "down_proj"], lora_bias=True)),
    Variant(
        "saved",
        "llama-gqa",
        dict(target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens", "input_layernorm", "norm"]),
    ),
    Variant("saved-mlp", "llama-gqa", dict(target_modules=ATTENTION, modules_to_save=["up_proj"], r=2)),
    Variant("embedding", "llama-gqa", dict(target_modules=["embed_tokens", "lm_head", "k_proj"])),
    Variant("embedding-dora", "llama-gqa", dict(target_modules=["embed_tokens", "o_proj"], use_dora=True, r=2)),
    Variant("embedding-tied", "llama-tied", dict(target_modules=["embed_tokens", "o_proj"]), tied=True),
    Variant("conv1d", "gpt2", dict(target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    Variant(
        "conv1d-dora",
        "gpt2",
        dict(
            target_modules=["c_attn", "mlp.c_proj"],
            fan_in_fan_out=True,
            use_dora=True,
            bias="all",
            modules_to_save=["c_fc", "wpe"],
            r=2,
        ),
    ),
    Variant("grouped", "gpt-neox", dict(target_modules=["query_key_value", "dense", "dense_4h_to_h"])),
    Variant("grouped-dora", "gpt-neox", dict(target_modules=["query_key_value"], use_dora=True)),
    Variant("fused", "phi3", dict(target_modules=["qkv_proj", "gate_up_proj", "o_proj"])),
    Variant("shared-expert", "qwen2-moe", dict(target_modules=["q_proj", *(f"shared_expert.{m}" for m in MLP)])),
    Variant("experts", "mixtral", dict(target_modules=["q_proj", "gate", "w1", "w2", "w3"], r=2), major=4),
]

# Adapters of one model with their scales.
MIXTURES = [
    [("lora", 0.7), ("patterns", 0.3)],
    [("patterns", -0.5), ("dora", 1.25)],
    [("dora", 0.8), ("lora", 1.5)],
    [("saved", 0.5), ("regex", 2.0), ("layers", 1.0)],
]


# Adapters of models that are no decoders: what is merged into their checkpoints.
MERGED = {
    "bert": (
        AutoModelForSequenceClassification,
        "encoders/bert-sequences",
        dict(target_modules=["query", "attention.output.dense"], task_type="SEQ_CLS", bias="lora_only"),
    ),
    "t5": (
        AutoModelForSeq2SeqLM,
        "seq2seq/t5",
        dict(target_modules=["EncDecAttention.k", "EncDecAttention.v", "wo"], task_type="SEQ_2_SEQ_LM", use_dora=True),
    ),
    "bart": (
        AutoModelForSeq2SeqLM,
        "seq2seq/bart",
        dict(target_modules=r".*(encoder_attn\.[kv]_proj|fc1)", task_type="SEQ_2_SEQ_LM", lora_bias=True, use_rslora=True),
    ),
    "vit": (AutoModelForImageClassification, "vision/vit", dict(target_modules=["projection"], r=3)),
    "vit-layers": (
        AutoModelForImageClassification,
        "vision/vit",
        dict(target_modules=["q_proj", "k_proj", "fc2"], r=2, modules_to_save=["classifier"]),
    ),
    "deit-layers": (
        AutoModelForImageClassification,
        "vision/deit-classes",
        dict(target_modules=["v_proj", "o_proj", "fc1"], r=2, use_dora=True, bias="lora_only"),
    ),
}


def base_model(name):
    return AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32, attn_implementation="eager").eval()


def prompt(vocab):
    return torch.tensor([[1] + [(11 * i + 5) % vocab for i in range(TOKENS - 2)] + [vocab - 1]])


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits[0].float().contiguous()


def train(model, config, generator):
    """As if it had been trained: everything that may be trained is moved."""
    for name, parameter in model.named_parameters():
        bias = name.endswith("bias") and (config.bias != "none" or "lora_" in name)
        if "lora_" not in name and "modules_to_save" not in name and not bias:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        if "lora_A" in name or "lora_embedding_A" in name:
            parameter.data = 0.3 * noise
        elif "lora_magnitude" in name:
            parameter.data = parameter.data * (1 + 0.3 * noise)
        else:
            parameter.data = parameter.data + 0.2 * noise


def rounded(model, dtype):
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(dtype).to(torch.float32)


def save(model, directory, variant):
    shutil.rmtree(directory, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(directory, safe_serialization=not variant.pickle)
    (directory / "README.md").unlink(missing_ok=True)
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = variant.model
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # a set, in any order
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    if variant.dtype != torch.float32:
        path = directory / "adapter_model.safetensors"
        tensors = {name: tensor.to(variant.dtype) for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})


def reference_file(directory, tensors, **about):
    about |= dict(peft=peft.__version__, torch=torch.__version__, transformers=transformers.__version__)
    save_file(tensors, directory / "reference.safetensors", metadata=dict(reference=json.dumps(about, sort_keys=True)))


def make(variant, seed):
    base = base_model(variant.model)
    ids = prompt(base.config.vocab_size)
    plain = logits_of(base, ids)
    config = LoraConfig(**(dict(r=4, lora_alpha=6, lora_dropout=0.1, task_type="CAUSAL_LM") | variant.config))
    model = get_peft_model(base, config).eval()
    train(model, config, torch.Generator().manual_seed(seed))
    rounded(model, variant.dtype)
    directory = ADAPTERS / variant.name
    save(model, directory, variant)
    model = PeftModel.from_pretrained(base_model(variant.model), directory).eval()  # what is lost is lost here as well
    logits = logits_of(model, ids)
    effect = (logits - plain).abs().max().item()
    if not effect > LEAST_EFFECT:
        raise SystemExit(f"{variant.name}: the adapter changes the logits by {effect}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = logits_of(model.merge_and_unload(), ids)
    difference = (merged - logits).abs().max().item()
    tensors = dict(input_ids=ids[0], logits=logits)
    if not variant.tied:
        tensors["merged"] = merged
    reference_file(
        directory,
        tensors,
        model=variant.model,
        seed=seed,
        effect=effect,
        merged_difference=difference,
    )
    size = sum(file.stat().st_size for file in directory.iterdir())
    if size > MOST_BYTES:
        raise SystemExit(f"{variant.name}: {size} bytes")
    print(f"{variant.name:16} {size // 1000:4} kB  effect {effect:.2g}  merged {difference:.1g}")


def make_mixtures():
    tensors = {}
    for number, mixture in enumerate(MIXTURES):
        base = base_model("llama-gqa")
        ids = prompt(base.config.vocab_size)
        model = PeftModel.from_pretrained(base, ADAPTERS / mixture[0][0], adapter_name="0")
        for i, (name, _) in enumerate(mixture[1:], 1):
            model.load_adapter(ADAPTERS / name, adapter_name=str(i))
        model.base_model.set_adapter([str(i) for i in range(len(mixture))])
        for module in model.modules():
            if isinstance(module, peft.tuners.lora.LoraLayer):
                for i, (_, scale) in enumerate(mixture):
                    if str(i) in module.scaling:
                        module.set_scale(str(i), scale)
        tensors[f"logits.{number}"] = logits_of(model.eval(), ids)
        tensors["input_ids"] = ids[0]
    directory = ADAPTERS / "mixtures"
    directory.mkdir(exist_ok=True)
    reference_file(directory, tensors, mixtures=MIXTURES)


def neighbours(tensor, heads):
    """As llama.cpp's converter orders the rows of queries and keys."""
    rows, *rest = tensor.shape
    return tensor.reshape(heads, 2, rows // heads // 2, *rest).swapaxes(1, 2).reshape(tensor.shape)


def make_gguf(name):
    """The same adapter as llama.cpp's convert_lora_to_gguf.py writes it."""
    config = json.loads((ADAPTERS / name / "adapter_config.json").read_text())
    sizes = json.loads((MODELS / config["base_model_name_or_path"] / "config.json").read_text())
    directory = ADAPTERS / (name + "-gguf")
    directory.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(directory / "adapter.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, sizes["num_hidden_layers"])
    for key, tensor in sorted(load_file(ADAPTERS / name / "adapter_model.safetensors").items()):
        module, _, kind = key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".lora_")
        values = tensor.numpy()
        if kind == "B" and module.endswith("q_proj"):
            values = neighbours(values, sizes["num_attention_heads"])
        if kind == "B" and module.endswith("k_proj"):
            values = neighbours(values, sizes["num_key_value_heads"])
        values = numpy.ascontiguousarray(values)
        writer.add_tensor(f"{names.get_name(module)}.weight.lora_{kind.lower()}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_merged(name, seed):
    """The tensors that merging changes, as PEFT merges them."""
    kind, model, arguments = MERGED[name]
    base = kind.from_pretrained(ROOT / model, dtype=torch.float32)
    before = {key: tensor.float() for key, tensor in load_file(ROOT / model / "model.safetensors").items()}
    adapted = get_peft_model(base, LoraConfig(**(dict(r=4, lora_alpha=6) | arguments)))
    train(adapted, adapted.peft_config["default"], torch.Generator().manual_seed(seed))
    directory = ROOT / "merged" / name
    save(adapted, directory, Variant(name, model, arguments))
    reloaded = PeftModel.from_pretrained(kind.from_pretrained(ROOT / model, dtype=torch.float32), directory)
    with tempfile.TemporaryDirectory() as merged:  # where names are those of checkpoints, which modules may not have
        reloaded.eval().merge_and_unload().save_pretrained(merged)
        after = load_file(pathlib.Path(merged) / "model.safetensors")
    changed = {key: after[key].contiguous() for key in before if not torch.equal(before[key], after[key])}
    reference_file(directory, changed, model=model, seed=seed)
    print(f"{name:16} {sum(f.stat().st_size for f in directory.iterdir()) // 1000:4} kB  {len(changed)} tensors")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="only these")
    names = parser.parse_args().names
    torch.manual_seed(0)
    ADAPTERS.mkdir(exist_ok=True)
    for seed, variant in enumerate(VARIANTS):
        if variant.major == MAJOR and (not names or variant.name in names):
            make(variant, seed)
    for seed, name in enumerate(MERGED, 100):
        if MAJOR == 5 and (not names or name in names):
            make_merged(name, seed)
    if MAJOR == 5 and not names:
        make_mixtures()
        make_gguf("lora")


if __name__ == "__main__":
    main()
