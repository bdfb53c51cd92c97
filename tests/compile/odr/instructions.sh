#!/bin/sh
# instructions.sh OBJDUMP OBJECT...
# Fails where a function of an object compiled without -m flags uses AVX registers, unless its mangled name carries the
# namespace of the instruction set it is for.
set -eu

objdump=$1
shift
"$objdump" -d --no-show-raw-insn "$@" | awk '
  /^[0-9a-f]+ <.*>:$/ { name = $2; functions++ }
  /%[yz]mm[0-9]|%k[0-7]|\tv[a-z]+[0-9a-z]* .*%xmm/ { if (name !~ /4avx2|9avx2_vnni|avx512/) wide[name] = $0 }
  END {
    if (functions == 0) { print "no function found: nothing was checked"; exit 1 }
    for (name in wide) { print "AVX outside an instruction set namespace: " name wide[name]; bad = 1 }
    printf "%d functions looked at\n", functions
    exit bad
  }'
