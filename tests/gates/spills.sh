#!/bin/sh
# spills.sh OBJDUMP OBJECT PATTERN [INSTRUCTION]
# Looks at the innermost loops of the functions whose mangled names match PATTERN: fails where one writes a vector
# register to the stack, which is what a sum that found no register does, and where there is no such function. With
# INSTRUCTION, at those that have it: others may copy the last rows, fewer than a register has, by way of the stack.
set -eu

"$1" -d --no-show-raw-insn "$2" | awk -v pattern="$3" -v instruction="${4:-}" '
  function padded(address) { return substr("0000000000000000" address, length(address) + 1) }
  function leave(  i, j, k, inner, spilled, wanted) {
    if (name == "") return
    functions++
    for (i = 0; i < loops; i++) {
      inner = 1
      for (j = 0; j < loops; j++)
        if (j != i && from[j] >= from[i] && to[j] <= to[i] && (from[j] != from[i] || to[j] != to[i])) inner = 0
      if (!inner) continue
      spilled = 0
      wanted = instruction == ""
      for (k = 0; k < lines; k++)
        if (address[k] >= from[i] && address[k] <= to[i] && instruction != "" && text[k] ~ instruction) wanted = 1
      if (!wanted) continue
      innermost++
      for (k = 0; k < lines; k++)
        if (address[k] >= from[i] && address[k] <= to[i] && text[k] ~ /\tv?mov[a-z0-9]* +%[xyz]mm[0-9]+,-?(0x[0-9a-f]+)?\(%r[sb]p/)
          spilled++
      if (spilled) { printf "%d spills in the loop at %s of %s\n", spilled, from[i], name; bad = 1 }
    }
    name = ""
  }
  /^[0-9a-f]+ <.*>:$/ {
    leave()
    if ($2 ~ pattern) { name = $2; lines = 0; loops = 0 }
    next
  }
  name != "" && /^ *[0-9a-f]+:/ {
    here = $1
    sub(/:$/, "", here)
    address[lines] = padded(here)
    text[lines] = $0
    lines++
    if ($2 ~ /^j[a-z]+$/ && $3 ~ /^[0-9a-f]+$/ && padded($3) <= padded(here)) {
      from[loops] = padded($3)
      to[loops] = padded(here)
      loops++
    }
  }
  END {
    leave()
    if (functions == 0 || innermost == 0) { print "no function with a loop matches " pattern; exit 1 }
    printf "%d innermost loops of %d functions looked at\n", innermost, functions
    exit bad
  }'
