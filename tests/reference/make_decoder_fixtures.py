#!/usr/bin/env python3
"""Makes golden data in tests/fixtures/models for the families of decoders beside Llama: tiny random models and what
they must compute, in the format that README.md beside this file describes.

A fixture is refused where it proves little: float64 must give nearly the same numbers, the greedy continuation must
have no near ties, and every parameter of the model and every choice in `wrong` must matter: without it the logits
change by far more than the tests allow.
"""

import argparse
import dataclasses
import json
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from make_llama_fixtures import FIXTURES, LEAST_DISTINCT, LEAST_EFFECT, LEAST_MARGIN, MAJOR, MOST_NOISE
from make_llama_fixtures import forward, greedy, largest_difference

MOST_BYTES = 200_000  # one directory


@dataclasses.dataclass(frozen=True)
class Variant:
    """One fixture: a model_type with its config, and changes of the config that must change what it computes."""

    name: str
    family: str
    config: dict
    wrong: dict = dataclasses.field(default_factory=dict)
    prompt: int = 30
    major: int = 5  # the major version of transformers that saves it
    embedding: float = 0.4  # standard deviation of the embedding


def sizes(vocab=96, hidden=32, inner=48, layers=2, heads=4, kv_heads=2, **more):
    return dict(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
        tie_word_embeddings=False,
        **more,
    )


def rope(theta=10000.0, **more):
    return dict(rope_parameters=dict(rope_theta=theta, rope_type=more.pop("rope_type", "default"), **more))


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


def falcon_sizes(**more):
    config = without(sizes(ffn_hidden_size=48), "num_key_value_heads", "intermediate_size")
    return config | dict(tie_word_embeddings=True) | more


def scaled_rope(kind, theta=10000.0, **more):
    return rope(theta, rope_type=kind, original_max_position_embeddings=32, **more)


def gpt_sizes(**more):
    return dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=128, bos_token_id=1, eos_token_id=2, **more)


LONG = dict(short_factor=[1.0, 1.1, 1.3, 1.5, 2.0, 2.5], long_factor=[1.0, 1.5, 2.0, 3.0, 5.0, 8.0])
MOE = dict(num_experts_per_tok=2, moe_intermediate_size=24, num_experts=4)
GEMMA3_ROPE = dict(
    full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
    sliding_attention=dict(rope_type="default", rope_theta=1e4),
)
GEMMA3_SWAPPED = dict(
    full_attention=GEMMA3_ROPE["sliding_attention"], sliding_attention=GEMMA3_ROPE["full_attention"]
)
ALTERNATING = ["sliding_attention", "full_attention"]

