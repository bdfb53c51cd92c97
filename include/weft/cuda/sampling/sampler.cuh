#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/cuda/core/device.cuh>
#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/core/launch.cuh>
#include <weft/cuda/sampling/select.cuh>
#include <weft/cuda/sampling/weights.cuh>
#include <weft/sampling/params.hpp>

namespace weft::inline v0::cuda {

/// The random numbers of one row, in device memory: the next draw takes uniform_double number `drawn` of
/// Philox(seed, stream).
struct DrawState {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  std::uint64_t drawn = 0;
};

/// What weft::Sampler::Draw is on the CPU. The id is -1, and nothing is drawn, where a logit is NaN or +infinity or all
/// are -infinity.
struct DeviceDraw {
  TokenId id;
  float log_probability;
  float probability;
};

namespace detail {

struct SampleArgs {
  std::size_t row_stride;
  std::uint32_t vocab;
  std::uint32_t chunk;  // elements of a block
  bool greedy;
  float temperature;
  std::uint32_t top_k;  // 0: off
  float top_p;          // 1: off
  float min_p;          // 0: off
  DrawState* states;    // (rows)
  DeviceDraw* draws;    // (rows)
  std::byte* workspace;
};

inline constexpr unsigned most_row_blocks = 256;

/// The workspace of a row: its state, the sums of its blocks, the sums of the passes of top-k and of top-p.
struct RowWorkspace {
  RowState state;
  Units blocks[most_row_blocks];
  Units sums[2][select_passes * digit_values];
};

template <class T>
class RowSampler {
 public:
  __device__ RowSampler(const T* logits, const SampleArgs& args, RowWorkspace* memory, SelectShared& shared)
      : logits_(logits),
        args_(args),
        memory_(memory),
        shared_(shared),
        team_(&memory->state, gridDim.x),
        begin_(min(args.vocab, blockIdx.x * args.chunk)),
        end_(min(args.vocab, begin_ + args.chunk)) {}

  __device__ void run(DrawState& draws, DeviceDraw& result) {
    const double u = args_.greedy ? 0.0 : uniform_double(draws.seed, draws.stream, draws.drawn);
    find_largest();
    add_all_weights();
    team_.wait();
    if (*static_cast<volatile unsigned*>(&memory_->state.no_number) != 0 || max_ == -INFINITY) {
      if (leads()) result = {-1, NAN, NAN};
      return;
    }
    if (args_.greedy) {
      if (leads()) result = {static_cast<TokenId>(largest_), log_probability(largest_), 1.f};
      return;
    }
    if (args_.top_k != 0) limit_count();
    if (args_.top_p < 1.f) limit_mass();
    draw(u, draws, result);
  }

 private:
  __device__ __forceinline__ bool leads() const { return blockIdx.x == 0 && threadIdx.x == 0; }
  __device__ __forceinline__ float logit(std::uint32_t i) const { return to_float(logits_[i]); }
  __device__ __forceinline__ float weight(float x) const { return weight_of(x, max_, args_.temperature); }

  template <class F>
  __device__ __forceinline__ void for_own(F&& f) const {
    for (std::uint32_t i = begin_ + threadIdx.x; i < end_; i += select_threads) f(i, logit(i));
  }

  __device__ void find_largest() {
    Units largest = 0;
    bool no_number = false;
    for_own([&](std::uint32_t i, float x) {
      no_number |= !(x < INFINITY);
      const Units here = Units{~falling_key(x)} << 32 | ~i;
      largest = here > largest ? here : largest;
    });
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      const Units other = __shfl_xor_sync(whole_warp, largest, distance);
      largest = other > largest ? other : largest;
    }
    if (threadIdx.x % warp_threads == 0) atomicMax(&memory_->state.largest, largest);
    if (no_number) memory_->state.no_number = 1;
    team_.wait();
    largest = *static_cast<volatile Units*>(&memory_->state.largest);
    largest_ = ~static_cast<std::uint32_t>(largest);
    max_ = largest_ < args_.vocab ? logit(largest_) : -INFINITY;
  }

