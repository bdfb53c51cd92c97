#!/usr/bin/env bash
# Compares weft with other engines that come with a llama-bench program, on one machine and in turn: every round runs
# every engine once, in an order that alternates, each in a fresh process; the table holds medians over the rounds and
# the median of the ratios within a round.
#
#   bash bench/compare/compare.sh WEFT MODELS ROUNDS NAME=LLAMA_BENCH[,flag...] ...
#
# WEFT: the program bench_compare_llama. MODELS: a folder with <shape>-<type>.gguf for the shapes 1b, 110m and 15m, random
# weights (their values do not change the speed). NAME=LLAMA_BENCH: another engine's llama-bench and flags for it; what
# it makes of several sequences its llama-batched-bench says, in the same folder. Threads: 2. Rates are tokens a second;
# of "first", starts a second, from the process to its first token. In brackets what that is of what the machine can do
# (bench_compare_llama says of what). An engine that cannot run a case shows nan.
# Cases may be chosen with CASES="1b:q8_0:prompt:512 ...".
set -eu

[ $# -ge 4 ] || { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2; exit 2; }
weft=$1 models=$2 rounds=$3
shift 3
cases=${CASES:-"1b:bf16:prompt:512 1b:q8_0:prompt:512 1b:q4_0:prompt:512 1b:q4_k:prompt:512
  1b:bf16:decode:64:0 1b:q8_0:decode:64:0 1b:q4_0:decode:64:0 1b:q4_k:decode:64:0 1b:q4_0:decode:32:4032
  110m:q8_0:decode:128:0 15m:q8_0:decode:256:0 1b:q4_0:batch:32:4 1b:q4_0:first"}

# measure ENGINE FILE KIND TOKENS [CONTEXT or SEQUENCES]: prints the rate, and weft's share of what the machine can do
measure() {
  local engine=$1 file=$2 kind=$3 tokens=${4:-} more=${5:-}
  local -a command
  if [ "$engine" = weft ]; then
    command=("$weft" "$file" "$kind" $tokens $more)
  else
    local bench=${engine#*=}
    local flags=${bench#"${bench%%,*}"}
    bench=${bench%%,*}
    local -x LD_LIBRARY_PATH="$(dirname "$bench"):${LD_LIBRARY_PATH:-}"
    case $kind in
      prompt) command=("$bench" -m "$file" -t 2 -r 1 -p "$tokens" -n 0 ${flags//,/ } -o csv) ;;
      decode)
        command=("$bench" -m "$file" -t 2 -r 1 -p 0 -n "$tokens" ${flags//,/ } -o csv)
        [ "$more" = 0 ] || command+=(-d "$more")
        ;;
      batch)
        command=("${bench/llama-bench/llama-batched-bench}" -m "$file" -t 2 -c 2048 -npp 64 -ntg "$tokens" -npl "$more")
        flags=${flags//,1/}
        command+=(${flags//,/ })
        ;;
      first)
        command=("$bench" -m "$file" -t 2 -r 1 -p 0 -n 1 ${flags//,/ } -o csv)
        if "$bench" --help 2>&1 | grep -q -e --no-warmup; then command+=(--no-warmup); else command+=(-w 0); fi
        ;;
    esac
  fi
  local begin=$EPOCHREALTIME
  local said
  # Some batched benches print their table where they print their log.
  if [ "$kind" = batch ] && [ "$engine" != weft ]; then
    said=$("${command[@]}" 2>&1) || { echo nan; return; }
  else
    said=$("${command[@]}" 2>/dev/null) || { echo nan; return; }
  fi
  if [ "$kind" = first ]; then
    awk -v begin="$begin" -v end="$EPOCHREALTIME" 'BEGIN { print 1 / (end - begin) }'
  elif [ "$engine" = weft ]; then
    echo "$said"
  elif [ "$kind" = batch ]; then
    awk -F'|' '/S_TG/ { for (i = 1; i <= NF; ++i) if ($i ~ /S_TG/) column = i }
               $column + 0 { rate = $column + 0 }
               END { print column && rate ? rate : "nan" }' <<<"$said"
  else
    awk -F'","' '
      NR == 1 { n = split($0, names, /"?,"?/); for (i = 1; i <= n; ++i) { gsub(/"/, "", names[i]); if (names[i] == "avg_ts") column = i } }
      NR > 1 { value = $column; gsub(/"/, "", value); last = value }
      END { print last == "" ? "nan" : last }' <<<"$said"
  fi
}

median() { sort -g | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }

engines=(weft "$@")
for case in $cases; do
  IFS=: read -r shape type kind tokens more <<<"$case"
  declare -A rates=()
  shares=""
  for ((round = 0; round < rounds; ++round)); do
    order=("${engines[@]}")
    if ((round % 2)); then
      order=()
      for ((i = ${#engines[@]} - 1; i >= 0; --i)); do order+=("${engines[i]}"); done
    fi
    for engine in "${order[@]}"; do
      read -r rate share <<<"$(measure "$engine" "$models/$shape-$type.gguf" "$kind" "$tokens" "$more")"
      rates[${engine%%=*}]+="${rate:-nan} "
      [ "$engine" = weft ] && [ "${share:-nan}" != nan ] && shares+="$share "
    done
  done
  printf '%-28s' "$shape $type $kind $tokens${more:+ at $more}"
  printf 'weft %9.1f/s' "$(tr ' ' '\n' <<<"${rates[weft]% }" | median)"
  if [ -n "$shares" ]; then
    awk -v share="$(tr ' ' '\n' <<<"${shares% }" | median)" 'BEGIN { printf " (%4.1f %%)", 100 * share }'
  else
    printf '         '
  fi
  for engine in "$@"; do
    name=${engine%%=*}
    ratio=$(paste <(tr ' ' '\n' <<<"${rates[weft]% }") <(tr ' ' '\n' <<<"${rates[$name]% }") |
      awk '{ print $2 + 0 ? $1 / $2 : "nan" }' | median)
    printf '   %s %9.1f (x %.2f)' "$name" "$(tr ' ' '\n' <<<"${rates[$name]% }" | median)" "$ratio"
  done
  echo
done
