#include <weft/cuda/models/device_encoder_pass.cuh>
#include <weft/cuda/models/device_seq2seq.cuh>
#include <weft/cuda/models/device_session.cuh>
#include <weft/cuda/models/device_tower.cuh>

// The models for the architectures that the tests are not compiled for. Those of half differ in the type of elements
// alone, and the tests have both.
namespace weft::cuda {

template class DeviceSession<bfloat16>;
template class DeviceEncoderPass<bfloat16>;
template class DeviceSeq2Seq<bfloat16>;
template class DeviceSourceEncoder<bfloat16>;
template class DeviceTower<bfloat16>;

}  // namespace weft::cuda
