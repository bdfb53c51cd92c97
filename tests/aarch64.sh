#!/usr/bin/env bash
# Builds weft's tests for 64-bit ARM with a cross compiler and runs them in an emulator: those of core, cpu, quant, ops
# and sampling, which need no library for ARM but GoogleTest, whose sources Debian has; those of cpu once more on a
# processor without int8 dot products.
#
#   bash tests/aarch64.sh
#
# Needs Debian or Ubuntu, or what the packages below hold; builds into build/tests-aarch64/. Attention runs with one
# instruction set alone, as its references take the emulator long. About four minutes of one processor, half of them for
# running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/prepare.sh

[ $# -eq 0 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0; }
[ "$(uname -m)" != aarch64 ] || stop "this machine is a 64-bit ARM: bash tests/run.sh runs all tests on it."

mkdir -p build
folder=build/tests-aarch64
log=$PWD/$folder.log
: >"$log"
install_missing cmake=cmake make=make g++-aarch64-linux-gnu=aarch64-linux-gnu-g++ qemu-user=qemu-aarch64 \
  libeigen3-dev=eigen3/Eigen/Core googletest=../src/googletest/CMakeLists.txt

launcher=()
! present ccache || launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
jobs=$(build_jobs)
say "Configuring weft's tests for $(aarch64-linux-gnu-g++ --version | head -n 1) ..."
quietly "Configuring the tests" cmake -S tests/aarch64 -B "$folder" -DCMAKE_BUILD_TYPE=Release \
  "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu" "${launcher[@]}"
say "Building the tests with $jobs jobs (some minutes the first time) ..."
quietly "Building the tests" cmake --build "$folder" --parallel "$jobs"

say "Running the tests ..."
if ! ctest --test-dir "$folder" --parallel "$jobs" --output-on-failure --no-tests=error >"$folder.tests.log" 2>&1; then
  sed -n '/^The following tests FAILED/,$p' "$folder.tests.log" >&2
  stop "some tests fail; what they say is in $PWD/$folder.tests.log"
fi
grep -E 'tests passed|^Total Test time' "$folder.tests.log"
