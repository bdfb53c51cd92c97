#!/usr/bin/env python3
"""A tiny model of every family of decoders that llama.cpp and weft both have, in a GGUF file as llama.cpp's converter
writes it, and what transformers computes with it.

Usage: make_gguf_decoder_fixtures.py LLAMA_CPP [NAME...]

LLAMA_CPP is a checkout of llama.cpp with its converter and its gguf package. Writes NAME.gguf (float16 matrices, no
vocabulary) and NAME.safetensors (input_ids, and the logits of the last positions, computed in float32 from the weights
as stored) to tests/fixtures/gguf/decoders. Sizes are those that the converter takes for granted where it writes a number
that config.json does not have.
"""

import dataclasses
import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from make_decoder_fixtures import GEMMA3_ROPE, LONG, MOE, Variant, effects_of, falcon_sizes, fill_weights, gpt_sizes
from make_decoder_fixtures import load, make_config, make_prompt, rope, scaled_rope, sizes, without
from make_llama_fixtures import FIXTURES, LEAST_EFFECT, forward

sys.path[:0] = [sys.argv[1], str(pathlib.Path(sys.argv[1]) / "gguf-py")]
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class  # noqa: E402
from gguf import LlamaFileType  # noqa: E402

OUT = FIXTURES.parent / "gguf" / "decoders"
VOCAB, KEPT = 64, 8


@dataclasses.dataclass(frozen=True)
class GgufVariant(Variant):
    """`as_before` is what config.json said when the converter was written for the family, `more` metadata that other
    files have."""

    as_before: dict = dataclasses.field(default_factory=dict)
    more: dict = dataclasses.field(default_factory=dict)


def variant(name, family, config, as_before=None, more=None, prompt=20, **rest):
    return GgufVariant(name, family, config | dict(vocab_size=VOCAB), prompt=prompt, as_before=as_before or {},
                       more=more or {}, **rest)


def gemma_sizes(**more):
    return sizes(head_dim=12, **more) | dict(tie_word_embeddings=True)


