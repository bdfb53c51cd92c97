#!/usr/bin/env bash
# Builds the fuzz targets with clang and runs each of them.
#
#   bash tests/fuzz/run.sh [SECONDS_EACH] [NAME ...]
#
# Without names all run, 60 seconds each; 0 seconds: until something is found. RUNS=10000000 in the environment ends each
# after as many inputs, MAX_LEN=4096 keeps them short, which makes them many. They begin with the files of tests/fixtures; inputs that reach other code are
# kept under build/fuzz/corpus, what a target fails on under build/fuzz/found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-60}
[ $# -eq 0 ] || shift
names=("$@")
[ ${#names[@]} -gt 0 ] ||
  names=(adapter chat_template config gguf json pickle pytorch quantized safetensors sentencepiece tokenizer_json)

cmake -S . -B build/fuzz -DCMAKE_CXX_COMPILER="${CXX:-clang++}" -DCMAKE_BUILD_TYPE=Release -DWEFT_BUILD_FUZZ=ON \
  -DWEFT_TEST_PACKAGE=OFF
cmake --build build/fuzz --parallel "$(nproc)" --target "${names[@]/#/weft_fuzz_}"

# Folders of small files to begin with.
seeds() {
  case $1 in
    adapter) echo tests/fixtures/adapters/* ;;
    chat_template) echo tests/fixtures/chat_templates/* tests/fuzz/seeds/chat_template ;;
    config) echo tests/fixtures/models/llama-gqa tests/fixtures/models/llama3-rope tests/fixtures/layouts/meta ;;
    gguf) echo tests/fixtures/gguf ;;
    json) echo tests/fixtures/models/llama-sharded tests/fixtures/layouts/meta ;;
    pickle | pytorch) echo tests/fixtures/pytorch ;;
    quantized) echo tests/fixtures/quantized/* ;;
    safetensors) echo tests/fixtures/pytorch tests/fixtures/models/llama-sharded ;;
    sentencepiece) echo tests/fixtures/tokenizers/* tests/fixtures/piece_vocabulary/* ;;
    tokenizer_json) echo tests/fixtures/tokenizer_json/* ;;
  esac
}

mkdir -p build/fuzz/found
for name in "${names[@]}"; do
  mkdir -p "build/fuzz/corpus/$name"
  folders=()
  for folder in $(seeds "$name"); do [ ! -d "$folder" ] || folders+=("$folder"); done
  echo "== $name"
  # 64 MiB of any one allocation and 30 s of any one input are far more than the largest input explains.
  "build/fuzz/tests/fuzz/weft_fuzz_$name" -max_total_time="$seconds" -runs="${RUNS:--1}" -max_len="${MAX_LEN:-65536}" \
    -malloc_limit_mb=64 -timeout=30 -print_final_stats=1 -artifact_prefix="build/fuzz/found/$name-" \
    "build/fuzz/corpus/$name" "${folders[@]}"
done
