#!/usr/bin/env python3
"""Compare weft with onnxruntime on the BERT-base shape, on one machine and in turn.

    python bench/compare/onnxruntime.py prepare FOLDER
    python bench/compare/onnxruntime.py compare FOLDER --program bench_compare_encoder [--rounds 7]

prepare writes a BertModel with random weights, as a checkpoint, as the graph that PyTorch exports, and as what
onnxruntime's own optimiser for BERT makes of that (fused attention and norms). compare times weft and both graphs, with
ORT_ENABLE_ALL, on two threads in float32, and weft with weights in bf16. Every round runs every engine twice, in an
order that alternates, and keeps the shorter time; the table holds medians over the rounds and, beside them, the median
of how many times faster than the faster graph of the round an engine is. What weft and onnxruntime answer in float32
must be equal within 1e-3.

Made with: torch 2.15.0, transformers 5.23.0, onnx 1.23.2, onnxruntime 1.31.1
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy

sys.path.pop(0)  # this file's own folder, where its name hides the package
import onnxruntime  # noqa: E402


def prepare(folder: Path, _args) -> None:
    import torch
    import transformers

    torch.manual_seed(1)
    model = transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False).eval()
    model.save_pretrained(folder)
    # Plain attention, which onnxruntime recognises and fuses.
    model.set_attn_implementation("eager")
    ids = torch.ones((2, 16), dtype=torch.int64)

    class Answer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, mask):
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    torch.onnx.export(
        Answer(),
        (ids, torch.ones_like(ids)),
        str(folder / "exported.onnx"),
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask", "last_hidden_state")},
        opset_version=18,
        dynamo=False,
    )
    from onnxruntime.transformers import optimizer

    fused = optimizer.optimize_model(
        str(folder / "exported.onnx"), model_type="bert", num_heads=12, hidden_size=768, opt_level=0
    )
    fused.save_model_to_file(str(folder / "fused.onnx"))


class Onnxruntime:
    def __init__(self, model: Path, batch: int, tokens: int):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = 2
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        ids = 1 + 37 * numpy.arange(batch * tokens, dtype=numpy.int64) % (30522 - 1)
        kinds = {"tensor(int32)": numpy.int32, "tensor(int64)": numpy.int64}
        values = {"input_ids": ids.reshape(batch, tokens), "attention_mask": numpy.ones((batch, tokens))}
        self.inputs = {i.name: values[i.name].astype(kinds[i.type]) for i in self.session.get_inputs()}
        self.answer = self.session.run(None, self.inputs)[0].reshape(batch * tokens, -1)

    def seconds(self) -> float:
        begin = time.perf_counter()
        self.session.run(None, self.inputs)
        return time.perf_counter() - begin


class Weft:
    def __init__(self, program: str, folder: Path, kind: str, batch: int, tokens: int):
        out = folder / f"answer-{kind}"
        command = [program, folder, kind, str(batch), str(tokens), out]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds()
        self.answer = numpy.fromfile(out, numpy.float32).reshape(batch * tokens, -1)

    def seconds(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def compare(folder: Path, args) -> None:
    shape = (args.batch, args.tokens)
    graphs = ("exported", "fused")
    engines = {f"onnxruntime {graph}": Onnxruntime(folder / f"{graph}.onnx", *shape) for graph in graphs}
    peers = list(engines)
    for kind in ("f32", "bf16"):
        engines[f"weft {kind}"] = Weft(args.program, folder, kind, *shape)
    reference = engines[peers[0]].answer
    rounds = []
    for number in range(args.rounds):
        names = list(engines) if number % 2 else list(engines)[::-1]
        rounds.append({name: min(engines[name].seconds() for _ in range(2)) for name in names})
    for name, engine in engines.items():
        milliseconds = 1000 * statistics.median(times[name] for times in rounds)
        ratio = statistics.median(min(times[peer] for peer in peers) / times[name] for times in rounds)
        difference = abs(engine.answer - reference).max()
        print(f"{name:20} {milliseconds:8.1f} ms   x {ratio:.2f}   largest difference {difference:.1e}")
        if name == "weft f32" and not difference < 1e-3:
            sys.exit("weft and onnxruntime answer differently")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["prepare", "compare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--program", default="bench_compare_encoder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    args = parser.parse_args()
    {"prepare": prepare, "compare": compare}[args.action](args.folder, args)


if __name__ == "__main__":
    main()
