"""A tiny Llama in one GGUF file as llama.cpp's converter writes it, and what transformers computes with it.

Usage: make_gguf_model_fixture.py CONVERTER

CONVERTER is llama.cpp's convert_hf_to_gguf.py. Writes tests/fixtures/gguf/llama.gguf (float16 matrices, grouped-query
attention, heads wider than hidden / heads, llama3 rotary scaling, tied embeddings, a SentencePiece vocabulary) and
tests/fixtures/gguf/llama.safetensors: input_ids, logits and greedy_ids, computed in float32 from the weights as stored.
"""

import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

import sentencepiece
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
TOKENIZER = FIXTURES / "tokenizers" / "bare" / "tokenizer.model"
TEXT = "A king had three sons, and the youngest of them was called Hans."


def make_model(vocab):
    torch.manual_seed(3)
    rope = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=64)
    config = LlamaConfig(vocab_size=vocab, hidden_size=24, intermediate_size=32, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=256,
                         rms_norm_eps=1e-5, tie_word_embeddings=True, rope_parameters=rope, bos_token_id=1,
                         eos_token_id=2)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "norm" in name:
                weight.copy_((0.5 + torch.rand(weight.shape)).half().float())
            else:
                gain = 0.6 if "embed" in name else 1.4 / math.sqrt(weight.shape[-1])
                weight.copy_((torch.randn(weight.shape) * gain).half().float())
    return model.eval()


@torch.no_grad()
def main():
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(TOKENIZER))
    model = make_model(tokenizer.vocab_size())
    ids = torch.tensor([1] + tokenizer.encode(TEXT))
    logits = model(ids[None], use_cache=False).logits[0]
    sequence, margin = ids, math.inf
    for _ in range(16):
        last = model(sequence[None], use_cache=False).logits[0, -1]
        best = torch.topk(last, 2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        sequence = torch.cat([sequence, best.indices[:1]])
    assert margin > 0.02, margin
    with tempfile.TemporaryDirectory() as directory:
        tiny = pathlib.Path(directory) / "tiny"  # the converter writes the name down
        model.half().save_pretrained(tiny)
        shutil.copy(TOKENIZER, tiny)
        (tiny / "tokenizer_config.json").write_text('{"add_prefix_space": false}')  # which the vocabulary implies
        out = FIXTURES / "gguf" / "llama.gguf"
        subprocess.run([sys.executable, sys.argv[1], tiny, "--outfile", out, "--outtype", "f16"], check=True)
    tensors = {"input_ids": ids, "logits": logits[-8:].contiguous(), "greedy_ids": sequence[len(ids) :]}
    save_file(tensors, FIXTURES / "gguf" / "llama.safetensors", metadata={"text": TEXT})


main()
