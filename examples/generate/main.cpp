// Continues a prompt with any causal language model weft runs; every option of generation is a flag.
//
//   generate MODEL "Once upon a time" --temperature 0.8 --top-p 0.95 --seed 7
//   generate MODEL --chat --system "Be brief." "Why is the sky blue?"
//
// The text goes to stdout as it is made; the loading bar and the figures at the end go to stderr.
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <weft/weft.hpp>

#include "../command_line.hpp"
#if GENERATE_CUDA
#include "cuda_sequence.hpp"
#endif

namespace {

using examples::check_count;

volatile std::sig_atomic_t interrupted = 0;

struct Options {
  std::string model;
  std::string prompt;
  std::optional<float> temperature, top_p, repetition_penalty;
  std::optional<std::size_t> top_k;
  weft::SamplingParams sampling{};
  weft::GenerateOptions generate{};
  weft::SessionOptions session{};
  weft::LoadOptions load{};
  std::string cache = "f32";
  std::string compute = "native";
  std::string weights;
  std::string device = "cpu";
  std::string system;
  bool chat = false;
  bool in_place = false;
  bool greedy = false;
  bool echo = false;
  bool log_probabilities = false;
  bool quiet = false;
};

void declare(CLI::App& app, Options& o) {
  app.add_option("-m,--model,model", o.model, "Checkpoint: a directory of Hugging Face or Meta, or a GGUF file")
      ->required();
  const CLI::Option* prompt =
      app.add_option("--prompt,prompt", o.prompt, "The text to continue; - reads it from stdin");
  app.callback([&o, prompt] {
    if (!o.chat && prompt->empty()) throw CLI::RequiredError("prompt");
  });
  app.add_flag("--chat", o.chat, "The prompt is a message to answer; without one each line of stdin is, in turn");
  app.add_option("--system", o.system, "What a conversation begins with")->needs("--chat");
  app.add_option("-n,--max-new-tokens", o.generate.max_new_tokens, "Tokens to produce at most")
      ->check(check_count)
      ->capture_default_str();
  app.add_flag("--greedy", o.greedy, "Always take the likeliest token");
  app.add_option("-t,--temperature", o.temperature, "0 is greedy; the checkpoint's own, or 1, if not given");
  app.add_option("-k,--top-k", o.top_k, "Choose among the k likeliest tokens; 0: all")->check(check_count);
  app.add_option("-p,--top-p", o.top_p, "Choose among the likeliest tokens that make up this probability");
  app.add_option("--min-p", o.sampling.min_p, "Drop tokens less likely than this share of the likeliest");
  app.add_option("--repetition-penalty", o.repetition_penalty, "Divide the logits of tokens already used; 1: off");
  app.add_option("--frequency-penalty", o.sampling.frequency_penalty, "Subtract this per earlier use; 0: off");
  app.add_option("--presence-penalty", o.sampling.presence_penalty, "Subtract this from tokens already used; 0: off");
  app.add_option("-s,--seed", o.sampling.seed, "Seed of the random numbers")->check(check_count)->capture_default_str();
  app.add_option("--stop", o.generate.stop, "End before this text; may be given several times")->take_all();
  const auto switch_off = [&](const char* name, bool& what, const char* text) {
    app.add_flag_callback(
        name, [&what] { what = false; }, text);
  };
  switch_off("--ignore-eos", o.generate.stop_at_eos, "Go on past the end-of-sequence token");
  switch_off("--no-bos", o.generate.add_special_tokens, "Do not put the tokenizer's BOS before the prompt");
  switch_off("--plain", o.generate.parse_special_tokens, "Read \"</s>\" in the prompt as letters, not as the token");
  app.add_option("-c,--context", o.session.context, "Positions of the cache; 0: the model's own, at most 8192")
      ->check(check_count);
  app.add_option("--chunk", o.session.chunk, "Tokens of the prompt processed at once")
      ->check(check_count)
      ->capture_default_str();
  app.add_option("--cache", o.cache, "Element type of the key/value cache")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}))
      ->capture_default_str();
  app.add_option("--threads", o.load.threads, "Threads; 0: one per processor")->check(check_count);
  app.add_option("--compute", o.compute, "native: in the weights' type where the processor can; f32: always float")
      ->check(CLI::IsMember({"native", "f32"}))
      ->capture_default_str();
  app.add_option("--weights", o.weights, "Quantise matrices to this type while loading")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"}));
  app.add_option("--device", o.device, "Where the model runs; cuda: see GENERATE_CUDA in CMakeLists.txt")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_flag("--in-place", o.in_place, "Use the weights from the mapped file: starts at once, runs slower");
  app.add_flag("--echo", o.echo, "Print the prompt before the text");
  app.add_flag("--log-probabilities", o.log_probabilities, "List every token with its log-probability on stderr");
  app.add_flag("-q,--quiet", o.quiet, "No loading bar and no figures");
}

weft::CausalLM load(Options& o) {
  if (!o.quiet && examples::has_bar()) {
    o.load.preload = true;
    examples::show_loading(o.load);
  }
  return weft::load_causal_lm(o.model, o.load);
}

