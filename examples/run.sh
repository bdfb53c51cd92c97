#!/usr/bin/env bash
# Builds examples/generate and writes a story with the model that ships.
#
#   bash examples/run.sh ["Once upon a time"]
#
# The story goes to standard output, everything else to standard error. Needs Debian or Ubuntu, or what the packages
# below hold; builds into build/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/prepare.sh

case ${1:-} in
  -h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
prompt=${1:-Once upon a time}

mkdir -p build
log=$PWD/build/examples.log
: >"$log"

install_compiler
install_missing cmake=cmake make=make libeigen3-dev=eigen3/Eigen/Core nlohmann-json3-dev=nlohmann/json.hpp \
  libsentencepiece-dev=sentencepiece_processor.h libpcre2-dev=pcre2.h libutf8proc-dev=utf8proc.h \
  libcli11-dev=CLI/CLI.hpp libstb-dev=stb/stb_image.h

jobs=$(build_jobs)
say "Installing weft's headers in build/prefix ..."
quietly "Configuring weft" cmake -S . -B build/weft -DCMAKE_BUILD_TYPE=Release -DWEFT_BUILD_TESTS=OFF
quietly "Installing weft" cmake --install build/weft --prefix build/prefix
say "Building examples/generate (a minute the first time) ..."
quietly "Configuring the example programs" cmake -S examples -B build/examples -DCMAKE_BUILD_TYPE=Release \
  "-DCMAKE_PREFIX_PATH=$PWD/build/prefix"
quietly "Building examples/generate" cmake --build build/examples --parallel "$jobs" --target generate

say "Writing a story with examples/models/tales:"
build/examples/generate/generate examples/models/tales --echo "--prompt=$prompt"
say "The other programs of examples/ are built by: cmake --build build/examples"
