#!/usr/bin/env bash
# Builds the tests of weft::cuda and runs them on the device of this machine, then once more under compute-sanitizer,
# memcheck and racecheck, where the toolkit has it. For a machine without a network and with few libraries: the CUDA
# Toolkit, a C++ compiler, and the three folders below. Elsewhere tests/run.sh builds and runs the same tests.
#
#   bash tests/cuda/run.sh [GoogleTest's arguments]
#
#   CUDA_ARCH   what is compiled for, as 90a; without it, what the device is, or 90a
#   EIGEN_DIR   the folder that holds Eigen/Core; without it /usr/include/eigen3
#   JSON_DIR    the folder that holds nlohmann/json.hpp; without it /usr/include
#   GTEST_DIR   GoogleTest's sources; without it /usr/src/googletest/googletest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() { echo "error: $*" >&2; exit 1; }
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
[ -x "$nvcc" ] || die "there is no nvcc"
eigen=${EIGEN_DIR:-/usr/include/eigen3}
json=${JSON_DIR:-/usr/include}
gtest=${GTEST_DIR:-/usr/src/googletest/googletest}
[ -e "$eigen/Eigen/Core" ] || die "there is no Eigen in $eigen: set EIGEN_DIR"
[ -e "$json/nlohmann/json.hpp" ] || die "there is no nlohmann/json.hpp in $json: set JSON_DIR"
[ -e "$gtest/src/gtest-all.cc" ] || die "there are no sources of GoogleTest in $gtest: set GTEST_DIR"
capability=$({ nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null || true; } |
  sed -n '1s/^\([0-9]*\)\.\([0-9]\)$/\1\2/p') # nothing without a device
[ "$capability" != 90 ] || capability=90a
arch=${CUDA_ARCH:-${capability:-90a}}
room=build/tests-cuda
mkdir -p "$room"

cat >"$room/Makefile" <<MAKE
flags := -std=c++20 -UNDEBUG -DWEFT_ENABLE_ASSERTS=1 -DWEFT_SEPARATE_COMPILATION=1 -DWEFT_TESTS_DIR='"$PWD/tests"' \\
  -Iinclude -Itests -isystem $eigen -idirafter $json -isystem $gtest/include -isystem $gtest
device := \$(patsubst tests/cuda/%.cu,$room/%.o,\$(wildcard tests/cuda/*_test.cu))
host := \$(patsubst tests/cuda/%.cpp,$room/%.o,\$(wildcard tests/cuda/*.cpp)) $room/gtest-all.o $room/gtest_main.o
$room/tests: \$(device) \$(host)
	$nvcc \$^ -lcublasLt -lpthread -o \$@
$room/%.o: tests/cuda/%.cu
	$nvcc -O2 -lineinfo -gencode arch=compute_$arch,code=sm_$arch \$(flags) -c \$< -o \$@
$room/%.o: tests/cuda/%.cpp
	c++ -O2 \$(flags) -c \$< -o \$@
$room/%.o: $gtest/src/%.cc
	c++ -O1 \$(flags) -c \$< -o \$@
MAKE
make -f "$room/Makefile" -j "$(nproc)" "$room/tests"

failed=0
"$room/tests" --gtest_brief=1 "$@" || failed=1
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ -z "$capability" ] || [ ! -x "$sanitizer" ]; then
  echo "compute-sanitizer: not run, there is no device or no $sanitizer"
  exit $failed
fi
# Whole models have the kernels of the other tests.
for tool in memcheck racecheck; do
  if "$sanitizer" --tool "$tool" --error-exitcode 1 "$room/tests" --gtest_brief=1 \
    "--gtest_filter=-Decoder.*:*Decoders.*:Encoder*:*/Encoders.*:*Vision*" >"$room/$tool.log" 2>&1; then
    echo "compute-sanitizer, $tool: clean"
  else
    echo "compute-sanitizer, $tool: see $room/$tool.log"
    failed=1
  fi
done
exit $failed
