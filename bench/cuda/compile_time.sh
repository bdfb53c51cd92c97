#!/usr/bin/env bash
# Processor seconds that nvcc takes to compile a file that includes one header of weft::cuda and nothing else, for every
# one of them, and the size of the machine code of every kernel for half and bfloat16. No device is needed. Users pay
# for the kernels that they name: those are instantiated where they are called.
#
#   bash bench/cuda/compile_time.sh [EIGEN_DIR]     EIGEN_DIR: the folder that holds Eigen/Core, or /usr/include/eigen3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
eigen_dir=${1:-/usr/include/eigen3}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
compile() { # ARCHITECTURE, arguments
  "$nvcc" -std=c++20 -O3 -gencode "arch=compute_$1,code=sm_$1" -DWEFT_SEPARATE_COMPILATION=1 -Iinclude \
    -isystem "$eigen_dir" "${@:2}"
}

echo "| header | seconds |"
echo "|---|---|"
TIMEFORMAT=%U
for header in $(cd include && find weft/cuda -name '*.cuh' | sort); do
  echo "#include <$header>" >"$room/probe.cu"
  echo "| $header | $({ time compile 90a -c "$room/probe.cu" -o "$room/probe.o"; } 2>&1) |"
done
echo
echo "| every kernel for half and bfloat16 | bytes of machine code | seconds |"
echo "|---|---|---|"
for architecture in 80 90 90a; do
  took=$({ time compile "$architecture" -cubin -o "$room/all.cubin" tests/cuda/every_kernel.cu; } 2>&1)
  echo "| sm_$architecture | $(stat -c %s "$room/all.cubin") | $took |"
done
