#!/bin/sh
# Processor seconds to compile a file that includes one public header and nothing else, for every public header, slowest first.
# Each is compiled twice and the faster run counts. Exits with 1 where a header takes longer than its budget. Marked
# "separate": weft.hpp in a file of a program that is compiled with WEFT_SEPARATE_COMPILATION=1 (see weft/define.hpp).
#
#   sh bench/compile_time/measure.sh [compiler] [include folder] [flags...]
set -eu

compiler=${1:-c++}
include=${2:-$(cd "$(dirname "$0")/../.." && pwd)/include}
[ $# -le 2 ] && set -- "$compiler" "$include" -isystem/usr/include/eigen3
shift 2

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

budget_of() {
  case $1 in
    weft/core/tensor.hpp) echo 1500 ;;
    weft/weft.hpp | weft/weft.hpp:separate) echo 5000 ;;
    *) echo 0 ;;
  esac
}

# Processor time of compiling the probe, so that what else the machine does counts little.
milliseconds() {
  (
    "$compiler" -std=c++20 -O2 -I"$include" "$@" -c "$room/probe.cpp" -o "$room/probe.o"
    times
  ) | awk 'END { if (NR == 0) exit 1  # it did not compile
                 total = 0
                 for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); total += part[1] * 60000 + part[2] * 1000 }
                 printf "%d\n", total }'
}

# row NAME HEADER [flags...]
row() {
  name=$1 header=$2
  shift 2
  printf '#include <%s>\n' "$header" >"$room/probe.cpp"
  best=$(milliseconds "$@")
  again=$(milliseconds "$@")
  [ "$again" -lt "$best" ] && best=$again
  echo "$best $name $(budget_of "$name")"
}

echo "$("$compiler" --version | head -n 1), -std=c++20 -O2"
{
  for path in $(cd "$include" && find weft -name '*.hpp' | sort); do row "$path" "$path" "$@"; done
  row weft/weft.hpp:separate weft/weft.hpp -DWEFT_SEPARATE_COMPILATION=1 "$@"
} >"$room/times"

sort -rn "$room/times" | awk '
  { verdict = $3 == 0 ? "" : sprintf("budget %.1f s%s", $3 / 1000, $1 > $3 ? ": OVER" : "")
    if ($3 != 0 && $1 > $3) over = 1
    printf "%7.2f s  %-44s %s\n", $1 / 1000, $2, verdict }
  END { exit over }'
