#!/usr/bin/env python3
"""Makes tests/fixtures/pytorch (files that torch.save wrote) and tests/fixtures/layouts (one tiny Llama in every layout
that its weights are published in, and what it computes).

README.md beside this file describes the contents and how to run this script.
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
MOST_BYTES = 60_000  # one file
LEAST_EFFECT = 0.02  # that another rope pairing or another order of shards must have on the logits


# ---- files of torch.save ---------------------------------------------------------------------------------------------


def some_tensors():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 4 - 2
    wide = torch.arange(12, dtype=torch.float16)
    return {
        "f32": base,
        "f16": wide.reshape(3, 4) - 5,
        "bf16": torch.tensor([1.5, -2.0, 3.0], dtype=torch.bfloat16),
        "i64": torch.tensor([-(2**40), 7]),
        "i32": torch.tensor([[-5]], dtype=torch.int32),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, -1.0])),
        # Views of one storage.
        "transposed": base.t(),
        "rows": base[1:3],
        "columns": base[:, 2:5],
        "every-second": base[::2, ::3],
        "permuted": torch.arange(24, dtype=torch.int32).reshape(2, 3, 4).permute(2, 0, 1),
        "odd-offset": wide[1:4],
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3),
        "booleans": torch.tensor([[True, False], [True, True]]).t(),
    }


def make_files(directory):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tensors = some_tensors()
    torch.save(tensors, directory / "types.pt")
    torch.save(tensors, directory / "protocol4.pt", pickle_protocol=4)
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, directory / "types.safetensors")

    module = torch.nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(torch.arange(6).reshape(2, 3))
        module.bias.copy_(torch.tensor([0.5, -0.5]))
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        module.weight.copy_(torch.arange(6).reshape(2, 3))
        module.bias.copy_(torch.tensor([0.5, -0.5]))
    training = dict(epoch=3, loss=0.25, note="x", optimizer=optimizer.state_dict())
    torch.save({"state_dict": module.state_dict(), **training}, directory / "state-dict.pt")
    torch.save({**training, "model": module.state_dict()}, directory / "model.pt")
    torch.save(module, directory / "module.pt")
    torch.save({"double": torch.zeros(2, dtype=torch.float64), "float": torch.ones(1)}, directory / "double.pt")
    torch.save({"a": torch.ones(2)}, directory / "before-1.6.pt", _use_new_zipfile_serialization=False)


# ---- one model in every layout ---------------------------------------------------------------------------------------

DIM, LAYERS, HEADS, KV_HEADS, VOCAB = 32, 2, 4, 2, 64
PARAMS = dict(dim=DIM, n_layers=LAYERS, n_heads=HEADS, n_kv_heads=KV_HEADS, multiple_of=16, ffn_dim_multiplier=0.7)
PARAMS.update(norm_eps=1e-5, vocab_size=-1)

META_NAMES = {
    "model.embed_tokens.weight": "tok_embeddings.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "output.weight",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


def feed_forward_size():
    """As the reference implementation of Llama computes it (llama/model.py, FeedForward)."""
    size = int(PARAMS["ffn_dim_multiplier"] * int(2 * 4 * DIM / 3))
    return PARAMS["multiple_of"] * ((size + PARAMS["multiple_of"] - 1) // PARAMS["multiple_of"])


def make_model(seed):
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=DIM,
        intermediate_size=feed_forward_size(),
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=4096,
        rms_norm_eps=PARAMS["norm_eps"],
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            values = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + values / 4 if "norm" in name else 1.4 * values / weight.shape[-1] ** 0.5)
    return model.to(torch.bfloat16).eval()


def interleaved(weight, heads):
    """Undoes what transformers' convert_llama_weights_to_hf.py does to the rows of wq and wk."""
    return weight.view(heads, 2, weight.shape[0] // heads // 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def meta_weights(model):
    weights = {}
    for name, weight in model.state_dict().items():
        if "q_proj" in name or "k_proj" in name:
            weight = interleaved(weight, HEADS if "q_proj" in name else KV_HEADS)
        for ours, theirs in META_NAMES.items():
            name = name.replace(ours, theirs)
        weights[name.replace("model.layers", "layers")] = weight.clone()
    weights["rope.freqs"] = torch.ones(DIM // HEADS // 2, dtype=torch.bfloat16)
    return weights


def shard(name, weight, part, parts, embedding_dim):
    """The part of a weight that a process of fairscale's model parallelism holds."""
    if "norm" in name or "rope" in name:
        return weight
    columns = "wo" in name or "w2" in name or ("tok_embeddings" in name and embedding_dim == 1)
    return weight.chunk(parts, dim=1 if columns else 0)[part].clone()


def save_meta(weights, directory, parts, embedding_dim, **more):
    directory.mkdir(parents=True)
    (directory / "params.json").write_text(json.dumps({**PARAMS, **more}))
    for part in range(parts):
        mine = {name: shard(name, weight, part, parts, embedding_dim) for name, weight in weights.items()}
        torch.save(mine, directory / f"consolidated.{part:02d}.pth")


def save_pickles(model, directory):
    """As transformers 4 saved them by default: whole, and in two shards with an index."""
    weights = model.state_dict()
    for name in ("pickle", "pickle-sharded"):
        (directory / name).mkdir()
        shutil.copy(directory / "hugging-face" / "config.json", directory / name)
    torch.save(weights, directory / "pickle" / "pytorch_model.bin")
    names = list(weights)
    shards = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i::2] for i in range(2)}
    for file, members in shards.items():
        torch.save({name: weights[name] for name in members}, directory / "pickle-sharded" / file)
    index = {"metadata": {}, "weight_map": {name: file for file, members in shards.items() for name in members}}
    (directory / "pickle-sharded" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1))


@torch.no_grad()
def save_reference(directory):
    model = LlamaForCausalLM.from_pretrained(directory / "hugging-face", dtype=torch.float32).eval()
    ids = torch.randint(3, VOCAB, (24,), generator=torch.Generator().manual_seed(8))
    ids[0], ids[5], ids[7] = 1, 0, VOCAB - 1
    logits = model(input_ids=ids[None]).logits[0]
    wrong = LlamaForCausalLM(model.config).eval()
    weights = model.state_dict()
    for name in weights:
        if "q_proj" in name or "k_proj" in name:
            weights[name] = interleaved(weights[name], HEADS if "q_proj" in name else KV_HEADS)
    wrong.load_state_dict(weights)
    assert (wrong(input_ids=ids[None]).logits[0] - logits).abs().max() > LEAST_EFFECT
    save_file({"input_ids": ids, "logits": logits.contiguous()}, directory / "reference.safetensors")


def make_layouts(directory):
    shutil.rmtree(directory, ignore_errors=True)
    model = make_model(seed=3)
    model.save_pretrained(directory / "hugging-face")
    save_pickles(model, directory)
    weights = meta_weights(model)
    save_meta(weights, directory / "meta", 1, 1)
    save_meta(weights, directory / "meta-columns", 2, 1)  # as Llama 1 and 2 split the embedding
    save_meta(weights, directory / "meta-rows", 2, 0, vocab_size=VOCAB)  # as Llama 3 does
    save_reference(directory)


def main():
    make_files(FIXTURES / "pytorch")
    make_layouts(FIXTURES / "layouts")
    for folder in ("pytorch", "layouts"):
        for path in (FIXTURES / folder).rglob("*"):
            assert path.is_dir() or path.stat().st_size < MOST_BYTES, path


if __name__ == "__main__":
    main()