NEOX = without(sizes(heads=2, hidden_act="gelu", **rope(partial_rotary_factor=0.25)), "num_key_value_heads")
VARIANTS = [
    variant("llama", "llama", sizes(head_dim=12, attention_bias=True, mlp_bias=True, **rope())),
    variant("mixtral", "mixtral", sizes(inner=24, num_experts_per_tok=2, num_local_experts=4, **rope(1e6))),
    variant(
        "granite",
        "granite",
        sizes(embedding_multiplier=3.0, attention_multiplier=0.6, residual_multiplier=0.7, logits_scaling=0.7,
              **rope()),
    ),
    variant("smollm3", "smollm3", sizes(layers=4, **rope()) | dict(tie_word_embeddings=True)),
    variant("qwen2", "qwen2", sizes(**rope(1e6))),
    variant("qwen2-yarn", "qwen2", sizes(**scaled_rope("yarn", factor=4.0)), prompt=60),
    variant("qwen2-moe", "qwen2_moe", sizes(shared_expert_intermediate_size=40, **MOE, **rope())),
    variant("qwen3", "qwen3", sizes(head_dim=12, **rope(1e6))),
    variant("qwen3-moe", "qwen3_moe", sizes(head_dim=12, norm_topk_prob=True, **MOE, **rope())),
    variant("gemma", "gemma", gemma_sizes(**rope()), embedding=0.2),
    variant(
        "gemma2",
        "gemma2",
        gemma_sizes(sliding_window=8, attn_logit_softcapping=3.0, final_logit_softcapping=5.0,
                    query_pre_attn_scalar=12, **rope()),
        embedding=0.2,
    ),
    variant(
        "gemma3",
        "gemma3_text",
        gemma_sizes(layers=3, sliding_window=8, query_pre_attn_scalar=12, rope_parameters=GEMMA3_ROPE,
                    layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
        more={"gemma3.attention.sliding_window_pattern": 2},
        embedding=0.2,
    ),
    variant("phi", "phi", sizes(inner=128, heads=2, kv_heads=2, **rope(partial_rotary_factor=0.5))),
    variant("phi3", "phi3", sizes(sliding_window=8, original_max_position_embeddings=128, **rope())),
    variant(
        "phi3-long",
        "phi3",
        sizes(heads=2, kv_heads=1, original_max_position_embeddings=32)
        | scaled_rope("longrope", partial_rotary_factor=0.75, **LONG),
        prompt=60,
    ),
    variant("olmo", "olmo", sizes(clip_qkv=0.7, **rope())),
    variant("olmo2", "olmo2", sizes(**rope())),
    variant("olmoe", "olmoe", sizes(inner=24, kv_heads=4, num_experts_per_tok=2, num_experts=4, **rope())),
    variant("stablelm", "stablelm", sizes(heads=2, kv_heads=1, use_qkv_bias=True, **rope(partial_rotary_factor=0.25))),
    variant(
        "stablelm-parallel",
        "stablelm",
        sizes(heads=2, kv_heads=2, use_parallel_residual=True, **rope(partial_rotary_factor=0.5)),
    ),
    variant("gpt-neox", "gpt_neox", NEOX, as_before=dict(rotary_pct=0.25)),
    variant(
        "gpt-neox-sequential", "gpt_neox", NEOX | dict(use_parallel_residual=False), as_before=dict(rotary_pct=0.25)
    ),
    variant(
        "falcon",
        "falcon",
        falcon_sizes(ffn_hidden_size=128, multi_query=True, parallel_attn=True, **rope()),
        as_before=dict(num_kv_heads=1),
    ),
    variant(
        "falcon-grouped",
        "falcon",
        falcon_sizes(ffn_hidden_size=128, num_kv_heads=2, new_decoder_architecture=True, **rope()),
    ),
    variant("gpt2", "gpt2", gpt_sizes(n_inner=128), as_before=dict(n_ctx=128)),
    variant("bloom", "bloom", dict(hidden_size=30, n_layer=2, n_head=6, bos_token_id=1, eos_token_id=2)),
    variant(
        "mpt",
        "mpt",
        dict(d_model=30, n_heads=6, n_layers=2, expansion_ratio=4, max_seq_len=128, bos_token_id=1, eos_token_id=2,
             attn_config=dict(clip_qkv=0.8, alibi_bias_max=8)),
        as_before=dict(architectures=["MPTForCausalLM"]),
    ),
]


def set_no_vocabulary(self):
    self.gguf_writer.add_tokenizer_model("none")


def convert(variant, directory, out):
    hparams = ModelBase.load_hparams(directory, False) | variant.as_before
    base = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    body = {"set_vocab": set_no_vocabulary, "model_arch": base.model_arch}
    converter = type(base.__name__, (base,), body)(directory, LlamaFileType.MOSTLY_F16, out, hparams=hparams)
    for key, value in variant.more.items():
        converter.gguf_writer.add_uint32(key, value)
    converter.write()


@torch.no_grad()
def make_fixture(variant):
    with tempfile.TemporaryDirectory() as parent:
        directory = pathlib.Path(parent) / "tiny"  # the converter writes the name down
        model = AutoModelForCausalLM.from_config(make_config(variant))
        fill_weights(variant, model, 1)
        model.half().float().save_pretrained(directory)  # what is added to gains is added in float32
        # Gemma 3's converter counts the words of this file.
        words = {"model": {"vocab": {str(i): i for i in range(VOCAB)}}, "added_tokens": []}
        (directory / "tokenizer.json").write_text(json.dumps(words))
        ids = make_prompt(variant, 1)
        logits = forward(load(directory), ids)[1]
        effects = effects_of(variant, directory, ids, logits)
        weakest = min(effects, key=effects.get)
        if not effects[weakest] > LEAST_EFFECT:
            raise SystemExit(f"{variant.name}: {weakest} moves the logits by {effects[weakest]:.1e} alone")
        convert(variant, directory, OUT / f"{variant.name}.gguf")
    save_file({"input_ids": ids, "logits": logits[-KEPT:].contiguous()}, OUT / f"{variant.name}.safetensors")


def main():
    OUT.mkdir(exist_ok=True)
    names = sys.argv[2:]
    for each in VARIANTS:
        if not names or each.name in names:
            make_fixture(each)


main()
