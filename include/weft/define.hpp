#pragma once

// For programs of many files: kernels, loaders, readers and writers are compiled in every file that uses them, which
// takes a while each. Where a whole program is compiled with WEFT_SEPARATE_COMPILATION=1, they are compiled in the one
// file that includes this header. A program that links weft::ops alone includes <weft/cpu/define_kernels.hpp> in its
// place.

#include <weft/cpu/define_kernels.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/json.hpp>
#include <weft/models/any_model.hpp>
#include <weft/models/export_gguf.hpp>
#include <weft/models/load.hpp>
#include <weft/models/load_adapter.hpp>
#include <weft/models/load_encoder.hpp>
#include <weft/models/load_seq2seq.hpp>
#include <weft/models/load_vision.hpp>
#include <weft/models/merge_adapter.hpp>
#include <weft/models/plan.hpp>
#include <weft/models/save_pretrained.hpp>
#include <weft/tokenizers/chat_template.hpp>
#include <weft/tokenizers/load_chat_template.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

#if WEFT_SEPARATE_COMPILATION
#include <weft/formats/checkpoint.inl>
#include <weft/formats/json.inl>
#include <weft/models/any_model.inl>
#include <weft/models/export_gguf.inl>
#include <weft/models/load.inl>
#include <weft/models/load_adapter.inl>
#include <weft/models/load_encoder.inl>
#include <weft/models/load_seq2seq.inl>
#include <weft/models/load_vision.inl>
#include <weft/models/merge_adapter.inl>
#include <weft/models/plan.inl>
#include <weft/models/save_pretrained.inl>
#include <weft/tokenizers/chat_template.inl>
#include <weft/tokenizers/load_chat_template.inl>
#include <weft/tokenizers/load_tokenizer.inl>
#endif
