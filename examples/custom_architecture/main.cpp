// Runs a family of models that weft does not know, by describing it: ./custom_architecture [examples/models/tales]
//
// The family, "storyteller", is the graph of Llama under other names: other keys in config.json, other tensors, the
// gate and up matrices of the feed-forward layer in one. To have a checkpoint of it, the program writes the model that
// ships in that form into a temporary directory.
#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/models/arch/decoder_tensors.hpp>
#include <weft/weft.hpp>

namespace storyteller {

namespace dim = weft::dim;
namespace slots = weft::arch::slots;

/// What config.json says. A key that is not read here is an error when a model is loaded, never a silent default.
weft::DecoderConfig read_config(weft::ConfigReader& config) {
  weft::DecoderConfig c;
  c.vocab = config.positive("words");
  c.hidden = config.positive("width");
  c.intermediate = config.positive("inner_width");
  c.layers = config.positive("depth");
  c.heads = config.positive("heads");
  c.kv_heads = config.positive("shared_heads");
  c.head_dim = c.hidden / c.heads;
  c.context = config.positive("memory");
  c.norm_eps = config.number("epsilon");
  c.rope.theta = config.number("theta");
  c.activation = weft::Activation::silu;
  c.tied_embeddings = true;
  c.modules = {.embedding = "words", .layer = "chapters.{}", .attention = "listen", .mlp = "think", .norm = "last"};
  return c;
}

// The second half of a tensor of 2 * intermediate rows begins at row `intermediate`.
constexpr weft::DecoderRow::Part gate_part{dim::gate_up};
constexpr weft::DecoderRow::Part up_part{dim::gate_up, dim::intermediate};

// Every tensor: its name in the checkpoint (and in GGUF files, of which there are none), where it goes, its shape.
constexpr auto tensors = weft::arch::joined(
    weft::arch::token_rows("words.weight", "none"),
    std::to_array<weft::DecoderRow>({
        {"last.gain", "", slots::final_norm, dim::hidden},
        {"chapters.{}.listen.gain", "", slots::attention_norm, dim::hidden},
        {"chapters.{}.listen.question", "", slots::q, dim::query, dim::hidden},
        {"chapters.{}.listen.key", "", slots::k, dim::key_value, dim::hidden},
        {"chapters.{}.listen.value", "", slots::v, dim::key_value, dim::hidden},
        {"chapters.{}.listen.answer", "", slots::o, dim::hidden, dim::query},
        {"chapters.{}.think.gain", "", slots::mlp_norm, dim::hidden},
        {"chapters.{}.think.in", "", slots::gate, dim::intermediate, dim::hidden, nullptr, gate_part},
        {"chapters.{}.think.in", "", slots::up, dim::intermediate, dim::hidden, nullptr, up_part},
        {"chapters.{}.think.out", "", slots::down, dim::hidden, dim::intermediate},
    }));

constexpr auto ignored_keys = std::to_array<std::string_view>({"model_type", "author"});

constexpr weft::DecoderArchitecture architecture{.model_type = "storyteller",
                                                 .read_config = read_config,
                                                 .tensors = tensors,
                                                 .ignored_keys = ignored_keys,
                                                 .ignored_tensors = {}};

}  // namespace storyteller

namespace {

/// Two matrices of equal width, one below the other.
weft::AnyTensor joined_rows(const weft::AnyTensor& a, const weft::AnyTensor& b) {
  return weft::AnyTensor::make(a.dtype(), {a.extent(0) + b.extent(0), a.extent(1)}, [&](std::span<std::byte> bytes) {
    std::copy(b.bytes().begin(), b.bytes().end(), std::copy(a.bytes().begin(), a.bytes().end(), bytes.begin()));
  });
}

/// Writes a Llama checkpoint as a storyteller.
void write_storyteller(const std::filesystem::path& llama, const std::filesystem::path& out) {
  std::filesystem::create_directories(out);
  for (const char* file : {"tokenizer.model", "tokenizer_config.json"})
    std::filesystem::copy_file(llama / file, out / file, std::filesystem::copy_options::overwrite_existing);
  const weft::DecoderConfig c = weft::load_causal_lm(llama, {.threads = 1, .tokenizer = false}).config();
  std::ofstream(out / "config.json") << "{\"model_type\": \"storyteller\", \"author\": \"anonymous\",\n \"words\": "
                                     << c.vocab << ", \"width\": " << c.hidden
                                     << ", \"inner_width\": " << c.intermediate << ", \"depth\": " << c.layers
                                     << ", \"heads\": " << c.heads << ", \"shared_heads\": " << c.kv_heads
                                     << ", \"memory\": " << c.context << ", \"epsilon\": " << c.norm_eps
                                     << ", \"theta\": " << c.rope.theta << "}\n";

  const weft::SafetensorsFile file(llama / "model.safetensors");
  std::vector<std::pair<std::string, weft::AnyTensor>> tensors{
      {"words.weight", file.tensor("model.embed_tokens.weight")}, {"last.gain", file.tensor("model.norm.weight")}};
  for (std::size_t i = 0; i < c.layers; ++i) {
    const auto from = [&](const char* name) {
      return file.tensor("model.layers." + std::to_string(i) + "." + name + ".weight");
    };
    const auto add = [&](const char* name, weft::AnyTensor tensor) {
      tensors.emplace_back("chapters." + std::to_string(i) + "." + name, std::move(tensor));
    };
    add("listen.gain", from("input_layernorm"));
    add("listen.question", from("self_attn.q_proj"));
    add("listen.key", from("self_attn.k_proj"));
    add("listen.value", from("self_attn.v_proj"));
    add("listen.answer", from("self_attn.o_proj"));
    add("think.gain", from("post_attention_layernorm"));
    add("think.in", joined_rows(from("mlp.gate_proj"), from("mlp.up_proj")));
    add("think.out", from("mlp.down_proj"));
  }
  weft::write_safetensors(out / "model.safetensors", tensors);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::filesystem::path directory = std::filesystem::temp_directory_path() / "weft-storyteller";
  write_storyteller(argc > 1 ? argv[1] : "examples/models/tales", directory);

  // The families that are handed over are looked up before those that weft knows.
  static constexpr std::array<const weft::DecoderArchitecture*, 1> families{&storyteller::architecture};
  const weft::CausalLM model = weft::load_causal_lm(directory, {}, families);
  std::cerr << model.describe();

  weft::Generator generate(model, {.temperature = 0.8f, .top_p = 0.95f, .seed = 7});
  for (std::string_view piece : generate("Once upon a time", {.max_new_tokens = 100})) std::cout << piece << std::flush;
  std::cout << '\n';
  std::filesystem::remove_all(directory);
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
