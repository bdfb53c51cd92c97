#!/usr/bin/env python3
"""Makes the golden data in tests/fixtures/models: tiny random models of the Llama family and what they must compute.

Every fixture is a directory as `save_pretrained` of Hugging Face transformers writes it, plus `reference.safetensors`
with the prompt, the hidden states, the logits and a greedy continuation, all computed in float32 by transformers.
README.md beside this file describes the contents and how to run this script.

The script refuses to write a fixture that proves nothing. A fixture must
  * change by far more than the tolerance of the tests when the model is computed wrongly (other rope, other window,
    no mask, ...; see `wrong_models`),
  * be well conditioned: float64 arithmetic gives nearly the same numbers as float32,
  * have a greedy continuation without near ties and without the end-of-sequence token.
"""

import argparse
import contextlib
import copy
import dataclasses
import json
import math
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "models"
MAJOR = int(transformers.__version__.split(".")[0])

TEST_TOLERANCE = 2e-4  # what the tests allow between weft and the reference
LEAST_EFFECT = 100 * TEST_TOLERANCE  # a wrong model must differ by more than this
MOST_NOISE = TEST_TOLERANCE / 10  # float32 against float64
LEAST_MARGIN = 0.02  # between the best and the second best logit of every greedy step
LEAST_DISTINCT = 12  # different tokens in the greedy continuation
GREEDY_TOKENS = 32
MOST_BYTES = 1_000_000  # one directory


@dataclasses.dataclass(frozen=True)
class Variant:
    """One fixture. `config` holds what differs from the defaults of `make_config`."""

    name: str
    prompt: int
    config: dict
    family: str = "llama"
    major: int = 4  # the major version of transformers that saves it
    dtype: torch.dtype = torch.float32  # of the stored weights
    shard: str = "5GB"
    theta: float = 10000.0
    scaling: dict | None = None
    last_only: bool = False  # store the last hidden states and the logits of the last 8 positions only


def sizes(vocab, hidden, inner, layers, heads, kv_heads, **more):
    return dict(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        **more,
    )


def llama3(original):
    return dict(
        rope_type="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=original,
    )


GQA = sizes(97, 64, 80, 2, 8, 2)
MISTRAL = sizes(103, 32, 64, 4, 4, 2, sliding_window=16)

VARIANTS = [
    Variant("llama-mha", 50, sizes(128, 32, 80, 2, 4, 4)),
    Variant("llama-gqa", 75, GQA),
    Variant("llama-mqa", 70, sizes(128, 32, 64, 2, 4, 1)),
    Variant("llama-tied", 72, sizes(160, 32, 64, 3, 4, 2, tie_word_embeddings=True)),
    Variant("llama-head-dim", 70, sizes(113, 48, 72, 2, 4, 2, head_dim=16)),
    Variant("llama3-rope", 130, sizes(128, 48, 64, 2, 3, 1), theta=500000.0, scaling=llama3(64)),
    # "type" is the older spelling of "rope_type"; transformers saves both when it is given.
    Variant("llama-linear-rope", 70, sizes(128, 32, 64, 2, 2, 2), scaling=dict(type="linear", factor=4.0)),
    Variant("llama-bias", 70, sizes(128, 32, 64, 2, 4, 2, attention_bias=True, mlp_bias=True)),
    Variant("llama-bf16", 70, sizes(128, 64, 96, 2, 4, 2), dtype=torch.bfloat16),
    Variant("llama-f16", 70, sizes(128, 64, 96, 2, 4, 2), dtype=torch.float16),
    Variant("llama-sharded", 50, sizes(128, 32, 64, 4, 4, 2), shard="45KB"),
    Variant("llama-odd", 75, sizes(101, 30, 37, 3, 3, 1, head_dim=10, rms_norm_eps=2e-3)),
    Variant("llama-long", 300, sizes(128, 32, 64, 3, 4, 2, max_position_embeddings=512), last_only=True),
    Variant("mistral-window", 70, MISTRAL, family="mistral"),
    Variant("llama-v5", 75, GQA, major=5, theta=500000.0, scaling=llama3(256)),
    Variant("mistral-v5", 70, MISTRAL, family="mistral", major=5),
]

FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, modeling_llama),
    "mistral": (MistralConfig, MistralForCausalLM, modeling_mistral),
}


# ---- the models ------------------------------------------------------------------------------------------------------


def set_rope(config, theta, scaling):
    """Sets the rope of a config in the manner of the running version of transformers."""
    if MAJOR >= 5:
        config.rope_parameters = {"rope_theta": theta, **(scaling or {"rope_type": "default"})}
    else:
        config.rope_theta = theta
        config.rope_scaling = scaling


def make_config(variant):
    config_class = FAMILIES[variant.family][0]
    rope = dict(rope_theta=variant.theta)
    if MAJOR >= 5:
        rope = dict(rope_parameters={**rope, **(variant.scaling or {"rope_type": "default"})})
    elif variant.scaling:
        rope["rope_scaling"] = dict(variant.scaling)
    defaults = dict(max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False)
    return config_class(**{**defaults, **rope, **variant.config})


def spread(name, shape):
    """Standard deviation of a weight: activations of order one, attention scores of standard deviation two or so."""
    if name.endswith("bias"):
        return 0.3
    if "embed_tokens" in name:
        return 0.4
    gain = 1.0
    if "q_proj" in name or "k_proj" in name:
        gain = 1.4
    elif "gate_proj" in name or "up_proj" in name:
        gain = 1.2
    elif "lm_head" in name:
        gain = 2.0
    return gain / math.sqrt(shape[-1])


