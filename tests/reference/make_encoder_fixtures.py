#!/usr/bin/env python3
"""Makes golden data in tests/fixtures/encoders: tiny random encoders with their heads and what they must compute, in the
format that README.md beside this file describes.

A fixture is refused where it proves little: float64 must give nearly the same numbers, a padded batch of the reference
must give what each sequence gives alone, and every parameter of the model must matter: without it what the model says
changes by far more than the tests allow.
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

from make_llama_fixtures import LEAST_EFFECT, MOST_NOISE, largest_difference

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "encoders"
MOST_BYTES = 100_000  # one directory


@dataclasses.dataclass(frozen=True)
class Variant:
    """One fixture: a class of transformers with its config."""

    name: str
    model_class: str
    config: dict = dataclasses.field(default_factory=dict)
    lengths: tuple = (19, 7, 12)
    dtype: torch.dtype = torch.float16  # of the stored weights
    all_layers: bool = False  # keep the hidden states of every layer, and those of a batch padded on the left
    sentence: dict = dataclasses.field(default_factory=dict)  # 1_Pooling/config.json of sentence-transformers
    dense: int = 0  # elements that a dense layer behind the pooling makes
    normalize: bool = False


def sizes(layers=1, hidden=18, heads=3, inner=28, **more):
    return dict(
        vocab_size=48,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=24,
        **more,
    )


def distil(layers=1, **more):
    return dict(vocab_size=48, dim=18, n_layers=layers, n_heads=3, hidden_dim=28, max_position_embeddings=24, **more)


def roberta(layers=1, **more):
    return sizes(layers, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5, **more)


def mpnet(layers=1, **more):
    return sizes(layers, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5) | more


def albert(layers=3, **more):
    return sizes(layers) | dict(embedding_size=12, num_hidden_groups=2) | more


def mobile(layers=2, **more):
    return sizes(layers, heads=2, embedding_size=12, intra_bottleneck_size=10) | dict(num_feedforward_networks=3) | more


def t5(layers=1, **more):
    return dict(vocab_size=48, d_model=18, d_kv=6, d_ff=28, num_layers=layers, num_heads=3, **more)


POOLING = dict(
    word_embedding_dimension=18,
    pooling_mode_cls_token=False,
    pooling_mode_mean_tokens=False,
    pooling_mode_max_tokens=False,
    pooling_mode_mean_sqrt_len_tokens=False,
    pooling_mode_weightedmean_tokens=False,
    pooling_mode_lasttoken=False,
    include_prompt=True,
)

TINYBERT = dict(emb_size=26, cell={}, structure=[], pre_trained="")  # what its configs say beyond those of BERT

LABELS = dict(id2label={0: "bad", 1: "good", 2: "neither", 3: "both"})

VARIANTS = [
    Variant("bert", "BertForPreTraining", sizes(2), all_layers=True),
    Variant("bert-bf16", "BertModel", sizes(2, hidden_act="gelu_new"), dtype=torch.bfloat16),
    Variant("bert-masked-word", "BertForMaskedLM", sizes(hidden_act="silu")),
    Variant("bert-next-sentence", "BertForNextSentencePrediction", sizes()),
    Variant("bert-sequences", "BertForSequenceClassification", sizes(**LABELS)),
    Variant("bert-tokens", "BertForTokenClassification", sizes(**LABELS)),
    Variant("bert-answers", "BertForQuestionAnswering", sizes(), dtype=torch.float32),
    Variant("bert-mean", "BertModel", sizes(), sentence=dict(pooling_mode_mean_tokens=True), normalize=True),
    Variant("tinybert", "BertForSequenceClassification", sizes(2, hidden=26, heads=2, **TINYBERT, **LABELS), all_layers=True),
    Variant("roberta", "RobertaForMaskedLM", roberta(2), all_layers=True),
    Variant("roberta-pooler", "RobertaModel", roberta(), sentence=dict(pooling_mode_cls_token=True)),
    Variant("roberta-sequences", "RobertaForSequenceClassification", roberta(**LABELS)),
    Variant("roberta-tokens", "RobertaForTokenClassification", roberta(**LABELS)),
    Variant("roberta-answers", "RobertaForQuestionAnswering", roberta()),
    Variant("xlm-roberta", "XLMRobertaForMaskedLM", roberta(2), all_layers=True),
    Variant("camembert", "CamembertForSequenceClassification", roberta(2, **LABELS), all_layers=True),
    Variant("distilbert", "DistilBertForMaskedLM", distil(2), all_layers=True),
    Variant("distilbert-base", "DistilBertModel", distil(), sentence=dict(pooling_mode_max_tokens=True)),
    Variant("distilbert-dense", "DistilBertModel", distil(), sentence=dict(pooling_mode_mean_tokens=True), dense=11, normalize=True),
    Variant("distilbert-sequences", "DistilBertForSequenceClassification", distil(**LABELS)),
    Variant("distilbert-tokens", "DistilBertForTokenClassification", distil(**LABELS)),
    Variant("distilbert-answers", "DistilBertForQuestionAnswering", distil()),
    Variant("electra", "ElectraForMaskedLM", sizes(2, embedding_size=12), all_layers=True),
    Variant("electra-wide", "ElectraForMaskedLM", sizes(embedding_size=26)),
    Variant("electra-discriminator", "ElectraForPreTraining", sizes(embedding_size=18)),
    Variant("electra-sequences", "ElectraForSequenceClassification", sizes(embedding_size=12, **LABELS)),
    Variant("electra-tokens", "ElectraForTokenClassification", sizes(embedding_size=12, **LABELS)),
    Variant("electra-answers", "ElectraForQuestionAnswering", sizes(embedding_size=12)),
    Variant("albert", "AlbertForPreTraining", albert(), all_layers=True),
    Variant("albert-base", "AlbertModel", albert(embedding_size=18, num_hidden_groups=1)),
    Variant("albert-masked-word", "AlbertForMaskedLM", albert()),
    Variant("albert-sequences", "AlbertForSequenceClassification", albert(**LABELS)),
    Variant("albert-tokens", "AlbertForTokenClassification", albert(**LABELS)),
    Variant("albert-answers", "AlbertForQuestionAnswering", albert()),
    Variant("albert-inner-layers", "AlbertModel", albert(inner_group_num=2)),
    Variant("mobilebert", "MobileBertForPreTraining", mobile(), all_layers=True),
    Variant("mobilebert-base", "MobileBertModel", mobile(1, num_feedforward_networks=1)),
    Variant("mobilebert-masked-word", "MobileBertForMaskedLM", mobile(1, hidden_act="gelu")),
    Variant("mobilebert-next-sentence", "MobileBertForNextSentencePrediction", mobile(1)),
    Variant("mobilebert-sequences", "MobileBertForSequenceClassification", mobile(1, classifier_activation=False, **LABELS)),
    Variant("mobilebert-tokens", "MobileBertForTokenClassification", mobile(1, **LABELS)),
    Variant("mobilebert-answers", "MobileBertForQuestionAnswering", mobile(1)),
    Variant("mobilebert-one-bottleneck", "MobileBertModel", mobile(use_bottleneck_attention=True, key_query_shared_bottleneck=False, normalization_type="layer_norm", layer_norm_eps=0.1)),
    Variant("mobilebert-plain", "MobileBertModel", mobile(use_bottleneck=False, trigram_input=False)),
    Variant("mpnet", "MPNetForMaskedLM", mpnet(2), all_layers=True),
    Variant("mpnet-long", "MPNetModel", mpnet(max_position_embeddings=180), lengths=(160, 7)),
    Variant("mpnet-sequences", "MPNetForSequenceClassification", mpnet(**LABELS)),
    Variant("mpnet-tokens", "MPNetForTokenClassification", mpnet(**LABELS)),
    Variant("mpnet-answers", "MPNetForQuestionAnswering", mpnet()),
    Variant("t5-encoder", "T5EncoderModel", t5(2), all_layers=True),
    Variant("t5-encoder-gated", "T5EncoderModel", t5(feed_forward_proj="gated-gelu"), sentence=dict(pooling_mode_mean_tokens=True), normalize=True),
    Variant("t5-encoder-long", "T5EncoderModel", t5(relative_attention_num_buckets=16), lengths=(160, 7), sentence=dict(pooling_mode_mean_tokens=True), dense=11),
    Variant("mt5-encoder", "MT5EncoderModel", t5(2)),
]


def is_norm(name, parameter):
    return parameter.dim() == 1 and name.endswith("weight")


def fill_weights(model, seed):
    """Fills every parameter from one generator, in order of name."""
    generator = torch.Generator().manual_seed(seed)
    size = 0.8 if model.config.model_type == "mobilebert" else 1  # whose norms do not keep states from growing
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if is_norm(name, parameter):
                parameter.copy_(size * (0.5 + torch.rand(parameter.shape, generator=generator)))
                continue
            noise = size * torch.randn(parameter.shape, generator=generator)
            table = "embeddings." in name or "relative_attention_bias" in name
            parameter.copy_(noise * (0.3 if parameter.dim() == 1 else 0.7 if table else 1.3 / parameter.shape[-1] ** 0.5))
        for module in model.modules():  # padding has no embedding, as where transformers initialises a model
            if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()


def make_inputs(variant, model):
    """-> [(ids, types or None)] of every sequence; the second half of each is of segment 1."""
    generator = torch.Generator().manual_seed(len(variant.name))
    types = getattr(model.config, "type_vocab_size", 1) > 1
    inputs = []
    for length in variant.lengths:
        ids = torch.randint(5, variant.config["vocab_size"], (length,), generator=generator)
        ids[-1] = variant.config["vocab_size"] - 1
        inputs.append((ids, (torch.arange(length) >= length // 2).long() if types else None))
    return inputs


NAMES = dict(  # what the outputs of transformers are called in a fixture, and whether they are one row per token
    prediction_logits=("masked_words", True),
    seq_relationship_logits=("pairs", False),
    sop_logits=("pairs", False),
    pooler_output=("pooled", False),
)
LOGITS = dict(
    ForMaskedLM=("masked_words", True),
    ForPreTraining=("replaced_words", True),
    ForNextSentencePrediction=("pairs", False),
    ForSequenceClassification=("sequence_classes", False),
    ForTokenClassification=("token_classes", True),
)


@torch.no_grad()
def run(variant, model, ids, types, mask):
    """-> {name: (batch, tokens or 1, width)} of a batch"""
    more = {} if types is None else dict(token_type_ids=types)
    out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, return_dict=True, **more)
    result = {f"hidden_states.{i}": states for i, states in enumerate(out.hidden_states)}
    for key, value in out.items():
        if key == "logits":
            name, per_token = next(v for k, v in LOGITS.items() if variant.model_class.endswith(k))
        elif key in NAMES:
            name, per_token = NAMES[key]
        else:
            continue
        if name == "replaced_words":
            value = value[..., None]
        result[name] = value if per_token else value[:, None]
    if "start_logits" in out:
        result["answer_ends"] = torch.stack([out.start_logits, out.end_logits], dim=-1)
    return result


def alone(variant, model, inputs):
    """-> {name: (rows, width)}: every sequence alone, one after the other."""
    outs = [
        run(variant, model, ids[None], None if types is None else types[None], torch.ones_like(ids[None]))
        for ids, types in inputs
    ]
    return {name: torch.cat([out[name][0] for out in outs]) for name in outs[0]}


def padded(variant, model, inputs, left):
    """-> the last hidden states (rows, hidden) of the tokens of a padded batch"""
    longest = max(len(ids) for ids, _ in inputs)
    pad = model.config.pad_token_id
    ids = torch.full((len(inputs), longest), pad)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    rows = []
    for i, (sequence, segments) in enumerate(inputs):
        begin = longest - len(sequence) if left else 0
        rows.append(slice(begin, begin + len(sequence)))
        ids[i, rows[-1]] = sequence
        mask[i, rows[-1]] = 1
        if segments is not None:
            types[i, rows[-1]] = segments
    out = run(variant, model, ids, types if inputs[0][1] is not None else None, mask)
    last = max((name for name in out if name.startswith("hidden_states.")), key=lambda name: int(name.split(".")[1]))
    return torch.cat([out[last][i, row] for i, row in enumerate(rows)])


def dense_layer(variant):
    generator = torch.Generator().manual_seed(variant.dense)
    shapes = {"linear.weight": (variant.dense, 18), "linear.bias": (variant.dense,)}
    return {name: torch.randn(shape, generator=generator) / 4 for name, shape in shapes.items()}


def sentence_embeddings(variant, states):
    """-> (sequences, hidden) by the equations of sentence-transformers"""
    rows, vectors = 0, []
    for length in variant.lengths:
        x = states[rows : rows + length]
        rows += length
        if "pooling_mode_mean_tokens" in variant.sentence:
            vectors.append(x.sum(0) / length)
        elif "pooling_mode_cls_token" in variant.sentence:
            vectors.append(x[0])
        else:
            vectors.append(x.max(0).values)
    result = torch.stack(vectors)
    if variant.dense:
        layer = dense_layer(variant)
        result = torch.tanh(result @ layer["linear.weight"].T + layer["linear.bias"])
    return torch.nn.functional.normalize(result, dim=1) if variant.normalize else result


def save_modules(variant, directory):
    """What sentence-transformers saves beside a model."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [("2_Dense", "Dense")] * bool(variant.dense)
    modules += [(f"{len(modules)}_Normalize", "Normalize")] * variant.normalize
    listed = [
        dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}")
        for i, (path, kind) in enumerate(modules)
    ]
    (directory / "modules.json").write_text(json.dumps(listed, indent=2))
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(POOLING | variant.sentence, indent=2))
    if variant.dense:
        (directory / "2_Dense").mkdir()
        config = dict(in_features=18, out_features=variant.dense, bias=True, activation_function="torch.nn.modules.activation.Tanh")
        (directory / "2_Dense" / "config.json").write_text(json.dumps(config))
        save_file(dense_layer(variant), directory / "2_Dense" / "model.safetensors")


