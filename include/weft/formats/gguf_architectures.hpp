#pragma once

#include <array>
#include <span>
#include <string_view>

// How the metadata of a GGUF file become a config.json, as data, for every architecture.
namespace weft::inline v0::detail {

/// A key of config.json and the one of a GGUF file that means the same, without the name of the architecture. A key
/// without one in config.json says what the architecture or the tensors say already.
struct GgufConfigKey {
  std::string_view config;
  std::string_view gguf;
};

/// A key of config.json that is true where the file has a tensor, or has not.
struct GgufConfigTensor {
  std::string_view config;
  std::string_view tensor;
  bool there = true;
};

/// One architecture. Sizes and choices have the names that the family's config.json has for them.
struct GgufArchitecture {
  std::string_view name;                         ///< general.architecture
  std::string_view model_type;                   ///< config.json's
  std::string_view constants;                    ///< members of config.json that the architecture implies
  std::span<const GgufConfigKey> sizes;          ///< what every model of the family has
  std::span<const GgufConfigKey> keys{};         ///< more of them
  std::span<const GgufConfigTensor> tensors{};   ///< what is known by tensors
  std::span<const GgufConfigKey> expert_keys{};  ///< of models with experts; empty: for files without
  std::string_view partial_rotary{};  ///< the key of families that rotate a part of a head unless it says otherwise
};

inline constexpr auto gguf_llama_sizes = std::to_array<GgufConfigKey>({
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_hidden_layers", "block_count"},
    {"num_attention_heads", "attention.head_count"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"head_dim", "attention.key_length"},
    {"max_position_embeddings", "context_length"},
});
inline constexpr auto gguf_neox_sizes = std::to_array<GgufConfigKey>({
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_hidden_layers", "block_count"},
    {"num_attention_heads", "attention.head_count"},
    {"", "attention.head_count_kv"},
    {"max_position_embeddings", "context_length"},
});
inline constexpr auto gguf_falcon_sizes = std::to_array<GgufConfigKey>({
    {"hidden_size", "embedding_length"},
    {"ffn_hidden_size", "feed_forward_length"},
    {"num_hidden_layers", "block_count"},
    {"num_attention_heads", "attention.head_count"},
    {"num_kv_heads", "attention.head_count_kv"},
    {"max_position_embeddings", "context_length"},
    {"", "tensor_data_layout"},
});
inline constexpr auto gguf_gpt2_sizes = std::to_array<GgufConfigKey>({
    {"n_embd", "embedding_length"},
    {"n_inner", "feed_forward_length"},
    {"n_layer", "block_count"},
    {"n_head", "attention.head_count"},
    {"", "attention.head_count_kv"},
    {"n_positions", "context_length"},
});
inline constexpr auto gguf_bloom_sizes = std::to_array<GgufConfigKey>({
    {"hidden_size", "embedding_length"},
    {"", "feed_forward_length"},
    {"n_layer", "block_count"},
    {"n_head", "attention.head_count"},
    {"", "attention.head_count_kv"},
    {"seq_length", "context_length"},
});
inline constexpr auto gguf_mpt_sizes = std::to_array<GgufConfigKey>({
    {"d_model", "embedding_length"},
    {"", "feed_forward_length"},  // a multiple of d_model
    {"n_layers", "block_count"},
    {"n_heads", "attention.head_count"},
    {"", "attention.head_count_kv"},
    {"max_seq_len", "context_length"},
    {"", "attention.clamp_kqv"},  // these are in another object
    {"", "attention.max_alibi_bias"},
});

inline constexpr auto gguf_bert_sizes = std::to_array<GgufConfigKey>({
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_hidden_layers", "block_count"},
    {"num_attention_heads", "attention.head_count"},
    {"", "attention.head_count_kv"},
    {"max_position_embeddings", "context_length"},
});
inline constexpr auto gguf_t5_sizes = std::to_array<GgufConfigKey>({
    {"d_model", "embedding_length"},
    {"d_ff", "feed_forward_length"},
    {"num_layers", "block_count"},
    {"num_decoder_layers", "decoder_block_count"},
    {"num_heads", "attention.head_count"},
    {"", "attention.head_count_kv"},
    {"d_kv", "attention.key_length"},
    {"n_positions", "context_length"},
});

inline constexpr auto gguf_t5_encoder_sizes = std::to_array<GgufConfigKey>({
    {"d_model", "embedding_length"},
    {"d_ff", "feed_forward_length"},
    {"num_layers", "block_count"},
    {"num_heads", "attention.head_count"},
    {"", "attention.head_count_kv"},
    {"d_kv", "attention.key_length"},
    {"n_positions", "context_length"},
});

inline constexpr auto gguf_rms_keys = std::to_array<GgufConfigKey>({
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"rope_theta", "rope.freq_base"},
});
inline constexpr auto gguf_gemma_keys = std::to_array<GgufConfigKey>({
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"rope_theta", "rope.freq_base"},
    {"rope_local_base_freq", "rope.freq_base_swa"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"sliding_window", "attention.sliding_window"},
    {"", "attention.sliding_window_pattern"},
});
inline constexpr auto gguf_phi3_keys = std::to_array<GgufConfigKey>({
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"rope_theta", "rope.freq_base"},
    {"sliding_window", "attention.sliding_window"},
    {"", "rope.scaling.attn_factor"},
});
inline constexpr auto gguf_granite_keys = std::to_array<GgufConfigKey>({
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"rope_theta", "rope.freq_base"},
    {"embedding_multiplier", "embedding_scale"},
    {"attention_multiplier", "attention.scale"},
    {"residual_multiplier", "residual_scale"},
    {"logits_scaling", "logit_scale"},
});
inline constexpr auto gguf_olmo_keys = std::to_array<GgufConfigKey>({
    {"", "attention.layer_norm_epsilon"},  // the same in all
    {"rope_theta", "rope.freq_base"},
    {"clip_qkv", "attention.clamp_kqv"},
});
inline constexpr auto gguf_layer_norm_keys = std::to_array<GgufConfigKey>({
    {"layer_norm_eps", "attention.layer_norm_epsilon"},
    {"rope_theta", "rope.freq_base"},
    {"", "use_parallel_residual"},
});
inline constexpr auto gguf_neox_keys = std::to_array<GgufConfigKey>({
    {"layer_norm_eps", "attention.layer_norm_epsilon"},
    {"rotary_emb_base", "rope.freq_base"},
    {"use_parallel_residual", "use_parallel_residual"},
});
inline constexpr auto gguf_gpt_keys = std::to_array<GgufConfigKey>({
    {"layer_norm_epsilon", "attention.layer_norm_epsilon"},
    {"rope_theta", "rope.freq_base"},
});

