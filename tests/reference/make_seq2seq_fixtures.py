#!/usr/bin/env python3
"""Makes golden data in tests/fixtures/seq2seq: tiny random encoder-decoders and what they must compute, in the format
that README.md beside this file describes.

A fixture is refused where it proves little: float64 must give nearly the same numbers, a padded batch of the reference
must give what each source gives alone, greedy choices must be clear, and every parameter of the model must matter:
without it what the model says changes by far more than the tests allow.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file

from make_llama_fixtures import LEAST_EFFECT, LEAST_MARGIN, MOST_NOISE, largest_difference

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "seq2seq"
MOST_BYTES = 120_000  # one directory
NEW_TOKENS = 12
LEAST_DISTINCT = 6  # different tokens in the greedy texts


@dataclasses.dataclass(frozen=True)
class Variant:
    """One fixture: a class of transformers with its config, and what generation_config.json says beside the usual."""

    name: str
    model_class: str
    config: dict = dataclasses.field(default_factory=dict)
    generation: dict = dataclasses.field(default_factory=dict)
    lengths: tuple = (11, 5, 8)
    target_lengths: tuple = (6, 9, 4)
    dtype: torch.dtype = torch.float16  # of the stored weights
    all_layers: bool = False  # keep the hidden states of every layer


def t5(layers=1, **more):
    return dict(
        vocab_size=48,
        d_model=24,
        d_kv=8,
        num_heads=4,
        d_ff=40,
        num_layers=layers,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    ) | more


def bart(layers=1, **more):
    return dict(
        vocab_size=48,
        d_model=24,
        encoder_layers=layers,
        decoder_layers=layers + 1,
        encoder_attention_heads=3,
        decoder_attention_heads=4,
        encoder_ffn_dim=40,
        decoder_ffn_dim=36,
        max_position_embeddings=32,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    ) | more


def marian(layers=1, **more):
    return bart(layers, activation_function="swish", scale_embedding=True) | dict(
        pad_token_id=47, eos_token_id=0, bos_token_id=None, decoder_start_token_id=47, forced_eos_token_id=0
    ) | more


VARIANTS = [
    Variant("t5", "T5ForConditionalGeneration", t5(2, num_decoder_layers=3), all_layers=True),
    Variant("t5-gated", "T5ForConditionalGeneration", t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
    Variant("t5-silu", "T5ForConditionalGeneration", t5(feed_forward_proj="gated-silu"), dtype=torch.bfloat16),
    Variant("t5-long", "T5ForConditionalGeneration", t5(), lengths=(150, 4), target_lengths=(140, 5)),
    Variant("t5-buckets", "T5ForConditionalGeneration",
            t5(relative_attention_num_buckets=8, relative_attention_max_distance=20), lengths=(40, 9), target_lengths=(30, 3),
            dtype=torch.float32),
    Variant("mt5", "MT5ForConditionalGeneration", t5(2, num_decoder_layers=1), all_layers=True),
    Variant("bart", "BartForConditionalGeneration", bart(2), all_layers=True),
    Variant("bart-bf16", "BartForConditionalGeneration", bart(scale_embedding=True, activation_function="gelu_new"),
            dtype=torch.bfloat16, generation=dict(forced_bos_token_id=0)),
    Variant("bart-unrepeated", "BartForConditionalGeneration", bart(), generation=dict(no_repeat_ngram_size=2, min_length=7)),
    Variant("bart-untied", "BartForConditionalGeneration", bart(tie_word_embeddings=False)),
    Variant("mbart", "MBartForConditionalGeneration", bart(2, scale_embedding=True), all_layers=True,
            generation=dict(forced_bos_token_id=40)),
    Variant("marian", "MarianMTModel", marian(2), all_layers=True, generation=dict(bad_words_ids=[[47], [5, 6]])),
    Variant("marian-separate", "MarianMTModel",
            marian(share_encoder_decoder_embeddings=False, decoder_vocab_size=50, tie_word_embeddings=True)),
    Variant("m2m-100", "M2M100ForConditionalGeneration", bart(2, activation_function="relu", scale_embedding=True),
            all_layers=True, generation=dict(forced_bos_token_id=41)),
    Variant("m2m-100-untied", "M2M100ForConditionalGeneration",
            bart(activation_function="relu", scale_embedding=True, tie_word_embeddings=False)),
]


def is_norm(name, parameter):
    return parameter.dim() == 1 and name.endswith("weight")


def fill_weights(model, variant, seed):
    """Fills every parameter from one generator, in order of name; computed positions stay."""
    generator = torch.Generator().manual_seed(seed)
    own_head = variant.name == "mt5" or variant.config.get("tie_word_embeddings") is False
    if own_head:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if not parameter.requires_grad:
                continue
            if is_norm(name, parameter):
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            table = any(word in name for word in ("embed", "shared", "relative_attention_bias"))
            scale = 2 / model.config.d_model**0.5 if getattr(model.config, "scale_embedding", False) else 0.7
            if "relative" in name:
                scale = 1.5
            if "q_proj" in name:  # so that what queries say is heard
                noise *= 2
            parameter.copy_(noise * (0.3 if parameter.dim() == 1 else scale if table else 1.3 / parameter.shape[-1] ** 0.5))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(0.3 * torch.randn(model.final_logits_bias.shape, generator=generator))


def make_inputs(variant, model):
    """-> [(source ids, target ids)]; targets begin with the token that all texts begin with."""
    generator = torch.Generator().manual_seed(len(variant.name))
    target_vocab = getattr(model.config, "decoder_vocab_size", None) or model.config.vocab_size
    inputs = []
    for length, target_length in zip(variant.lengths, variant.target_lengths):
        source = torch.randint(3, 46, (length,), generator=generator)
        source[-1] = model.config.eos_token_id
        target = torch.randint(3, 46, (target_length,), generator=generator)
        target[0] = model.generation_config.decoder_start_token_id
        target[-1] = target_vocab - 1 if target_vocab - 1 != model.config.pad_token_id else target_vocab - 2
        inputs.append((source, target))
    return inputs


@torch.no_grad()
def run(model, source, mask, target):
    """-> {name: (batch, tokens, width)} of a batch"""
    out = model(input_ids=source, attention_mask=mask, decoder_input_ids=target, output_hidden_states=True, return_dict=True)
    result = {f"encoder_states.{i}": states for i, states in enumerate(out.encoder_hidden_states)}
    last = max(i for i in range(len(out.encoder_hidden_states)))
    result[f"encoder_states.{last}"] = out.encoder_last_hidden_state
    result |= {f"decoder_states.{i}": states for i, states in enumerate(out.decoder_hidden_states)}
    result["logits"] = out.logits
    return result


def alone(model, inputs):
    """-> {name: (rows, width)}: every source and target alone, one after the other."""
    outs = [run(model, source[None], torch.ones_like(source[None]), target[None]) for source, target in inputs]
    return {name: torch.cat([out[name][0] for out in outs]) for name in outs[0]}


def padded(model, inputs, left):
    """-> {name: (rows, width)} of a batch of the same, padded"""
    pad = model.config.pad_token_id
    longest, longest_target = (max(len(pair[i]) for pair in inputs) for i in (0, 1))
    sources = torch.full((len(inputs), longest), pad)
    mask = torch.zeros_like(sources)
    # Tokens after the last change nothing before it.
    targets = torch.full((len(inputs), longest_target), 3)
    rows = []
    for i, (source, target) in enumerate(inputs):
        begin = longest - len(source) if left else 0
        rows.append(slice(begin, begin + len(source)))
        sources[i, rows[-1]] = source
        mask[i, rows[-1]] = 1
        targets[i, : len(target)] = target
    out = run(model, sources, mask, targets)
    of_target = [slice(0, len(target)) for _, target in inputs]
    return {
        name: torch.cat([value[i, row] for i, row in enumerate(rows if name.startswith("encoder") else of_target)])
        for name, value in out.items()
    }


@torch.no_grad()
def greedy(model, inputs):
    """-> the tokens that follow the first of every text, and the smallest distance of a choice from the second best"""
    texts, margin = [], float("inf")
    for source, _ in inputs:
        # Its cache has as many layers as the encoder.
        out = model.generate(
            source[None],
            num_beams=1,
            do_sample=False,
            use_cache=False,
            max_new_tokens=NEW_TOKENS,
            output_scores=True,
            return_dict_in_generate=True,
        )
        texts.append(out.sequences[0, 1:])
        for scores in out.scores:
            best, second = scores[0].topk(2).values
            if torch.isfinite(second):
                margin = min(margin, (best - second).item())
    return texts, margin


def load(variant, directory):
    """The saved model in float32 with plain attention."""
    kind = getattr(transformers, variant.model_class)
    return kind.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").float().eval()


@torch.no_grad()
def effects_of(model, inputs, expected):
    """How far what the model says moves when a parameter is neutral or shuffled."""
    effects = {}
    parameters = dict(model.named_parameters())
    if hasattr(model, "final_logits_bias"):
        parameters["final_logits_bias"] = model.final_logits_bias
    for name, parameter in parameters.items():
        # The bias of keys adds the same to all scores of a query; computed positions are no parameters.
        # What halves with tables of their own have in common nobody reads.
        unread = name == "model.shared.weight" and model.config.tie_word_embeddings is False
        if unread or "k_proj.bias" in name or (not parameter.requires_grad and name != "final_logits_bias"):
            continue
        kept = parameter.clone()
        if is_norm(name, parameter):
            parameter.fill_(parameter.mean())
        else:
            parameter.copy_(parameter.flatten().roll(1).reshape(parameter.shape))
        found = alone(model, inputs)
        effects[name] = max(largest_difference(found[key], value) for key, value in expected.items())
        parameter.copy_(kept)
    return effects


def set_generation(variant, model):
    """What recipes say of generation, in the file that newer checkpoints have."""
    settings = dict(decoder_start_token_id=variant.config["decoder_start_token_id"])
    if "forced_eos_token_id" in variant.config and variant.name != "m2m-100":
        settings["forced_eos_token_id"] = variant.config["forced_eos_token_id"]
    for key, value in (settings | variant.generation).items():
        setattr(model.generation_config, key, value)


def attempt(variant, directory, seed):
    """-> (what the model of a seed must compute, what to say about it), or why it proves too little"""
    shutil.rmtree(directory, ignore_errors=True)
    kind = getattr(transformers, variant.model_class)
    model = kind(kind.config_class(**variant.config))
    fill_weights(model, variant, seed)
    set_generation(variant, model)
    model.to(variant.dtype).save_pretrained(directory)
    model = load(variant, directory)
    inputs = make_inputs(variant, model)
    texts, margin = greedy(model, inputs)
    if margin < LEAST_MARGIN or len(set(torch.cat(texts).tolist())) < LEAST_DISTINCT:
        return f"the choices are not clear, or always the same: {margin:.3f}"
    expected = alone(model, inputs)
    double = alone(load(variant, directory).double(), inputs)
    noise = max(largest_difference(expected[name], double[name]) for name in expected)
    if noise > MOST_NOISE:
        return f"float32 and float64 differ by {noise:.1e}"
    effects = effects_of(model, inputs, expected)
    weakest = min(effects, key=effects.get)
    if not effects[weakest] > LEAST_EFFECT:
        return f"without {weakest} the model differs by {effects[weakest]:.1e} only"
    about = dict(
        transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0],
        seed=seed,
        greedy_margin=round(margin, 3),
        float64_difference=float(f"{noise:.1e}"),
        wrong_model_difference={weakest: float(f"{effects[weakest]:.2g}")},
    )
    return model, inputs, texts, expected, about


def make_fixture(variant):
    directory = FIXTURES / variant.name
    for seed in range(200):
        result = attempt(variant, directory, seed)
        if not isinstance(result, str):
            break
    else:
        raise SystemExit(f"{variant.name}: no seed proves enough; of the last one {result}")
    model, inputs, texts, expected, about = result
    states = [name for name in expected if name.startswith("encoder_states.")]
    last = f"encoder_states.{len(states) - 1}"
    right, left = padded(model, inputs, False), padded(model, inputs, True)
    for name in expected:
        if largest_difference(right[name], expected[name]) > MOST_NOISE:
            raise SystemExit(f"{variant.name}: padding moves {name} by {largest_difference(right[name], expected[name]):.1e}")
    # Where positions are counted from the beginning of the row, padding on the left counts.
    counted = largest_difference(left[last], expected[last]) > MOST_NOISE

    layers = {"encoder_states": len(states) - 1, "decoder_states": sum(n.startswith("decoder_states.") for n in expected) - 1}
    tensors = {"logits": expected["logits"]}
    for name, count in layers.items():
        for layer in range(count + 1) if variant.all_layers else [count]:
            tensors[f"{name}.{layer}"] = expected[f"{name}.{layer}"]
    if len(expected["logits"]) > 40:  # a long target: its last rows prove as much
        for name in ("logits", f"decoder_states.{layers['decoder_states']}"):
            tensors[name] = tensors[name][-24:]
        tensors[last] = tensors[last][:24]
    if counted:
        longest = max(variant.lengths)
        tensors["left_padded"], tensors["left_logits"] = left[last], left["logits"]
        tensors["left_padding"] = torch.tensor([longest - length for length in variant.lengths])
    tensors["lengths"] = torch.tensor(variant.lengths)
    tensors["input_ids"] = torch.cat([source for source, _ in inputs])
    tensors["target_lengths"] = torch.tensor(variant.target_lengths)
    tensors["target_ids"] = torch.cat([target for _, target in inputs])
    tensors["greedy_lengths"] = torch.tensor([len(text) for text in texts])
    tensors["greedy_ids"] = torch.cat(texts)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, directory / "reference.safetensors", metadata={"reference": json.dumps(about)})
    size = sum(path.stat().st_size for path in directory.rglob("*"))
    if size > MOST_BYTES:
        raise SystemExit(f"{variant.name}: {size} bytes are too many")
    for path in directory.rglob("*"):
        path.chmod(0o644)
    print(f"{variant.name:16} {size / 1000:4.0f} kB  left padding {'counts' if counted else 'does not count'}  {about}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="fixtures to make; by default all")
    wanted = parser.parse_args().names
    unknown = set(wanted) - {v.name for v in VARIANTS}
    if unknown:
        sys.exit(f"no such fixture: {', '.join(sorted(unknown))}")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for variant in VARIANTS:
        if variant.name in wanted or not wanted:
            make_fixture(variant)


if __name__ == "__main__":
    main()