def fill_weights(model, seed):
    """Fills every parameter from one generator, in order of name, whatever transformers did when it built the model."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "norm" in name:
                weight.copy_(0.5 + torch.rand(weight.shape, generator=generator))
            else:
                weight.copy_(torch.randn(weight.shape, generator=generator) * spread(name, weight.shape))


def load(directory, variant, change=None):
    """The saved model in float32 with plain attention, with its config changed by `change`."""
    config_class, model_class, _ = FAMILIES[variant.family]
    config = config_class.from_pretrained(directory)
    if change:
        change(config)
    model = model_class.from_pretrained(directory, config=config, dtype=torch.float32, attn_implementation="eager")
    return model.float().eval()


def make_prompt(variant, seed):
    """Starts with the beginning-of-sequence token and holds the first and the last id of the vocabulary."""
    vocab = variant.config["vocab_size"]
    ids = torch.randint(3, vocab, (variant.prompt,), generator=torch.Generator().manual_seed(1000 + seed))
    ids[0], ids[5], ids[7] = 1, 0, vocab - 1
    return ids


# ---- what they compute -----------------------------------------------------------------------------------------------


@torch.no_grad()
def forward(model, ids, mask=None):
    """-> (hidden states: list of (tokens, hidden), logits (tokens, vocab))"""
    out = model(input_ids=ids[None], attention_mask=mask, output_hidden_states=True, use_cache=False)
    return [h[0] for h in out.hidden_states], out.logits[0]


@torch.no_grad()
def greedy(model, ids):
    """-> (the next GREEDY_TOKENS tokens by argmax over the whole sequence, the smallest margin met)"""
    sequence, margin = ids.clone(), math.inf
    for _ in range(GREEDY_TOKENS):
        logits = model(input_ids=sequence[None], use_cache=False).logits[0, -1]
        best = torch.topk(logits, 2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        sequence = torch.cat([sequence, best.indices[:1]])
    return sequence[len(ids) :], margin


def largest_difference(a, b):
    return (a.double() - b.double()).abs().max().item()


# ---- wrong on purpose ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replaced(module, name, function):
    original = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, original)


def rotate_neighbours(x):
    """The interleaved pairing of rope, which these checkpoints do not use."""
    return torch.stack((-x[..., 1::2], x[..., 0::2]), dim=-1).flatten(-2)


def tile_kv(states, count):
    """Maps query head h to key-value head h mod kv_heads; right is h div (heads / kv_heads)."""
    return states.repeat(1, count, 1, 1)


def set_window(window):
    def change(config):
        config.sliding_window = window

    return change


def set_theta(variant, theta, scaling):
    def change(config):
        set_rope(config, theta, copy.deepcopy(scaling))

    return change


def without_biases(model):
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.zero_()


def with_plain_norms(model):
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.data.fill_(1.0)


def wrong_models(directory, variant, ids):
    """Yields (name, logits) of models computed wrongly in one respect each."""
    module = FAMILIES[variant.family][2]
    right = load(directory, variant)

    def changed(change):
        return forward(load(directory, variant, change), ids)[1]

    def edited(edit):
        model = load(directory, variant)
        edit(model)
        return forward(model, ids)[1]

    yield "rope-theta", changed(set_theta(variant, variant.theta * 2, variant.scaling))
    with replaced(module, "rotate_half", rotate_neighbours):
        yield "rope-interleaved", forward(right, ids)[1]
    tokens = len(ids)
    yield "no-mask", forward(right, ids, torch.zeros(1, 1, tokens, tokens))[1]
    yield "gelu", changed(lambda config: setattr(config, "hidden_act", "gelu"))
    yield "norm-gains", edited(with_plain_norms)
    if 1 < variant.config["num_key_value_heads"] < variant.config["num_attention_heads"]:
        with replaced(module, "repeat_kv", tile_kv):
            yield "kv-heads", forward(right, ids)[1]
    if variant.scaling:
        yield "no-rope-scaling", changed(set_theta(variant, variant.theta, None))
        wrong_factor = {**variant.scaling, "factor": variant.scaling["factor"] * 2}
        yield "rope-factor", changed(set_theta(variant, variant.theta, wrong_factor))
    if variant.scaling and variant.scaling.get("rope_type") == "llama3":
        linear = dict(rope_type="linear", factor=variant.scaling["factor"])
        yield "linear-for-llama3", changed(set_theta(variant, variant.theta, linear))
    if variant.config.get("attention_bias"):
        yield "no-bias", edited(without_biases)
    if "rms_norm_eps" in variant.config:
        yield "norm-eps", changed(lambda config: setattr(config, "rms_norm_eps", 1e-5))
    if variant.family == "mistral":
        window = variant.config["sliding_window"]
        yield "no-window", changed(set_window(None))
        yield "window-minus-1", changed(set_window(window - 1))
        yield "window-plus-1", changed(set_window(window + 1))


def check_bands(variant):
    """A llama3 rope must have frequencies that are kept, blended and divided."""
    if not variant.scaling or variant.scaling.get("rope_type") != "llama3":
        return
    size = variant.config["hidden_size"] // variant.config["num_attention_heads"]
    context = variant.scaling["original_max_position_embeddings"]
    waves = [2 * math.pi * variant.theta ** (2 * i / size) for i in range(size // 2)]
    kept = sum(w < context / variant.scaling["high_freq_factor"] for w in waves)
    divided = sum(w > context / variant.scaling["low_freq_factor"] for w in waves)
    if not (kept and divided and len(waves) > kept + divided):
        raise SystemExit(f"{variant.name}: the rope has {kept} kept and {divided} divided of {len(waves)} frequencies")


# ---- one fixture -----------------------------------------------------------------------------------------------------


def save_model(variant, seed, directory):
    model = FAMILIES[variant.family][1](make_config(variant))
    fill_weights(model, seed)
    model.to(variant.dtype).save_pretrained(directory, max_shard_size=variant.shard)


def try_seed(variant, seed, directory):
    """Saves the model of this seed; -> (model, prompt, greedy ids, margin), or None where the seed does not serve."""
    shutil.rmtree(directory, ignore_errors=True)
    save_model(variant, seed, directory)
    model, ids = load(directory, variant), make_prompt(variant, seed)
    produced, margin = greedy(model, ids)
    distinct = len(set(produced.tolist()))
    if margin < LEAST_MARGIN or distinct < LEAST_DISTINCT or model.config.eos_token_id in produced.tolist():
        return None
    return model, ids, produced, margin


def check_model(variant, model, ids, hidden, logits, produced):
    """-> how far float64 arithmetic moves the numbers; also checks that the last hidden state feeds the output head."""
    head = model.lm_head(hidden[-1]).detach()
    if largest_difference(head, logits) > 1e-5:
        raise SystemExit(f"{variant.name}: the last hidden state is not the input of the output head")
    double = load(model.name_or_path, variant).double()
    double_hidden, double_logits = forward(double, ids)
    pairs = list(zip(hidden, double_hidden, strict=True)) + [(logits, double_logits)]
    noise = max(largest_difference(a, b) for a, b in pairs)
    if noise > MOST_NOISE:
        raise SystemExit(f"{variant.name}: float32 and float64 differ by {noise:.1e}")
    if not torch.equal(greedy(double, ids)[0], produced):
        raise SystemExit(f"{variant.name}: float64 continues in another way")
    return noise


def check_effects(directory, variant, ids, logits):
    effects = {name: largest_difference(wrong, logits) for name, wrong in wrong_models(directory, variant, ids)}
    for name, effect in effects.items():
        if not effect > LEAST_EFFECT:
            raise SystemExit(f"{variant.name}: the wrong model '{name}' differs by {effect:.1e} only")
    return effects


def make_fixture(variant):
    check_bands(variant)
    directory = FIXTURES / variant.name
    seed, found = 0, None
    while found is None:
        seed += 1
        found = try_seed(variant, seed, directory)
    model, ids, produced, margin = found
    hidden, logits = forward(model, ids)
    noise = check_model(variant, model, ids, hidden, logits, produced)
    effects = check_effects(directory, variant, ids, logits)

    tensors = {"input_ids": ids, "greedy_ids": produced}
    last = len(hidden) - 1
    for layer, states in enumerate(hidden):
        if layer == last or not variant.last_only:
            tensors[f"hidden_states.{layer}"] = states.contiguous()
    tensors["logits"] = logits[-8:].contiguous() if variant.last_only else logits.contiguous()
    about = dict(
        transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0],
        seed=seed,
        greedy_margin=round(margin, 5),
        float64_difference=float(f"{noise:.1e}"),
        first_logits_position=len(ids) - len(tensors["logits"]),
        wrong_model_difference={name: float(f"{effect:.2g}") for name, effect in effects.items()},
    )
    # One entry only: the order of several is not fixed, and the same run must give the same bytes.
    save_file(tensors, directory / "reference.safetensors", metadata={"reference": json.dumps(about)})
    for path in directory.iterdir():
        path.chmod(0o644)
    report(variant, directory, about, hidden, logits)


def report(variant, directory, about, hidden, logits):
    size = sum(path.stat().st_size for path in directory.iterdir())
    if size > MOST_BYTES:
        raise SystemExit(f"{variant.name}: {size} bytes are too many")
    effects = about["wrong_model_difference"]
    weakest = min(effects, key=effects.get)
    print(
        f"{variant.name:18} {size / 1000:6.0f} kB  seed {about['seed']:3}  margin {about['greedy_margin']:.3f}  "
        f"float64 {about['float64_difference']:.0e}  "
        f"hidden rms {hidden[0].square().mean().sqrt():.2f} to {hidden[-2].square().mean().sqrt():.2f}, "
        f"most {max(h.abs().max().item() for h in hidden):.1f}  logits std {logits.std():.2f}  "
        f"weakest: {weakest} {effects[weakest]:.3f}",
        flush=True,
    )
    print("    " + ", ".join(f"{name} {effect}" for name, effect in effects.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="fixtures to make; by default all of this transformers")
    wanted = parser.parse_args().names
    unknown = set(wanted) - {v.name for v in VARIANTS}
    if unknown:
        sys.exit(f"no such fixture: {', '.join(sorted(unknown))}")
    chosen = [v for v in VARIANTS if v.name in wanted] if wanted else [v for v in VARIANTS if v.major == MAJOR]
    for variant in chosen:
        if variant.major != MAJOR:
            sys.exit(f"{variant.name} needs transformers {variant.major}.x; this is {transformers.__version__}")

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for variant in chosen:
        make_fixture(variant)


if __name__ == "__main__":
    main()
