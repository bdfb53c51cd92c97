#!/usr/bin/env python3
"""Write greedy continuations by transformers as a fixture for the tests.

    python make_tales_fixture.py examples/models/tales tests/fixtures/tales/greedy.json

The weights are the ones in the checkpoint (bfloat16), the arithmetic is float32.  Each case
records the smallest distance between the best and the second-best logit over all steps;
a case whose distance is not above 1e-3 is refused, so that an implementation that adds up
in another order still has to give exactly these tokens.

Made with: torch 2.15.0, transformers 5.23.0
"""

import argparse
import hashlib
import json
import re
from pathlib import Path

import torch
import transformers

PROMPTS = [
    "Once upon a time",
    "The old king called his three sons to him and said,",
    '"Who are you?" asked the girl.\n"I am the fox," he answered.',
]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help="directory of the checkpoint")
    p.add_argument("out", type=Path, help="file to write")
    p.add_argument("--tokens", type=int, default=200, help="new tokens a prompt")
    p.add_argument("--margin", type=float, default=1e-3, help="smallest distance of logits allowed")
    p.add_argument("--prompt", action="append", help="use these prompts instead of the usual ones")
    args = p.parse_args()

    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()

    cases = []
    for prompt in args.prompt or PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        result = model.generate(
            **inputs, max_new_tokens=args.tokens, do_sample=False, temperature=None, top_p=None,
            pad_token_id=model.config.eos_token_id, output_logits=True, return_dict_in_generate=True,
        )
        new = result.sequences[0, inputs.input_ids.shape[1] :].tolist()
        top = torch.cat(result.logits).float().topk(2, dim=-1).values
        margins = top[:, 0] - top[:, 1]
        smallest, step = margins.min(0)
        print(f"{prompt!r}: smallest margin {smallest.item():.5f} at step {step.item()}, {len(new)} tokens")
        if len(new) != args.tokens or smallest <= args.margin:
            raise SystemExit("choose another prompt: it ends early or comes too close to a tie")
        cases.append({
            "prompt": prompt,
            "input_ids": inputs.input_ids[0].tolist(),
            "greedy_ids": new,
            "text": tokenizer.decode(new),
            "min_margin": round(smallest.item(), 6),
            "min_margin_step": step.item(),
        })

    weights = (args.model / "model.safetensors").read_bytes()
    fixture = {
        "made_by": "tests/reference/make_tales_fixture.py",
        "made_with": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
        "compute": "float32 on the bfloat16 weights",
        "model_safetensors_sha256": hashlib.sha256(weights).hexdigest(),
        "cases": cases,
    }
    text = json.dumps(fixture, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+(\d[\d,\s]*?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text)  # ids on one line
    assert json.loads(text) == fixture
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