VARIANTS = [
    Variant("qwen2", "qwen2", sizes(**rope(1e6)), wrong=dict(theta=rope(1e4))),
    Variant(
        "qwen2-window",
        "qwen2",
        sizes(layers=3, use_sliding_window=True, sliding_window=8, max_window_layers=1, **rope()),
        wrong=dict(
            window=dict(sliding_window=9),
            everywhere=dict(layer_types=["sliding_attention"] * 3),
            nowhere=dict(layer_types=["full_attention"] * 3),
        ),
    ),
    Variant(
        "qwen2-yarn",
        "qwen2",
        sizes(hidden=48, heads=3, kv_heads=1, **scaled_rope("yarn", factor=4.0)),
        wrong=dict(none=rope(), factor=scaled_rope("yarn", factor=8.0)),
        prompt=60,
    ),
    Variant("qwen3", "qwen3", sizes(head_dim=12, **rope(1e6)), wrong=dict(theta=rope(1e4))),
    Variant("gemma", "gemma", sizes(head_dim=12, **rope()) | dict(tie_word_embeddings=True), embedding=0.2),
    Variant(
        "gemma2",
        "gemma2",
        sizes(
            head_dim=12,
            sliding_window=8,
            attn_logit_softcapping=3.0,
            final_logit_softcapping=5.0,
            query_pre_attn_scalar=20,
            **rope(),
        )
        | dict(tie_word_embeddings=True),
        wrong=dict(
            attention_cap=dict(attn_logit_softcapping=None),
            logit_cap=dict(final_logit_softcapping=None),
            scale=dict(query_pre_attn_scalar=12),
            window=dict(sliding_window=9),
            order=dict(layer_types=ALTERNATING[::-1]),
        ),
        embedding=0.2,
    ),
    Variant(
        "gemma3",
        "gemma3_text",
        sizes(
            layers=3,
            head_dim=12,
            sliding_window=8,
            query_pre_attn_scalar=20,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters=GEMMA3_ROPE,
        )
        | dict(tie_word_embeddings=True),
        wrong=dict(
            scale=dict(query_pre_attn_scalar=12),
            window=dict(sliding_window=9),
            order=dict(layer_types=ALTERNATING[::-1] + ["full_attention"]),
            ropes=dict(rope_parameters=GEMMA3_SWAPPED),
        ),
        embedding=0.2,
    ),
    Variant(
        "phi3",
        "phi3",
        sizes(sliding_window=8, original_max_position_embeddings=128, **rope()),
        wrong=dict(window=dict(sliding_window=9)),
    ),
    Variant(
        "phi3-long",
        "phi3",
        sizes(heads=2, kv_heads=1, original_max_position_embeddings=32)
        | scaled_rope("longrope", partial_rotary_factor=0.75, **LONG),
        wrong=dict(
            short=scaled_rope("longrope", partial_rotary_factor=0.75, **(LONG | dict(long_factor=LONG["short_factor"]))),
            none=rope(partial_rotary_factor=0.75),
        ),
        prompt=60,
    ),
    Variant(
        "gpt2",
        "gpt2",
        gpt_sizes(n_inner=48),
        wrong=dict(scale=dict(scale_attn_weights=False)),
    ),
    Variant(
        "gpt2-layer-scales",
        "gpt2",
        gpt_sizes(scale_attn_by_inverse_layer_idx=True) | dict(n_layer=3, n_embd=24),
        wrong=dict(scale=dict(scale_attn_by_inverse_layer_idx=False)),
    ),
    Variant(
        "gpt-neox",
        "gpt_neox",
        without(sizes(heads=2, hidden_act="gelu", **rope(partial_rotary_factor=0.25)), "num_key_value_heads"),
        wrong=dict(
            rotary=rope(partial_rotary_factor=0.5),
            sequential=dict(use_parallel_residual=False),
        ),
    ),
    Variant(
        "gpt-neox-sequential",
        "gpt_neox",
        without(
            sizes(heads=2, use_parallel_residual=False, attention_bias=False, **rope(partial_rotary_factor=1.0)),
            "num_key_value_heads",
        ),
    ),
    Variant("phi", "phi", sizes(heads=2, kv_heads=1, **rope(partial_rotary_factor=0.5))),
    Variant(
        "mixtral",
        "mixtral",
        sizes(num_experts_per_tok=2, num_local_experts=4, **rope(1e6)),
        wrong=dict(experts=dict(num_experts_per_tok=3)),
    ),
    Variant(
        "qwen2-moe",
        "qwen2_moe",
        sizes(layers=3, shared_expert_intermediate_size=40, mlp_only_layers=[1], **MOE, **rope()),
        wrong=dict(experts=dict(num_experts_per_tok=3), normalised=dict(norm_topk_prob=True)),
    ),
    Variant(
        "qwen3-moe",
        "qwen3_moe",
        sizes(head_dim=12, decoder_sparse_step=2, norm_topk_prob=True, **MOE, **rope()),
        wrong=dict(experts=dict(num_experts_per_tok=3), normalised=dict(norm_topk_prob=False)),
    ),
    Variant("olmo", "olmo", sizes(clip_qkv=0.7, **rope()), wrong=dict(clip=dict(clip_qkv=None))),
    Variant("olmo2", "olmo2", sizes(**rope())),
    Variant(
        "olmoe",
        "olmoe",
        sizes(num_experts_per_tok=2, num_experts=4, clip_qkv=0.9, **rope()),
        wrong=dict(clip=dict(clip_qkv=None)),
    ),
    Variant(
        "smollm3",
        "smollm3",
        sizes(layers=4, use_sliding_window=True, sliding_window=8, **rope(5e3)),
        wrong=dict(
            rotated=dict(no_rope_layers=[1] * 4),
            order=dict(no_rope_layers=[0, 1, 1, 1]),
            window=dict(layer_types=["full_attention"] * 4),
        ),
    ),
    Variant("stablelm", "stablelm", sizes(heads=2, kv_heads=1, use_qkv_bias=True, **rope(partial_rotary_factor=0.25))),
    Variant(
        "stablelm-parallel",
        "stablelm",
        sizes(heads=2, kv_heads=2, use_parallel_residual=True, **rope(partial_rotary_factor=0.5)),
    ),
    Variant(
        "stablelm-head-norms",
        "stablelm",
        sizes(qk_layernorm=True, use_parallel_residual=True, **rope(partial_rotary_factor=0.5)),
        wrong=dict(none=dict(qk_layernorm=False)),
    ),
    Variant(
        "granite",
        "granite",
        sizes(embedding_multiplier=1.5, attention_multiplier=0.6, residual_multiplier=0.5, logits_scaling=0.8, **rope()),
        wrong=dict(
            embedding=dict(embedding_multiplier=1.0),
            scores=dict(attention_multiplier=8**-0.5),
            residual=dict(residual_multiplier=1.0),
            logits=dict(logits_scaling=1.0),
        ),
    ),
    Variant("gptj", "gptj", gpt_sizes(n_inner=48, rotary_dim=4), wrong=dict(rotary=dict(rotary_dim=8))),
    Variant(
        "gpt-neo",
        "gpt_neo",
        dict(
            vocab_size=96,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            intermediate_size=48,
            attention_types=[[["global", "local"], 1]],
            window_size=8,
            max_position_embeddings=128,
            bos_token_id=1,
            eos_token_id=2,
        ),
        wrong=dict(order=dict(attention_layers=["local", "global"]), window=dict(window_size=9)),
    ),
    Variant(
        "opt",
        "opt",
        dict(
            vocab_size=96,
            hidden_size=32,
            word_embed_proj_dim=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            bos_token_id=1,
            eos_token_id=2,
        ),
    ),
    Variant(
        "opt-350m",
        "opt",
        dict(
            vocab_size=96,
            hidden_size=32,
            word_embed_proj_dim=20,
            do_layer_norm_before=False,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            bos_token_id=1,
            eos_token_id=2,
        ),
    ),
    Variant(
        "opt-unnormed",
        "opt",
        dict(
            vocab_size=96,
            hidden_size=32,
            word_embed_proj_dim=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            bos_token_id=1,
            eos_token_id=2,
            _remove_final_layer_norm=True,
        ),
    ),
    Variant(
        "bloom",
        "bloom",
        dict(vocab_size=96, hidden_size=36, n_layer=2, n_head=6, bos_token_id=1, eos_token_id=2),
    ),
    Variant("falcon", "falcon", falcon_sizes(multi_query=True, parallel_attn=True, **rope())),
    Variant("falcon-grouped", "falcon", falcon_sizes(num_kv_heads=2, new_decoder_architecture=True, **rope())),
    Variant(
        "falcon-one-norm",
        "falcon",
        falcon_sizes(num_kv_heads=2, new_decoder_architecture=True, num_ln_in_parallel_attn=1, **rope()),
    ),
    Variant(
        "falcon-alibi",
        "falcon",
        falcon_sizes(multi_query=False, parallel_attn=False, alibi=True, bias=True),
    ),
    Variant(
        "mpt",
        "mpt",
        dict(
            vocab_size=96,
            d_model=36,
            n_heads=6,
            n_layers=2,
            expansion_ratio=4,
            max_seq_len=128,
            attn_config=dict(clip_qkv=0.8, alibi_bias_max=8),
            bos_token_id=1,
            eos_token_id=2,
        ),
    ),
]


