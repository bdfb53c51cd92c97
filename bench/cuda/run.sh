#!/usr/bin/env bash
# Measures weft::cuda on the device of this machine and prints what RESULTS.md keeps. One call takes under ten minutes:
# what there is no time for stands there as not measured. It needs no network: the CUDA Toolkit, a C++ compiler, Eigen,
# and, to be compared with PyTorch, a Python that has it.
#
#   bash bench/cuda/run.sh [--rehearse]     --rehearse: with small sizes, to see whether everything runs
#
#   CUDA_ARCH   what is compiled for, as 90a; without it, what the device is
#   EIGEN_DIR   the folder that holds Eigen/Core; without it /usr/include/eigen3
#   PYTHON      the Python of the comparison; without it python3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() { echo "error: $*" >&2; exit 1; }
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
[ -x "$nvcc" ] || die "there is no nvcc"
eigen=${EIGEN_DIR:-/usr/include/eigen3}
[ -e "$eigen/Eigen/Core" ] || die "there is no Eigen in $eigen: set EIGEN_DIR"
asked() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1 || true; }
capability=$(asked compute_cap | sed -n 's/^\([0-9]*\)\.\([0-9]\)$/\1\2/p') # nothing without a device
[ "$capability" != 90 ] || capability=90a
arch=${CUDA_ARCH:-${capability:-90a}}
room=build/bench-cuda
mkdir -p "$room"
rm -f "$room/values.tsv"

flags=(-std=c++20 -O3 -gencode "arch=compute_$arch,code=sm_$arch" -DWEFT_SEPARATE_COMPILATION=1 -Iinclude
  -isystem "$eigen")
jobs=()
for name in device_bench kernels models; do
  "$nvcc" "${flags[@]}" -c "bench/cuda/$name.cu" -o "$room/$name.o" & jobs+=($!)
done
c++ -std=c++20 -O2 -DWEFT_SEPARATE_COMPILATION=1 -Iinclude -isystem "$eigen" -c bench/cuda/definitions.cpp \
  -o "$room/definitions.o" & jobs+=($!)
for job in "${jobs[@]}"; do wait "$job" || die "the programs do not compile"; done
"$nvcc" "$room"/{device_bench,kernels,models,definitions}.o -lcublasLt -lpthread -o "$room/device_bench"
built=$SECONDS

# The clocks of the whole run, twice a second.
watcher=
if [ -n "$capability" ]; then
  nvidia-smi --query-gpu=clocks.sm,clocks.mem,power.draw --format=csv,noheader,nounits -lms 500 >"$room/clocks.csv" &
  watcher=$!
  trap 'kill "$watcher" 2>/dev/null || true' EXIT
  echo "Date: $(date -u +%F). Driver: $(asked driver_version). Compiled for sm_$arch by nvcc" \
    "$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p') in $built s."
  echo
fi

# Lines begin until four minutes are left for the peers, and those until 40 seconds are.
left() { echo $((SECONDS < 600 - $1 ? 600 - $1 - SECONDS : 1)); }
failed=0
timeout "$(left 120)" "$room/device_bench" --seconds "$(left 240)" "$@" "$room/values.tsv" || failed=1
if [ -n "$capability" ]; then
  echo
  touch "$room/values.tsv"
  timeout "$(left 10)" "${PYTHON:-python3}" bench/cuda/peers.py --seconds "$(left 40)" "$@" "$room/values.tsv" ||
    failed=1
  kill "$watcher" 2>/dev/null || true
  echo
  middle() {
    cut -d, -f"$1" "$room/clocks.csv" | sort -n |
      awk '{ v[NR] = $1 } END { print NR ? v[1] ", " v[int((NR + 1) / 2)] ", " v[NR] : "not measured" }'
  }
  echo "Least, middle and highest in the run: multiprocessors $(middle 1) MHz, memory $(middle 2) MHz, $(middle 3) W."
  echo "The run took $SECONDS s."
fi
exit $failed
