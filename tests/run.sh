#!/usr/bin/env bash
# Builds and runs weft's tests.
#
#   bash tests/run.sh [--compiler clang++] [--sanitize address,undefined | thread] [--only LABEL,...] [--no-package]
#
#   --compiler   the C++ compiler; without it $CXX or c++
#   --sanitize   build with these sanitizers; thread runs the tests of threads alone
#   --only       the tests with these labels: core, ops, ..., compile, headers, package
#   --no-package leaves out the tests that build projects outside weft
#   --bench      builds the benchmarks too
#
# Needs Debian or Ubuntu, or what the packages below hold; builds into build/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/prepare.sh

sanitize="" only="" package=ON gates=ON bench=OFF
while [ $# -gt 0 ]; do
  case $1 in
    --compiler) CXX=${2:?"--compiler needs a name"}; shift ;;
    --sanitize) sanitize=${2:?"--sanitize needs a list"}; shift ;;
    --only) only=${2:?"--only needs a list of labels"}; shift ;;
    --no-package) package=OFF ;;
    --bench) bench=ON ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) stop "$1 is no option of tests/run.sh; --help names them." ;;
  esac
  shift
done

mkdir -p build
name=${CXX:-c++}
folder=build/tests-$(basename "$name")${sanitize:+-${sanitize//,/-}}
log=$PWD/$folder.log
: >"$log"

case ${CXX:-} in
  clang++) install_missing clang=clang++ ;;
  g++) install_missing g++=g++ ;;
esac
install_compiler
install_missing cmake=cmake make=make libeigen3-dev=eigen3/Eigen/Core nlohmann-json3-dev=nlohmann/json.hpp \
  libsentencepiece-dev=sentencepiece_processor.h libpcre2-dev=pcre2.h libutf8proc-dev=utf8proc.h libcli11-dev=CLI/CLI.hpp \
  libgtest-dev=gtest/gtest.h libgmock-dev=gmock/gmock.h libstb-dev=stb/stb_image.h
[ $bench = OFF ] || install_missing libbenchmark-dev=benchmark/benchmark.h

flags="" release="-O2 -DNDEBUG"
targets=()
chosen=()
if [ -n "$sanitize" ]; then
  # One level lower: the checks cost time to compile and to run.
  flags="-fsanitize=$sanitize -fno-sanitize-recover=all -fno-omit-frame-pointer"
  release="-O1 -DNDEBUG"
  package=OFF gates=OFF
  chosen=(-LE 'compile|headers')
fi
if [ "$sanitize" = thread ]; then
  targets=(--target weft_core_tests)
  chosen=(-R 'Thread|Executor')
fi
if [ -n "$only" ]; then
  chosen=(-L "^(${only//,/|})\$")
  # Only what these tests run, but for those that take all there is.
  targets=(--target)
  for label in ${only//,/ }; do
    case $label in
      compile) targets+=(weft_layering weft_odr_forward weft_odr_reverse) ;;
      headers) targets+=(weft_layering) ;;
      package | gates) targets=() && break ;;
      *) targets+=("weft_${label}_tests") ;;
    esac
  done
fi

# Clang's sanitizers may come in a package of their own.
if [ -n "$sanitize" ] && ! echo 'int main() {}' | "${CXX:-c++}" -x c++ "-fsanitize=$sanitize" -o "$folder.probe" - 2>>"$log"; then
  version=$("${CXX:-c++}" -dumpversion)
  install_missing "libclang-rt-${version%%.*}-dev=no such command"
fi
rm -f "$folder.probe"

jobs=$(build_jobs)
say "Configuring weft's tests for $("${CXX:-c++}" --version | head -n 1)${sanitize:+ with the $sanitize sanitizer} ..."
quietly "Configuring the tests" cmake -S . -B "$folder" -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_COMPILER=${CXX:-c++}" \
  "-DCMAKE_CXX_FLAGS=$flags" "-DCMAKE_CXX_FLAGS_RELEASE=$release" \
  -DWEFT_TEST_PACKAGE=$package -DWEFT_TEST_GATES=$gates -DWEFT_BUILD_BENCH=$bench
say "Building the tests with $jobs jobs (some minutes the first time) ..."
quietly "Building the tests" cmake --build "$folder" --parallel "$jobs" "${targets[@]}"

# ThreadSanitizer needs its fixed places in the address space.
runner=()
if [ "$sanitize" = thread ] && setarch "$(uname -m)" -R true 2>/dev/null; then
  runner=(setarch "$(uname -m)" -R)
fi
say "Running the tests ..."
status=0
"${runner[@]}" ctest --test-dir "$folder" --parallel "$jobs" --output-on-failure --no-tests=error --progress \
  "${chosen[@]}" >"$folder.tests.log" 2>&1 || status=$?
if [ $status -ne 0 ]; then
  sed -n '/^The following tests FAILED/,$p' "$folder.tests.log" >&2
  stop "some tests fail; what they say is in $PWD/$folder.tests.log"
fi
grep -E 'tests passed|^Total Test time' "$folder.tests.log"