inline constexpr auto gguf_bert_keys = std::to_array<GgufConfigKey>({
    {"layer_norm_eps", "attention.layer_norm_epsilon"},
    {"is_decoder", "attention.causal"},
    {"", "pooling_type"},  // these are of sentences
    {"", "normalize_embeddings"},
    {"", "classifier.output_labels"},
});
inline constexpr auto gguf_t5_keys = std::to_array<GgufConfigKey>({
    {"layer_norm_epsilon", "attention.layer_norm_rms_epsilon"},
    {"", "attention.layer_norm_epsilon"},  // the same
    {"relative_attention_num_buckets", "attention.relative_buckets_count"},
    {"decoder_start_token_id", "decoder_start_token_id"},
});
inline constexpr auto gguf_t5_encoder_keys = std::to_array<GgufConfigKey>({
    {"layer_norm_epsilon", "attention.layer_norm_rms_epsilon"},
    {"", "attention.layer_norm_epsilon"},  // the same
    {"relative_attention_num_buckets", "attention.relative_buckets_count"},
    {"", "pooling_type"},  // these are of sentences
    {"", "normalize_embeddings"},
});

inline constexpr auto gguf_local_expert_keys = std::to_array<GgufConfigKey>({
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
});
inline constexpr auto gguf_expert_keys = std::to_array<GgufConfigKey>({
    {"num_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
});

inline constexpr auto gguf_biases = std::to_array<GgufConfigTensor>({
    {"attention_bias", "blk.0.attn_q.bias"},
    {"mlp_bias", "blk.0.ffn_up.bias"},
});
inline constexpr auto gguf_neox_biases = std::to_array<GgufConfigTensor>({{"attention_bias", "blk.0.attn_qkv.bias"}});
inline constexpr auto gguf_qwen_biases = std::to_array<GgufConfigTensor>({{"qkv_bias", "blk.0.attn_q.bias"}});
inline constexpr auto gguf_stablelm_tensors = std::to_array<GgufConfigTensor>({
    {"use_qkv_bias", "blk.0.attn_q.bias"},
    {"use_parallel_residual", "blk.0.ffn_norm.weight", false},
});

// Keys that change nothing beyond what tensors and other keys say, or that gguf_config reads by name.
inline constexpr auto gguf_other_keys = std::to_array<std::string_view>({
    "vocab_size",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
});

/// The architectures that weft reads and writes. Rows of queries and keys where "rope_interleave" is true are in the
/// order in which neighbours rotate together; the gains of Gemma's norms are stored whole; the table of positions of
/// "bert" begins with that of the first token, which makes RoBERTa one of its models.
inline constexpr auto gguf_architectures = std::to_array<GgufArchitecture>({
    {"llama", "llama", R"("hidden_act":"silu","rope_interleave":true)", gguf_llama_sizes, gguf_rms_keys, gguf_biases},
    {"llama", "mixtral", R"("hidden_act":"silu","rope_interleave":true)", gguf_llama_sizes, gguf_rms_keys, gguf_biases,
     gguf_local_expert_keys},
    {"granite", "granite", R"("hidden_act":"silu","rope_interleave":true)", gguf_llama_sizes, gguf_granite_keys,
     gguf_biases},
    {"smollm3", "smollm3", R"("hidden_act":"silu","rope_interleave":true)", gguf_llama_sizes, gguf_rms_keys,
     gguf_biases},
    {"qwen2", "qwen2", R"("hidden_act":"silu")", gguf_llama_sizes, gguf_rms_keys},
    {"qwen2moe", "qwen2_moe", R"("hidden_act":"silu")", gguf_llama_sizes, gguf_rms_keys, gguf_qwen_biases,
     gguf_expert_keys},
    {"qwen3", "qwen3", R"("hidden_act":"silu")", gguf_llama_sizes, gguf_rms_keys, gguf_biases},
    {"qwen3moe", "qwen3_moe", R"("hidden_act":"silu","norm_topk_prob":true)", gguf_llama_sizes, gguf_rms_keys,
     gguf_biases, gguf_expert_keys},
    {"gemma", "gemma", R"("hidden_activation":"gelu_pytorch_tanh","norm_gain_offset":0)", gguf_llama_sizes,
     gguf_rms_keys, gguf_biases},
    {"gemma2", "gemma2", R"("hidden_activation":"gelu_pytorch_tanh","norm_gain_offset":0)", gguf_llama_sizes,
     gguf_gemma_keys, gguf_biases},
    {"gemma3", "gemma3_text", R"("hidden_activation":"gelu_pytorch_tanh","norm_gain_offset":0)", gguf_llama_sizes,
     gguf_gemma_keys, gguf_biases},
    {"phi2",
     "phi",
     R"("hidden_act":"gelu_new")",
     gguf_llama_sizes,
     gguf_layer_norm_keys,
     {},
     {},
     "partial_rotary_factor"},
    {"phi3", "phi3", R"("hidden_act":"silu")", gguf_llama_sizes, gguf_phi3_keys},
    {"olmo", "olmo", R"("hidden_act":"silu","rope_interleave":true)", gguf_llama_sizes, gguf_olmo_keys, gguf_biases},
    {"olmo2", "olmo2", R"("hidden_act":"silu")", gguf_llama_sizes, gguf_rms_keys, gguf_biases},
    {"olmoe", "olmoe", R"("hidden_act":"silu")", gguf_llama_sizes, gguf_rms_keys, gguf_biases, gguf_expert_keys},
    {"stablelm",
     "stablelm",
     R"("hidden_act":"silu")",
     gguf_llama_sizes,
     gguf_layer_norm_keys,
     gguf_stablelm_tensors,
     {},
     "partial_rotary_factor"},
    {"gptneox",
     "gpt_neox",
     R"("hidden_act":"gelu")",
     gguf_neox_sizes,
     gguf_neox_keys,
     gguf_neox_biases,
     {},
     "rotary_pct"},
    {"falcon", "falcon", R"("activation":"gelu","new_decoder_architecture":true)", gguf_falcon_sizes, gguf_gpt_keys},
    {"gpt2", "gpt2", R"("activation_function":"gelu_new")", gguf_gpt2_sizes, gguf_gpt_keys},
    {"bloom", "bloom", "", gguf_bloom_sizes, gguf_gpt_keys},
    {"mpt", "mpt", "", gguf_mpt_sizes, gguf_gpt_keys},
    {"bert", "bert", R"("hidden_act":"gelu")", gguf_bert_sizes, gguf_bert_keys},
    {"t5", "t5", "", gguf_t5_sizes, gguf_t5_keys},
    {"t5encoder", "t5", R"("architectures":["T5EncoderModel"])", gguf_t5_encoder_sizes, gguf_t5_encoder_keys},
});

}  // namespace weft::inline v0::detail
