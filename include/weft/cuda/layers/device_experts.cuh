#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/layers/device_matrix.cuh>
#include <weft/cuda/ops/grouped_linear_kernel.cuh>

namespace weft::inline v0::cuda {

/// Where the same matrix of every expert of a layer lies, for kernels that take those that tokens chose.
template <HalfStorage T>
class DeviceExpertMatrix {
 public:
  DeviceExpertMatrix() = default;

  /// None where there are no experts, or where their matrices differ in shape or format. The matrices outlive it. Waits
  /// for the stream. Throws CudaError.
  DeviceExpertMatrix(const std::vector<const DeviceMatrix<T>*>& experts, cudaStream_t stream) {
    if (experts.empty()) return;
    const DeviceMatrix<T>& first = *experts[0];
    const bool alike = std::all_of(experts.begin(), experts.end(), [&](const DeviceMatrix<T>* m) {
      return m->format() == first.format() && m->rows() == first.rows() && m->k() == first.k();
    });
    if (!first || !alike) return;
    rows_ = first.rows();
    k_ = first.k();
    format_ = first.format();
    detail::with_linear_weights<T>(format_, [&]<class W>(std::type_identity<W>) {
      std::vector<W> host;
      for (const DeviceMatrix<T>* m : experts) host.push_back(m->template weights_as<W>());
      weights_ = DeviceBuffer(host.size() * sizeof(W), stream);
      check(cudaMemcpyAsync(weights_.data(), host.data(), weights_.bytes(), cudaMemcpyHostToDevice, stream),
            "cudaMemcpyAsync");
      check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    });
  }

  /// The device memory for so many experts, at most.
  static constexpr std::size_t bytes_for(std::size_t experts) noexcept {
    return experts * std::max(sizeof(detail::HalfWeights<T>), sizeof(detail::BlockWeights<T, detail::FormatQ8_0>));
  }

  explicit operator bool() const noexcept { return rows_ != 0; }
  std::size_t rows() const noexcept { return rows_; }
  std::size_t k() const noexcept { return k_; }
  DType format() const noexcept { return format_; }
  /// Whether rows are read in pieces of 16 bytes.
  bool in_vectors() const noexcept { return k_ % 8 == 0; }
  /// The weights of every expert as kernels read them, (experts), in device memory.
  template <class W>
  const W* weights() const noexcept {
    return weights_.as<const W>();
  }

 private:
  std::size_t rows_ = 0;
  std::size_t k_ = 0;
  DType format_ = DType::f32;
  DeviceBuffer weights_;
};

/// For every slot s and all matrices, which have one format and k and are read in vectors: y (slots, rows), row s = W
/// x^T with W the matrix of expert experts[s]. x: (slots, k), or one row for all slots, at multiples of 16 bytes.
/// experts: (slots). Device memory, contiguous. Throws CudaError.
template <HalfStorage T, std::size_t N>
void multiply_chosen(TensorView<const T, 2> x, const std::array<const DeviceExpertMatrix<T>*, N>& matrices,
                     const std::int32_t* experts, std::size_t slots, const std::array<T*, N>& y, cudaStream_t stream) {
  detail::with_linear_weights<T>(matrices[0]->format(), [&]<class W>(std::type_identity<W>) {
    detail::LinearParts<T, T, detail::ChosenWeights<W>> parts{};
    parts.x_step = x.extent(0) == 1 ? 0 : x.stride(0);
    parts.y_step = matrices[0]->rows();
    for (std::size_t i = 0; i < N; ++i)
      parts.at[i] = {{matrices[i]->template weights<W>(), experts}, nullptr, y[i], 0,
                     static_cast<int>(matrices[i]->rows()),         0};
    detail::launch_linear(x.data(), x.stride(0), 1, parts, matrices[0]->k(), slots, stream);
  });
}

/// The same for slots that are grouped by expert, any number of them with one: row s of y = W row s / share of x, W the
/// matrix of the expert whose group s is in. groups: of group_rows() for so many slots and experts; rows of slots in no
/// group stay what they are. An expert's matrix is read once for 64 or 128 of its slots.
template <HalfStorage T, std::size_t N>
void multiply_grouped(TensorView<const T, 2> x, const std::array<const DeviceExpertMatrix<T>*, N>& matrices,
                      const RowGroups& groups, std::size_t slots, std::size_t experts, const std::array<T*, N>& y,
                      cudaStream_t stream) {
  if (x.extent(0) == 0) return;
  const DeviceExpertMatrix<T>& first = *matrices[0];
  detail::with_linear_weights<T>(first.format(), [&]<class W>(std::type_identity<W>) {
    detail::GroupedParts<T, detail::ListedWeights<W>, N> parts{};
    for (std::size_t i = 0; i < N; ++i) parts.at[i] = {{matrices[i]->template weights<W>()}, y[i]};
    detail::launch_grouped_linear(x.data(), x.stride(0), slots / x.extent(0), groups, slots, experts, parts,
                                  first.rows(), first.k(), stream);
  });
}

}  // namespace weft::inline v0::cuda
