#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/models/causal_lm.hpp>

// Decoders of tests/fixtures/models on the CPU, compiled by the C++ compiler, and without tokenizers, which need
// libraries that a machine with a device may lack.
namespace weft::testing {

/// The names of all fixtures, sorted.
std::vector<std::string> decoder_names();
/// The families of the registry.
std::vector<std::string> decoder_families();
/// One of them, or the model in a folder, its matrices where the file has them.
CausalLM load_decoder(std::string_view name);
/// The folder of the model that ships.
std::string tales();
/// The same model with matrices of `dtype`, row after row, where their rows fill its blocks.
CausalLM with_weights_of(const CausalLM& model, DType dtype);
/// The same mixture of experts with a router that always takes the first ones; the others are NaN.
CausalLM with_first_experts(const CausalLM& model);
/// The prompt of a fixture.
std::vector<TokenId> decoder_prompt(std::string_view name);
/// The likeliest tokens after a prompt, each after the one before.
std::vector<TokenId> cpu_greedy(const CausalLM& model, std::span<const TokenId> prompt, std::size_t count);
/// (tokens, vocab).
std::vector<float> cpu_logits(const CausalLM& model, std::span<const TokenId> tokens);

}  // namespace weft::testing
