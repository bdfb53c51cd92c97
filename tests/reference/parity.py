#!/usr/bin/env python3
"""Compare weft with transformers layer by layer and name the first tensor that differs.

    python parity.py --program dump_taps CHECKPOINT...

CHECKPOINT is a Hugging Face directory. Both run the same token ids in float32: those of --ids, the first sequence of the
checkpoint's reference.safetensors, or --tokens random ones; models of images run on two of random pixels. Every intermediate that weft shows to a tap is compared with
what the module of the same name gives in transformers, in the order of computation, and then what the heads answer. A
name that is no module of the reference counts as a difference; hidden_states.0, encoder_hidden_states.0 and the like, and
logits are fields of the reference's answer, for what is the output of no module.

dump_taps is built from dump_taps.cpp beside this file (README.md). The exit status is 1 where something differs.

Made with: torch 2.15.0, transformers 5.23.0
"""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

# The field of the reference's answer that holds what weft calls by another name.
FIELDS = {
    "logits": ["logits"],
    "masked_word": ["prediction_logits", "logits"],
    "next_sentence": ["seq_relationship_logits", "sop_logits", "logits"],
    "classes": ["logits"],
    "replaced_word": ["logits"],
    "last_hidden_state": ["last_hidden_state"],
    "pooled": ["image_embeds", "text_embeds", "pooler_output"],
    "matches": ["logits_per_image"],
}


# Falcon's plain attention adds ALiBi twice (transformers 5.23), its other one does not.
ATTENTION = {"falcon": "sdpa"}


def make_inputs(directory: Path, config, args) -> dict[str, torch.Tensor]:
    """input_ids (tokens) and pixel_values (images, channels, height, width), as far as the model takes them."""
    generator = torch.Generator().manual_seed(1)
    inputs = {}
    classifies_images = config.architectures[0].endswith("ForImageClassification") if config.architectures else False
    if hasattr(config.get_text_config(), "vocab_size") and not classifies_images:
        reference = directory / "reference.safetensors"
        tensors = load_file(reference) if reference.exists() else {}
        if args.ids:
            inputs["input_ids"] = torch.tensor(args.ids)
        elif "input_ids" in tensors:
            ids = tensors["input_ids"].flatten()
            inputs["input_ids"] = ids[: int(tensors["lengths"][0])] if "lengths" in tensors else ids
        else:
            inputs["input_ids"] = torch.randint(5, config.get_text_config().vocab_size, (args.tokens,), generator=generator)
    vision = getattr(config, "vision_config", config)
    if hasattr(vision, "image_size"):
        size = vision.image_size if isinstance(vision.image_size, (list, tuple)) else [vision.image_size] * 2
        inputs["pixel_values"] = torch.randn((2, vision.num_channels, *size), generator=generator)
    return inputs


def first_tensor(output) -> torch.Tensor | None:
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor) and hasattr(output, "values"):
        output = next(iter(output.values()), None)
    return output if isinstance(output, torch.Tensor) and output.is_floating_point() else None


@torch.no_grad()
def run_reference(directory: Path, config, inputs: dict[str, torch.Tensor]) -> tuple[dict, object]:
    """What every module gave, call after call, and the model's answer."""
    name = (config.architectures or ["AutoModel"])[0]
    model = getattr(transformers, name).from_pretrained(
        directory, dtype=torch.float32, attn_implementation=ATTENTION.get(config.model_type, "eager")
    )
    model.eval()
    seen = defaultdict(list)

    # A module that has several names, as embeddings that two halves share, is one list of calls under all of them.
    lists = {}
    for module_name, module in model.named_modules(remove_duplicate=False):
        if id(module) not in lists:
            calls = lists[id(module)] = []

            def hook(_module, _inputs, output, calls=calls):
                tensor = first_tensor(output)
                if tensor is not None:
                    calls.append(tensor.detach().clone())

            module.register_forward_hook(hook)
        # weft names modules as a model with heads calls them, which a model without them lacks the prefix of.
        seen[module_name] = seen[f"{model.base_model_prefix}.{module_name}"] = lists[id(module)]
        for tower in ("vision_model", "text_model"):
            if not hasattr(model, tower):
                seen[f"{tower}.{module_name}"] = lists[id(module)]
    inputs = {name: values[None] if name == "input_ids" else values for name, values in inputs.items()}
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    answer = model(**inputs, output_hidden_states=True)
    for field in ("hidden_states", "encoder_hidden_states", "decoder_hidden_states"):
        if field in answer:
            seen[f"{field}.0"] = list(answer[field][:1])
    if "logits" in answer:
        seen["logits"] = [answer.logits]
    return seen, answer


def answer_of(answer, head: str) -> torch.Tensor | None:
    if head == "answer_ends":
        return torch.stack([answer.start_logits[0], answer.end_logits[0]], dim=-1)
    found = [answer[field] for field in FIELDS[head] if field in answer]
    return found[0] if found else None


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float | str:
    """The largest difference, divided by the largest magnitude where that is above 1."""
    theirs = theirs.float()
    if theirs.numel() != ours.numel():
        return f"shape {tuple(ours.shape)} here, {tuple(theirs.shape)} there"
    theirs = theirs.reshape(ours.shape)
    return ((ours - theirs).abs().max() / max(1.0, theirs.abs().max().item())).item()


def compare(directory: Path, args) -> bool:
    config = transformers.AutoConfig.from_pretrained(directory)
    inputs = make_inputs(directory, config, args)
    with tempfile.TemporaryDirectory() as folder:
        given, file = Path(folder) / "inputs.safetensors", Path(folder) / "taps.safetensors"
        save_file(inputs, given)
        run = subprocess.run([args.program, directory, given, file], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            print(f"{directory.name}: weft does not run it: {run.stderr.strip()}")
            return False
        taps = sorted(load_file(file).items(), key=lambda item: int(item[0].split()[0]))
    seen, answer = run_reference(directory, config, inputs)

    compared, worst, calls = 0, 0.0, defaultdict(int)
    for key, ours in taps:
        name = key.split(" ", 1)[1]
        if name.startswith("="):
            theirs = answer_of(answer, name[1:])
            if theirs is None:
                continue
        else:
            call = calls[id(seen[name])]
            calls[id(seen[name])] += 1
            if call >= len(seen[name]):
                print(f"{directory.name}: the reference has no call {call} of a module {name}")
                return False
            theirs = seen[name][call]
        found = difference(ours, theirs)
        if isinstance(found, str) or not found <= args.tolerance:
            shown = found if isinstance(found, str) else f"{found:.2g}"
            print(f"{directory.name}: {name.removeprefix('=')} differs: {shown}, after {compared} that agree")
            return False
        compared, worst = compared + 1, max(worst, found)
        if args.verbose:
            print(f"  {name.removeprefix('=')}: {found:.2g}")
    print(f"{directory.name}: {compared} tensors agree, largest difference {worst:.1e}")
    return True


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    p.add_argument("--program", required=True, help="dump_taps, built")
    p.add_argument("--ids", type=int, nargs="+", help="token ids")
    p.add_argument("--tokens", type=int, default=24, help="how many random ids")
    p.add_argument("--tolerance", type=float, default=2e-4)
    p.add_argument("-v", "--verbose", action="store_true", help="list every tensor")
    args = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    agree = [compare(directory, args) for directory in args.checkpoints]
    print(f"{sum(agree)} of {len(agree)} agree")
    sys.exit(0 if all(agree) else 1)


if __name__ == "__main__":
    main()
