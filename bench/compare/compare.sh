#!/usr/bin/env bash
# Compares weft with other engines that come with a llama-bench program, on one machine and in turn: every round runs
# every engine once, in an order that alternates, each in a fresh process; the table holds medians over the rounds and
# the median of the ratios within a round.
#
#   bash bench/compare/compare.sh WEFT MODELS ROUNDS NAME=LLAMA_BENCH[,flag...] ...
#
# WEFT: the program bench_compare_llama. MODELS: a folder with <shape>-<type>.gguf for the shapes 1b, 110m and 15m, random
# weights (their values do not change the speed). NAME=LLAMA_BENCH: another engine's llama-bench and flags for it.
# Threads: 2. An engine that cannot run a case shows nan. Cases may be chosen with CASES="1b:q8_0:prompt:512 ...".
set -eu

[ $# -ge 4 ] || { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2; exit 2; }
weft=$1 models=$2 rounds=$3
shift 3
cases=${CASES:-"1b:bf16:prompt:512 1b:q8_0:prompt:512 1b:q4_0:prompt:512 1b:q4_k:prompt:512
  1b:bf16:decode:64:0 1b:q8_0:decode:64:0 1b:q4_0:decode:64:0 1b:q4_k:decode:64:0 1b:q4_0:decode:32:4096
  110m:q8_0:decode:128:0 15m:q8_0:decode:256:0"}

# measure ENGINE SHAPE TYPE KIND TOKENS CONTEXT
measure() {
  if [ "$1" = weft ]; then
    "$weft" "$2" "$3" "$4" "$5" ${6:+"$6"}
    return
  fi
  local bench=${1#*=}
  local flags=${bench#"${bench%%,*}"}
  bench=${bench%%,*}
  local test="-p $5 -n 0"
  [ "$4" = prompt ] || test="-p 0 -n $5"
  [ "${6:-0}" = 0 ] || test+=" -d $6"
  # shellcheck disable=SC2086
  LD_LIBRARY_PATH="$(dirname "$bench"):${LD_LIBRARY_PATH:-}" "$bench" -m "$models/$2-$3.gguf" -t 2 -r 1 $test \
    ${flags//,/ } -o csv 2>/dev/null | awk -F'","' '
      NR == 1 { for (i = 1; i <= NF; ++i) { name = $i; gsub(/"/, "", name); if (name ~ /^avg_ts/) column = i } }
      NR == 1 && !column { n = split($0, names, ","); for (i = 1; i <= n; ++i) if (names[i] == "avg_ts") column = i }
      NR > 1 { value = $column; gsub(/"/, "", value); last = value }
      END { print last == "" ? "nan" : last }'
}

median() { sort -g | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }

engines=(weft "$@")
for case in $cases; do
  IFS=: read -r shape type kind tokens context <<<"$case"
  declare -A rates=()
  for ((round = 0; round < rounds; ++round)); do
    order=("${engines[@]}")
    if ((round % 2)); then
      order=()
      for ((i = ${#engines[@]} - 1; i >= 0; --i)); do order+=("${engines[i]}"); done
    fi
    for engine in "${order[@]}"; do
      rates[${engine%%=*}]+="$(measure "$engine" "$shape" "$type" "$kind" "$tokens" "${context:-}") "
    done
  done
  printf '%-28s' "$shape $type $kind $tokens${context:+ at $context}"
  printf 'weft %9.1f t/s' "$(tr ' ' '\n' <<<"${rates[weft]% }" | median)"
  for engine in "$@"; do
    name=${engine%%=*}
    ratio=$(paste <(tr ' ' '\n' <<<"${rates[weft]% }") <(tr ' ' '\n' <<<"${rates[$name]% }") | awk '{ print $1 / $2 }' | median)
    printf '   %s %9.1f (x %.2f)' "$name" "$(tr ' ' '\n' <<<"${rates[$name]% }" | median)" "$ratio"
  done
  echo
done