  /// The sum of units over the block, in thread 0.
  __device__ Units block_sum(Units sum) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(whole_warp, sum, distance);
    __syncthreads();
    if (threadIdx.x % warp_threads == 0) shared_.warps[threadIdx.x / warp_threads] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < select_threads / static_cast<int>(warp_threads); ++w) sum += shared_.warps[w];
    return sum;
  }

  __device__ void add_all_weights() {
    Units sum = 0;
    for_own([&](std::uint32_t, float x) { sum += units_of(weight_of(x, max_, 1.f)); });
    sum = block_sum(sum);
    if (threadIdx.x == 0 && sum != 0) atomicAdd(&memory_->state.total_of_logits, sum);
  }

  /// top-k: the greatest logits stay, the lower ids among equals.
  __device__ void limit_count() {
    count_cut_ = find_cut(
        team_, shared_, memory_->sums[0],
        [&](auto&& f) { for_own([&](std::uint32_t i, float x) { f(falling_key(x), i); }); },
        [](std::uint32_t) { return Units{1}; }, [&](Units) { return Units{args_.top_k} - 1; });
  }

  /// top-p: a weight goes where the sum of those before it exceeds p times that of all.
  __device__ void limit_mass() {
    mass_cut_ = find_cut(
        team_, shared_, memory_->sums[1],
        [&](auto&& f) {
          for_own([&](std::uint32_t i, float x) {
            if (count_cut_.keeps(falling_key(x), i)) f(~__float_as_uint(weight(x)), i);
          });
        },
        [](std::uint32_t key) { return units_of(__uint_as_float(~key)); },
        [&](Units total) {
          return static_cast<Units>(__dmul_rn(static_cast<double>(args_.top_p), static_cast<double>(total)));
        });
  }

  /// The units of an element that is still there, otherwise 0.
  __device__ __forceinline__ Units units(std::uint32_t i, float x) const {
    const float w = weight(x);
    const bool stays =
        w >= args_.min_p && count_cut_.keeps(falling_key(x), i) && mass_cut_.keeps(~__float_as_uint(w), i);
    return stays ? units_of(w) : 0;
  }

  __device__ void draw(double u, DrawState& draws, DeviceDraw& result) {
    Units sum = 0;
    for_own([&](std::uint32_t i, float x) { sum += units(i, x); });
    sum = block_sum(sum);
    if (threadIdx.x == 0) memory_->blocks[blockIdx.x] = sum;
    team_.wait();
    const auto target = [&](Units total) {
      const auto scaled = static_cast<Units>(__dmul_rn(u, static_cast<double>(total)));
      return scaled < total ? scaled : total - 1;
    };
    const Crossing block = find_crossing(shared_, memory_->blocks, gridDim.x, target);
    if (block.index != blockIdx.x) return;
    // The place inside this block: sums of neighbouring elements, one for each thread.
    const Units most = target(block.total) - block.before;
    const std::uint32_t each = (args_.chunk + select_threads - 1) / select_threads;
    std::uint32_t i = min(end_, begin_ + threadIdx.x * each);
    const std::uint32_t end = min(end_, i + each);
    sum = 0;
    for (std::uint32_t j = i; j < end; ++j) sum += units(j, logit(j));
    __syncthreads();
    shared_.sums[threadIdx.x] = sum;
    __syncthreads();
    const Crossing place = find_crossing(shared_, shared_.sums, select_threads, [&](Units) { return most; });
    if (place.index != threadIdx.x) return;
    Units before = place.before;
    Units here = units(i, logit(i));
    while (before + here <= most) {
      before += here;
      ++i;
      here = units(i, logit(i));
    }
    result = {static_cast<TokenId>(i), log_probability(i),
              static_cast<float>(static_cast<double>(here) / static_cast<double>(block.total))};
    ++draws.drawn;
  }

  __device__ float log_probability(std::uint32_t i) const {
    const Units total = *static_cast<volatile Units*>(&memory_->state.total_of_logits);
    const double log_sum = log(static_cast<double>(total) * 0x1p-43);
    return static_cast<float>(static_cast<double>(logit(i)) - static_cast<double>(max_) - log_sum);
  }

  const T* logits_;
  const SampleArgs& args_;
  RowWorkspace* memory_;
  SelectShared& shared_;
  RowTeam team_;
  std::uint32_t begin_;
  std::uint32_t end_;
  float max_ = 0.f;
  std::uint32_t largest_ = 0;
  Cut count_cut_{};
  Cut mass_cut_{};
};

template <class T>
__global__ void __launch_bounds__(select_threads) sample_kernel(const T* logits, SampleArgs args) {
  const std::size_t row = blockIdx.y;
  auto* memory = reinterpret_cast<RowWorkspace*>(args.workspace) + row;
  RowSampler<T>(logits + row * args.row_stride, args, memory, *dynamic_shared<SelectShared>())
      .run(args.states[row], args.draws[row]);
}

/// The parameters, checked.
inline const SamplingParams& check_sampling(const SamplingParams& params) {
  validate(params);
  if (params.repetition_penalty != 1.f || params.frequency_penalty != 0.f || params.presence_penalty != 0.f)
    raise<ConfigError>("cuda::sample: penalties are not computed on the device");
  return params;
}

}  // namespace detail

/// Bytes of workspace that sample() needs for so many rows.
constexpr std::size_t sample_workspace_bytes(std::size_t rows) noexcept { return rows * sizeof(detail::RowWorkspace); }

