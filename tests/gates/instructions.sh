#!/bin/sh
# instructions.sh VALGRIND PROGRAM ISA TYPE EXPECTED
# Counts the instructions of a decode of eight tokens: the same for the same binary whatever else the machine does.
# Fails where they are more than 2 % away from EXPECTED.
set -eu

out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
"$1" --tool=callgrind --callgrind-out-file="$out" --collect-atstart=no --toggle-collect=decode_steps "$2" "$3" "$4" \
  >/dev/null 2>&1 || status=$?
[ $status -ne 77 ] || exit 77
[ $status -eq 0 ] || { echo "$2 $3 $4 ended with status $status"; exit 1; }
awk -v expected="$5" '
  /^(summary|totals):/ { count = $2 }
  END {
    if (count == 0) { print "callgrind counted nothing"; exit 1 }
    printf "%d instructions, %.2f %% from the recorded %d\n", count, 100 * (count / expected - 1), expected
    exit count > expected * 1.02 || count < expected * 0.98
  }' "$out"
