#pragma once

// Every kernel that weft has for NVIDIA devices. A program that needs some of them alone includes their headers, one
// that runs models <weft/cuda/models/device_session.cuh>, device_encoder_pass.cuh, device_seq2seq.cuh or
// device_tower.cuh: every header of cuda/ stands by itself.
#include <weft/cuda/core/device.cuh>
#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/core/error.cuh>
#include <weft/cuda/core/event.cuh>
#include <weft/cuda/core/graph.cuh>
#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/ops/activation.cuh>
#include <weft/cuda/ops/attention.cuh>
#include <weft/cuda/ops/attention_decode.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/cuda/ops/embedding.cuh>
#include <weft/cuda/ops/group_rows.cuh>
#include <weft/cuda/ops/grouped_linear.cuh>
#include <weft/cuda/ops/index.cuh>
#include <weft/cuda/ops/join.cuh>
#include <weft/cuda/ops/layer_norm.cuh>
#include <weft/cuda/ops/linear.cuh>
#include <weft/cuda/ops/matmul.cuh>
#include <weft/cuda/ops/quantized.cuh>
#include <weft/cuda/ops/rms_norm.cuh>
#include <weft/cuda/ops/rope.cuh>
#include <weft/cuda/ops/softmax.cuh>
#include <weft/cuda/sampling/sampler.cuh>

namespace weft::inline v0::cuda {}