/// Draws one token of each row by temperature, top-k, top-p and min-p, or chooses the likeliest: the same tokens as
/// weft::Sampler on the CPU for the same logits, seed and number of draws, whatever the device. Penalties are no part
/// of it. Nothing is sorted: sums over ever narrower ranges of logits find where top-k and top-p cut.
///
/// logits: (rows, vocab), rows `row_stride` apart. states: (rows), advanced by one draw unless the choice is greedy.
/// draws: (rows). All device memory, like the workspace. Throws ConfigError for parameters out of range, for penalties
/// and for a vocabulary of 0 or more than 2^20 tokens, CudaError.
template <Storage T>
void sample(const T* logits, std::size_t row_stride, std::size_t rows, std::size_t vocab, const SamplingParams& params,
            DrawState* states, DeviceDraw* draws, void* workspace, cudaStream_t stream = {}) {
  detail::check_sampling(params);
  constexpr std::size_t most_vocab = std::size_t{1} << 20;
  if (vocab == 0 || vocab > most_vocab) raise<ConfigError>("vocab is ", vocab, ", allowed: 1 to ", most_vocab);
  // All blocks of a row run at the same time.
  int resident = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, detail::sample_kernel<T>, detail::select_threads,
                                                      sizeof(detail::SelectShared)),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  const auto at_once = static_cast<std::size_t>(resident * multiprocessors());
  const std::size_t together = std::min(rows, at_once);
  if (together == 0) return;
  const std::size_t blocks = std::clamp<std::size_t>(
      (vocab + 1023) / 1024, 1, std::min<std::size_t>(detail::most_row_blocks, at_once / together));
  check(cudaMemsetAsync(workspace, 0, sample_workspace_bytes(rows), stream), "cudaMemsetAsync");
  for (std::size_t first = 0; first < rows; first += together) {
    const std::size_t count = std::min(together, rows - first);
    const detail::SampleArgs args{.row_stride = row_stride,
                                  .vocab = static_cast<std::uint32_t>(vocab),
                                  .chunk = static_cast<std::uint32_t>((vocab + blocks - 1) / blocks),
                                  .greedy = params.temperature == 0.f || params.top_k == 1,
                                  .temperature = params.temperature,
                                  .top_k = params.top_k < vocab ? static_cast<std::uint32_t>(params.top_k) : 0,
                                  .top_p = params.top_p,
                                  .min_p = params.min_p,
                                  .states = states + first,
                                  .draws = draws + first,
                                  .workspace = static_cast<std::byte*>(workspace) + sample_workspace_bytes(first)};
    detail::launch("sample",
                   {.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(count)),
                    .block = dim3(detail::select_threads),
                    .shared_bytes = sizeof(detail::SelectShared),
                    .stream = stream,
                    .cooperative = true},
                   detail::sample_kernel<T>, logits + first * row_stride, args);
  }
}

/// sample() with memory of its own, of the current device: one sequence to a row, each with a stream of random numbers
/// of its own.
class DeviceSampler {
 public:
  /// Throws ConfigError for parameters out of range and for penalties, CudaError.
  DeviceSampler(const SamplingParams& params, std::size_t rows, cudaStream_t stream = {})
      : params_(detail::check_sampling(params)),
        states_(rows * sizeof(DrawState), stream),
        workspace_(sample_workspace_bytes(rows), stream) {
    reset();
  }

  std::size_t rows() const noexcept { return states_.bytes() / sizeof(DrawState); }

  /// Starts the random numbers again.
  void reset() {
    std::vector<DrawState> states(rows());
    for (std::size_t i = 0; i < states.size(); ++i) states[i] = {.seed = params_.seed, .stream = i};
    if (states.empty()) return;
    const DeviceScope scope(states_.device());
    check(cudaMemcpyAsync(states_.data(), states.data(), states_.bytes(), cudaMemcpyHostToDevice, states_.stream()),
          "cudaMemcpyAsync");
    check(cudaStreamSynchronize(states_.stream()), "cudaStreamSynchronize");
  }

  /// Chooses a token for each row of logits (rows, vocab) into `draws` (rows) in device memory, in the sampler's
  /// stream. Throws ShapeError for another number of rows.
  template <DeviceTensorLike L>
  void operator()(const L& logits, DeviceDraw* draws) {
    const auto from = device_view(logits);
    static_assert(decltype(from)::rank == 2, "DeviceSampler: logits are (rows, vocab)");
    weft::detail::require_extent("DeviceSampler", "the number of rows", from.extent(0), rows());
    if (from.extent(1) > 1 && from.stride(1) != 1)
      raise<ShapeError>("DeviceSampler: the logits of a row must lie one after the other");
    if (rows() == 0) return;
    const DeviceScope scope(states_.device());
    sample(from.data(), from.stride(0), rows(), from.extent(1), params_, states_.template as<DrawState>(), draws,
           workspace_.data(), states_.stream());
  }

 private:
  SamplingParams params_;
  DeviceBuffer states_;
  DeviceBuffer workspace_;
};

}  // namespace weft::inline v0::cuda