def load(variant, directory):
    """The saved model in float32 with plain attention."""
    kind = getattr(transformers, variant.model_class)
    return kind.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").float().eval()


@torch.no_grad()
def effects_of(variant, model, inputs, expected):
    """How far what the model says moves when a parameter is neutral or shuffled."""
    effects = {}
    for name, parameter in model.named_parameters():
        # The bias of keys adds the same to all scores of a query.
        if any(word in name for word in ("key.bias", "k_lin.bias", "attn.k.bias")):
            continue
        kept = parameter.clone()
        if is_norm(name, parameter):
            parameter.fill_(parameter.mean())
        elif parameter.numel() <= 2:
            parameter.zero_()
        else:
            parameter.copy_(parameter.flatten().roll(1).reshape(parameter.shape))
        found = alone(variant, model, inputs)
        effects[name] = max(largest_difference(found[key], value) for key, value in expected.items())
        parameter.copy_(kept)
    return effects


def make_fixture(variant):
    directory = FIXTURES / variant.name
    shutil.rmtree(directory, ignore_errors=True)
    kind = getattr(transformers, variant.model_class)
    model = kind(kind.config_class(**variant.config))
    fill_weights(model, len(variant.name))
    model.to(variant.dtype).save_pretrained(directory)
    model = load(variant, directory)
    inputs = make_inputs(variant, model)
    expected = alone(variant, model, inputs)
    double = alone(variant, load(variant, directory).double(), inputs)
    noise = max(largest_difference(expected[name], double[name]) for name in expected)
    if noise > MOST_NOISE:
        raise SystemExit(f"{variant.name}: float32 and float64 differ by {noise:.1e}")
    effects = effects_of(variant, model, inputs, expected)
    for name, effect in effects.items():
        if not effect > LEAST_EFFECT:
            raise SystemExit(f"{variant.name}: without {name} the model differs by {effect:.1e} only")

    layers = sum(name.startswith("hidden_states.") for name in expected) - 1
    last = expected[f"hidden_states.{layers}"]
    right, left = padded(variant, model, inputs, False), padded(variant, model, inputs, True)
    if largest_difference(right, last) > MOST_NOISE:
        raise SystemExit(f"{variant.name}: padding moves the hidden states by {largest_difference(right, last):.1e}")
    # Where positions are counted from the beginning of the row, padding on the left counts.
    counted = largest_difference(left, last) > MOST_NOISE
    longest = max(variant.lengths)
    tensors = {name: value for name, value in expected.items() if not name.startswith("hidden_states.")}
    for layer in range(layers + 1) if variant.all_layers else [layers]:
        tensors[f"hidden_states.{layer}"] = expected[f"hidden_states.{layer}"]
    if variant.all_layers:
        tensors["left_padded"] = left
        tensors["left_padding"] = torch.tensor([longest - length if counted else 0 for length in variant.lengths])
    tensors["lengths"] = torch.tensor(variant.lengths)
    tensors["input_ids"] = torch.cat([ids for ids, _ in inputs])
    if inputs[0][1] is not None:
        tensors["token_types"] = torch.cat([types for _, types in inputs])
    if variant.sentence:
        tensors["sentences"] = sentence_embeddings(variant, last)
        save_modules(variant, directory)
    weakest = min(effects, key=effects.get)
    about = dict(
        transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0],
        layers=layers,
        float64_difference=float(f"{noise:.1e}"),
        wrong_model_difference={weakest: float(f"{effects[weakest]:.2g}")},
    )
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, directory / "reference.safetensors", metadata={"reference": json.dumps(about)})
    size = sum(path.stat().st_size for path in directory.rglob("*"))
    if size > MOST_BYTES:
        raise SystemExit(f"{variant.name}: {size} bytes are too many")
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(f"{variant.name:22} {size / 1000:4.0f} kB  float64 {noise:.0e}  left padding {'counts' if counted else 'does not count'}  "
          f"weakest: {weakest} {effects[weakest]:.2f}", flush=True)


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
