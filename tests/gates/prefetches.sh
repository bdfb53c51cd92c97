#!/bin/sh
# prefetches.sh OBJDUMP OBJECT PATTERN
# Fails where a function whose mangled name matches PATTERN asks for no memory ahead, and where there is no such
# function. A compiler may leave out calls of functions that do nothing else.
set -eu

"$1" -d --no-show-raw-insn "$2" | awk -v pattern="$3" '
  function leave() {
    if (name == "") return
    functions++
    if (!asked) { printf "%s asks for nothing\n", name; bad = 1 }
    name = ""
  }
  /^[0-9a-f]+ <.*>:$/ {
    leave()
    if ($2 ~ pattern) { name = $2; asked = 0 }
    next
  }
  /\tprefetch/ { asked = 1 }
  END {
    leave()
    printf "%d functions\n", functions
    exit bad || !functions
  }'