/// The checkpoint's recommendations where a flag does not say otherwise.
weft::SamplingParams sampling_of(const Options& o, const weft::GenerationConfig& recommended) {
  const weft::SamplingParams own = recommended.sampling();
  weft::SamplingParams params = o.sampling;
  params.temperature = o.greedy ? 0.f : o.temperature.value_or(recommended.do_sample ? own.temperature : 1.f);
  params.top_k = o.top_k.value_or(own.top_k);
  params.top_p = o.top_p.value_or(own.top_p);
  params.repetition_penalty = o.repetition_penalty.value_or(own.repetition_penalty);
  return params;
}

/// Before a model is loaded: whether it can run where it is to.
void check_device(const Options& o) {
  if (o.device == "cpu") return;
#if GENERATE_CUDA
  require_cuda_device();
  if (o.cache != "f32" || o.compute != "native")
    throw weft::ConfigError("--device cuda: the cache and the products have the weights' type there");
#else
  throw weft::UnsupportedError("--device cuda: this program was built without GENERATE_CUDA");
#endif
}

/// Where the model runs. A device takes its own copy of the weights: the host reads them from the mapped file.
std::unique_ptr<weft::TokenSequence> sequence_of(const Options& o, const weft::CausalLM& model) {
  if (o.device == "cpu") return std::make_unique<weft::Session>(model, o.session);
#if GENERATE_CUDA
  return cuda_sequence(model, o.session);
#else
  return nullptr;  // check_device() has refused it
#endif
}

double per_second(std::size_t tokens, double seconds) {
  return seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0;
}

void report(const weft::Generation& generation, std::size_t stored_tokens) {
  const weft::GenerationTimings& t = generation.timings();
  std::fprintf(stderr, "prompt:     %zu tokens, %.1f tokens/s\n", t.prompt_tokens,
               per_second(t.prompt_tokens, t.prompt_seconds));
  std::fprintf(stderr, "generation: %zu tokens, %.1f tokens/s\n", stored_tokens,
               per_second(stored_tokens > 0 ? stored_tokens - 1 : 0, t.generation_seconds));
  std::fprintf(stderr, "first token after %.1f ms; ended by: %s\n", 1000.0 * t.first_token_seconds,
               std::string(weft::name(generation.finish_reason())).c_str());
}

/// Writes a text while it is made and returns it.
std::string write(weft::Generation& generation, std::stop_source& cancel) {
  std::string text;
  for (const std::string_view piece : generation) {
    std::cout << piece << std::flush;
    text += piece;
    if (interrupted) cancel.request_stop();
  }
  if (!(std::cout << std::endl)) throw std::runtime_error("the text cannot be written to stdout");
  return text;
}

void report(const Options& o, const weft::CausalLM& model, const weft::Generation& generation) {
  if (o.log_probabilities)
    for (const weft::GeneratedToken& token : generation.tokens())
      std::fprintf(stderr, "%6d  %8.4f  %s\n", token.id, static_cast<double>(token.log_probability),
                   model.tokenizer().token_of(token.id).c_str());
  if (!o.quiet) report(generation, generation.tokens().size());
}

/// Answers the prompt, or one line of stdin after the other, each with all of the conversation before it.
void chat(const Options& o, const weft::CausalLM& model, weft::Generator& generate, std::stop_source& cancel) {
  const auto chat_template = weft::load_chat_template(o.model);
  const bool ask = o.prompt.empty() && !o.quiet && ::isatty(STDIN_FILENO);
  std::vector<weft::ChatMessage> messages;
  if (!o.system.empty()) messages.push_back({"system", o.system});
  std::string message = o.prompt;
  do {
    if (ask) std::fputs("> ", stderr);
    if (o.prompt.empty() && !std::getline(std::cin, message)) break;
    messages.push_back({"user", message});
    weft::Generation generation =
        generate(chat_template->encode(model.tokenizer(), messages, {.add_generation_prompt = true}), o.generate);
    messages.push_back({"assistant", write(generation, cancel)});
    report(o, model, generation);
  } while (o.prompt.empty() && !interrupted);
}

void run(Options& o) {
  o.load.compute = o.compute == "f32" ? weft::Compute::f32 : weft::Compute::native;
  o.session.cache = weft::dtype_named(o.cache);
  if (!o.weights.empty()) o.load.weights = weft::dtype_named(o.weights);
  if (o.in_place || o.device == "cuda") o.load.load = weft::Load::in_place;
  if (o.prompt == "-") o.prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  check_device(o);
  const weft::CausalLM model = load(o);
  weft::Generator generate(sequence_of(o, model), sampling_of(o, model.generation_config()));

  // Ctrl-C ends the text, not the program: what was written stays and the figures follow. The second one, as in a long
  // prompt, ends the program.
  std::stop_source cancel;
  std::signal(SIGINT, [](int) {
    interrupted = 1;
    std::signal(SIGINT, SIG_DFL);
  });
  o.generate.cancel = cancel.get_token();

  if (o.chat) {
    chat(o, model, generate, cancel);
    return;
  }
  if (o.echo) std::cout << o.prompt << std::flush;
  weft::Generation generation = generate(o.prompt, o.generate);
  write(generation, cancel);
  report(o, model, generation);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Continues a text with a language model.");
  declare(app, options);
  return examples::run_program(app, argc, argv, [&] { run(options); });
}