def make_config(variant):
    return AutoConfig.for_model(variant.family, **variant.config)


def spread(variant, name, parameter):
    """Standard deviation of a weight: activations of order one."""
    if name.endswith("bias"):
        return 0.3
    if any(word in name for word in ("embed", "wte", "wpe")):
        return variant.embedding
    gain = 2.0 if any(word in name for word in ("lm_head", "embed_out", "router", "mlp.gate.", "block_sparse_moe.gate")) else 1.2
    conv1d = variant.family == "gpt2"
    return gain / parameter.shape[0 if conv1d and parameter.dim() == 2 else -1] ** 0.5


def is_norm(name, parameter):
    return parameter.dim() == 1 and name.endswith("weight")


def fill_weights(variant, model, seed):
    """Fills every parameter from one generator, in order of name."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if is_norm(name, parameter):
                # Before an output head that is the embedding, signs keep tokens from predicting themselves.
                last = not any(c.isdigit() for c in name) and "embed" not in name and model.config.tie_word_embeddings
                gains = torch.randn if last else lambda *a, **k: 0.5 + torch.rand(*a, **k)
                less = 1.0 if variant.family.startswith("gemma") else 0.0
                parameter.copy_(gains(parameter.shape, generator=generator) - less)
            else:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise * spread(variant, name, parameter))


def load(directory, change=None):
    """The saved model in float32 with plain attention, with some keys of its config changed."""
    config = AutoConfig.from_pretrained(directory)
    for key, value in (change or {}).items():
        setattr(config, key, value)
    # Falcon's plain attention adds ALiBi twice (transformers 5.23), its other one does not.
    attention = "sdpa" if config.model_type == "falcon" else "eager"
    options = dict(dtype=torch.float32, attn_implementation=attention)
    if MAJOR >= 5:
        options["experts_implementation"] = "eager"
    return AutoModelForCausalLM.from_pretrained(directory, config=config, **options).float().eval()


def make_prompt(variant, seed):
    vocab = variant.config["vocab_size"]
    ids = torch.randint(3, vocab, (variant.prompt,), generator=torch.Generator().manual_seed(1000 + seed))
    ids[0], ids[5], ids[7] = 1, 0, vocab - 1
    return ids


def try_seed(variant, seed, directory):
    """-> (model, prompt, greedy ids, margin), or None where the seed does not serve."""
    shutil.rmtree(directory, ignore_errors=True)
    model = AutoModelForCausalLM.from_config(make_config(variant))
    fill_weights(variant, model, seed)
    model.half().save_pretrained(directory)
    model, ids = load(directory), make_prompt(variant, seed)
    produced, margin = greedy(model, ids)
    if margin < LEAST_MARGIN or len(set(produced.tolist())) < LEAST_DISTINCT or 2 in produced.tolist():
        return None
    return model, ids, produced, margin


def check_noise(variant, directory, ids, hidden, logits, produced):
    """-> how far float64 arithmetic moves the numbers."""
    double = load(directory).double()
    double_hidden, double_logits = forward(double, ids)
    pairs = list(zip(hidden, double_hidden, strict=True)) + [(logits, double_logits)]
    noise = max(largest_difference(a, b) for a, b in pairs)
    if noise > MOST_NOISE:
        raise SystemExit(f"{variant.name}: float32 and float64 differ by {noise:.1e}")
    if not torch.equal(greedy(double, ids)[0], produced):
        raise SystemExit(f"{variant.name}: float64 continues in another way")
    return noise


@torch.no_grad()
def effects_of(variant, directory, ids, logits):
    """How far the logits move when a choice is changed, or a parameter is neutral."""
    effects = {}
    for name, change in variant.wrong.items():
        effects[name] = largest_difference(forward(load(directory, change), ids)[1], logits)
    model = load(directory)
    for name, parameter in model.named_parameters():
        kept = parameter.clone()
        if is_norm(name, parameter):
            parameter.fill_(parameter.mean())
        else:
            parameter.copy_(parameter.flatten().roll(1).reshape(parameter.shape))
        effects[name] = largest_difference(forward(model, ids)[1], logits)
        parameter.copy_(kept)
    # The bias of keys adds the same to all scores of a query.
    return {name: effect for name, effect in effects.items() if "k_proj.bias" not in name}


def make_fixture(variant):
    directory = FIXTURES / variant.name
    seed, found = 0, None
    while found is None:
        seed += 1
        found = try_seed(variant, seed, directory)
    model, ids, produced, margin = found
    hidden, logits = forward(model, ids)
    noise = check_noise(variant, directory, ids, hidden, logits, produced)
    effects = effects_of(variant, directory, ids, logits)
    for name, effect in effects.items():
        if not effect > LEAST_EFFECT:
            raise SystemExit(f"{variant.name}: the wrong model '{name}' differs by {effect:.1e} only")

    tensors = {"input_ids": ids, "greedy_ids": produced, "logits": logits.contiguous()}
    for layer, states in enumerate(hidden):
        if states.shape == hidden[0].shape:  # OPT-350m projects the last
            tensors[f"hidden_states.{layer}"] = states.contiguous()
    weakest = min(effects, key=effects.get)
    about = dict(
        transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0],
        seed=seed,
        greedy_margin=round(margin, 5),
        float64_difference=float(f"{noise:.1e}"),
        first_logits_position=0,
        wrong_model_difference={name: float(f"{effects[name]:.2g}") for name in [*variant.wrong, weakest]},
    )
    save_file(tensors, directory / "reference.safetensors", metadata={"reference": json.dumps(about)})
    for path in directory.iterdir():
        path.chmod(0o644)
    size = sum(path.stat().st_size for path in directory.iterdir())
    if size > MOST_BYTES:
        raise SystemExit(f"{variant.name}: {size} bytes are too many")
    print(f"{variant.name:18} {size / 1000:4.0f} kB  seed {seed}  margin {margin:.3f}  float64 {noise:.0e}  "
          f"logits std {logits.std():.2f}  most {max(h.abs().max() for h in hidden):.1f}  "
          f"weakest: {weakest} {effects[weakest]:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="fixtures to make; by default all of this transformers")
    wanted = parser.parse_args().names
    unknown = set(wanted) - {v.name for v in VARIANTS}
    if unknown:
        sys.exit(f"no such fixture: {', '.join(sorted(unknown))}")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for variant in VARIANTS:
        if variant.name in wanted or (not wanted and variant.major == MAJOR):
            make_fixture(variant)


if __name__ == "__main__":
    main()
