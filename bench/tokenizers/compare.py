#!/usr/bin/env python3
"""Compare the throughput of weft's tokenizers with that of the tokenizers package, on one thread.

    python compare.py --program bench_tokenizers_tokenizers --texts TEXT... [--rounds 5] TOKENIZER...

TOKENIZER is a directory with tokenizer.json. Every round runs both once, one after the other, on documents of about 4 KB;
of each the best round counts. The package is asked for one document at a time (encode) and for all at once
(encode_batch); weft for ids alone (encode) and for what the package gives, offsets and words too (tokenize). Prints MB/s
and the ratio of tokenize to the better of the package.

Made with: tokenizers 0.23.3
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
import tokenizers  # noqa: E402


def documents_of(path):
    documents = [""]
    for line in path.read_bytes().decode().split("\n"):
        if documents[-1] and len((documents[-1] + line).encode()) > 4096:
            documents.append("")
        documents[-1] += line + "\n"
    return documents


def seconds(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def package_rates(tokenizer, documents):
    size = sum(len(document.encode()) for document in documents) / 1e6
    one_by_one = lambda: [tokenizer.encode(document) for document in documents]
    at_once = lambda: tokenizer.encode_batch(documents)
    return {name: size / min(seconds(run) for _ in range(3))
            for name, run in (("encode", one_by_one), ("encode_batch", at_once))}


def weft_rates(program, directory, text):
    environment = os.environ | {"WEFT_BENCH_TOKENIZERS": str(directory), "WEFT_BENCH_TEXTS": str(text)}
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.3"], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return {run["name"].split("/")[0]: run["bytes_per_second"] / 1e6 for run in json.loads(done.stdout)["benchmarks"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", metavar="TOKENIZER", nargs="+", type=Path)
    parser.add_argument("--program", required=True)
    parser.add_argument("--texts", nargs="+", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for directory in args.tokenizers:
        tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        for text in args.texts:
            best = {}
            for _ in range(args.rounds):
                rates = {f"package {name}": rate for name, rate in package_rates(tokenizer, documents_of(text)).items()}
                rates |= {f"weft {name}": rate for name, rate in weft_rates(args.program, directory, text).items()}
                best = {name: max(rate, best.get(name, 0)) for name, rate in rates.items()}
            ratio = best["weft tokenize"] / max(best["package encode"], best["package encode_batch"])
            print(f"{directory.name:16} {text.name:16} " + "  ".join(f"{name} {rate:.1f}" for name, rate in best.items())
                  + f"  MB/s, ratio {ratio:.1f}", flush=True)


if __name__ == "__main__":
    main()
