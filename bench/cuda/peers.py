"""Measures PyTorch and transformers on the device of this machine, beside what weft reached in the same run.

    python3 peers.py [--rehearse] [--seconds N] VALUES      VALUES: what device_bench wrote

What is not measured after so many seconds stands in the table as such.
"""

import argparse
import signal
import statistics
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("values")
parser.add_argument("--rehearse", action="store_true", help="small sizes, on the CPU where there is no device")
parser.add_argument("--seconds", type=int, default=3600)
options = parser.parse_args()
deadline = time.monotonic() + options.seconds


def stop(*_):
    raise TimeoutError("there is no time left")


signal.signal(signal.SIGALRM, stop)

weft = {}
with open(options.values, encoding="utf-8") as file:
    for line in file:
        what, value = line.rstrip("\n").split("\t")
        weft[what] = float(value)

NOT_MEASURED = "not measured"
print("| peer | found | weft, in the same run | weft beside it | to be reached |")
print("|---|---|---|---|---|", flush=True)


def row(peer, unit, beside, goal, measure):
    """Prints a line of the table; `beside` names weft's line, whose larger value is the better one."""
    try:
        if torch is None:
            raise RuntimeError("there is no PyTorch with a device")
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, deadline - time.monotonic()))
        try:
            found = measure()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Exception as error:  # the other lines are measured all the same
        print(f"{peer}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        found = None
    own = weft.get(beside)

    def text(value):
        return NOT_MEASURED if value is None else f"{value:.4g} {unit}"

    ratio = NOT_MEASURED if found is None or own is None else f"{own / found:.2f} x"
    print(f"| {peer} | {text(found)} | {text(own)} | {ratio} | {goal} |", flush=True)


try:
    import torch
except ImportError:
    torch = None
device = "cuda" if torch is not None and torch.cuda.is_available() else "cpu"
if device == "cpu" and not options.rehearse:
    torch = None
if options.rehearse:
    print("A rehearsal with small sizes: these numbers say nothing.", file=sys.stderr)


def seconds(work, calls=8):
    """Of one call, recorded as weft's are: the median of nine rounds, after one that does not count."""
    rounds = []
    if device == "cuda":
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            work()
        torch.cuda.synchronize()
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded):
            for _ in range(calls):
                work()
    for _ in range(10):
        if device == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            recorded.replay()
            end.record()
            end.synchronize()
            rounds.append(begin.elapsed_time(end) * 1e-3 / calls)
        else:
            begin = time.perf_counter()
            for _ in range(calls):
                work()
            rounds.append((time.perf_counter() - begin) / calls)
    return statistics.median(rounds[1:])


def matmul():
    n = 32 if options.rehearse else 8192
    a, b = (torch.rand(n, n, device=device, dtype=torch.bfloat16) * 2 - 1 for _ in range(2))
    return 2 * n**3 / seconds(lambda: a @ b.T) * 1e-12


def attention(queries, keys, caches, causal, work_of_call):
    def random(heads, tokens):
        return torch.rand(1, heads, tokens, 128, device=device, dtype=torch.float16) * 2 - 1

    q = random(32, queries)
    pairs = [(random(8, keys), random(8, keys)) for _ in range(caches)]
    call = [0]

    def work():
        k, v = pairs[call[0] % caches]
        call[0] += 1
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)

    return work_of_call / seconds(work) * 1e-12


def prompt_attention():
    n = 64 if options.rehearse else 8192
    return attention(n, n, 1, True, 4 * n * (n + 1) / 2 * 32 * 128)


def decode_attention():
    n = 256 if options.rehearse else 32768
    return attention(1, n, 4, False, 2 * n * 8 * 128 * 2)


def generate(**shape):
    """Tokens a second of generate() with a static cache, whose step of one token is compiled."""
    from transformers import LlamaConfig, LlamaForCausalLM

    count = 4 if options.rehearse else 128
    if options.rehearse:
        shape |= {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 320}
    config = LlamaConfig(**({"vocab_size": 128256, "num_attention_heads": 32, "num_key_value_heads": 8,
                             "rope_theta": 500000.0, "max_position_embeddings": 8192, "eos_token_id": None,
                             "bos_token_id": None, "pad_token_id": 0} | shape))
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    prompt = torch.arange(16, device=device)[None] % config.vocab_size

    class Clock:
        """When the prompt and each token came to the host."""

        def __init__(self):
            self.times = []

        def put(self, _):
            self.times.append(time.perf_counter())

        def end(self):
            pass

    def speed():
        clock = Clock()
        with torch.inference_mode():
            model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, min_new_tokens=count,
                           max_new_tokens=count, cache_implementation="static", streamer=clock)
        assert len(clock.times) == 1 + count, "the text ended early"
        return (count - 1) / (clock.times[-1] - clock.times[1])

    for _ in range(2):  # compiles
        speed()
    return statistics.median(speed() for _ in range(3))


def generate_large():
    return generate(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32)


def generate_small():
    return generate(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, head_dim=64,
                    tie_word_embeddings=True)


if torch is not None:
    torch.manual_seed(0)
row("PyTorch matmul, bf16, 8192 x 8192 x 8192", "TFLOP/s", "product of 8192 x 8192 x 8192 in bf16, cuBLASLt", "",
    matmul)
row("PyTorch scaled_dot_product_attention, 8k tokens, causal", "TFLOP/s",
    "prompt attention, 8k tokens, causal, 32/8 heads of 128", "", prompt_attention)
row("PyTorch scaled_dot_product_attention, one token, 32k keys", "TB/s",
    "decode attention, 32k keys, 32/8 heads of 128", "", decode_attention)
row("transformers generate, static cache, compiled, 1B in f16", "tokens/s", "decode, 1B in f16, batch 1",
    ">= 1.3 x", generate_small)
row("transformers generate, static cache, compiled, 8B in f16", "tokens/s", "decode, 8B in f16, batch 1",
    ">= 1.3 x", generate_large)
