#!/usr/bin/env python3
"""A small vocabulary in the file format of Llama 3's tokenizer.model, and what the tiktoken package makes of some texts.

Writes tests/fixtures/tiktoken/tokenizer.model, trained on the texts of tokenizer_json/texts.json with Llama 3's pattern,
and expected.json: the ids of every text after <|begin_of_text|>, where special tokens in the text count.
"""

import base64
import json
import pathlib

import tiktoken
from tiktoken._educational import bpe_train

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
OUT = FIXTURES / "tiktoken"
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NAMED = [
    "begin_of_text", "end_of_text", "reserved_special_token_0", "reserved_special_token_1", "finetune_right_pad_id",
    "step_id", "start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag", "image",
]
MORE = [
    "<|start_header_id|>user<|end_header_id|>\n\nWhy is 12345678 not 'prime'? I'LL see.<|eot_id|>",
    "<|reserved_special_token_2|><|reserved_special_token_245|><|reserved_special_token_246|><|image|>",
    " \t \n\n  x\r\n\r\n y   ",
]


def main():
    texts = json.loads((FIXTURES / "tokenizer_json" / "texts.json").read_text())
    ranks = bpe_train("\n".join(texts), 512, PATTERN, visualise=None)
    specials = NAMED + [f"reserved_special_token_{i + 2}" for i in range(256 - len(NAMED))]
    special_tokens = {f"<|{name}|>": len(ranks) + i for i, name in enumerate(specials)}
    encoding = tiktoken.Encoding("small", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special_tokens)
    OUT.mkdir(exist_ok=True)
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()]
    (OUT / "tokenizer.model").write_text("".join(lines))
    begin = special_tokens["<|begin_of_text|>"]
    expected = [[text, [begin] + encoding.encode(text, allowed_special="all")] for text in texts + MORE]
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=True))


main()
