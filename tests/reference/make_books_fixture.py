#!/usr/bin/env python3
"""Write what transformers says of held-out paragraphs with the classifier that ships, as a fixture for the tests.

    python make_books_fixture.py examples/models/books tales-val.txt tests/fixtures/books/held-out.json

The paragraphs are every fifth of the validation text of examples/models/books/train.py, which knows what book each is
from. The weights are the ones in the checkpoint (bfloat16), the arithmetic is float32. A paragraph whose best two books
are closer than 1e-3 is refused, so that an implementation that adds up in another order still has to choose the same.

Made with: torch 2.15.0, transformers 5.23.0
"""

import argparse
import hashlib
import json
import re
import runpy
from pathlib import Path

import torch
import transformers


@torch.no_grad()
def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help="directory of the checkpoint")
    p.add_argument("text", type=Path, help="the validation text")
    p.add_argument("out", type=Path, help="file to write")
    p.add_argument("--every", type=int, default=5, help="paragraphs from one to the next")
    args = p.parse_args()

    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(args.model, dtype=torch.float32).eval()
    paragraphs = runpy.run_path(str(args.model / "train.py"))["read"](args.text, 2)[:: args.every]

    cases, right = [], 0
    for text, book in paragraphs:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=model.config.max_position_embeddings)
        logits = model(**inputs).logits[0]
        best = logits.topk(2)
        if best.values[0] - best.values[1] <= 1e-3:
            raise SystemExit(f"too close to a tie: {text!r}")
        right += int(best.indices[0]) == book
        cases.append({"text": text, "book": book, "logits": [round(x, 6) for x in logits.tolist()]})
    print(f"{right} of {len(cases)} right")

    weights = (args.model / "model.safetensors").read_bytes()
    fixture = {
        "made_by": "tests/reference/make_books_fixture.py",
        "made_with": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
        "compute": "float32 on the bfloat16 weights",
        "model_safetensors_sha256": hashlib.sha256(weights).hexdigest(),
        "right": right,
        "cases": cases,
    }
    text = json.dumps(fixture, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+(-?\d[-\d.e,\s]*?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text)  # on one line
    assert json.loads(text) == fixture
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
