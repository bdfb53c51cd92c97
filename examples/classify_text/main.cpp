// Says what a text is, by an encoder that was trained to classify: with the model that ships, which book it is from.
//
//   classify_text examples/models/books "The Mole threw himself down on the river bank and watched the Rat."
//
// Without a text it reads stdin, where every line is one. Lines of unequal length run together without padding.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <weft/weft.hpp>

#include "../command_line.hpp"

namespace {

using examples::check_count;

struct Options {
  std::string model;
  std::string text;
  std::size_t top = 3;
  std::size_t batch = 32;
  weft::LoadOptions load{};
};

void declare(CLI::App& app, Options& o) {
  app.add_option("-m,--model,model", o.model, "Checkpoint: a directory of Hugging Face")->required();
  app.add_option("--text,text", o.text, "The text; every line of stdin is one if none is given");
  app.add_option("-k,--top", o.top, "How many classes to print for a text, the most probable first")
      ->check(check_count)
      ->capture_default_str();
  app.add_option("--batch", o.batch, "Lines of stdin that run together")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--threads", o.load.threads, "Threads; 0: one per processor")->check(check_count);
}

/// The most probable classes of one text, a line each. logits: (classes), overwritten by probabilities.
void print_classes(const weft::EncoderConfig& config, weft::TensorView<float, 1> logits, std::size_t top) {
  weft::softmax(logits, logits);
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  top = std::min(top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(top), order.end(),
                    [&](std::size_t a, std::size_t b) { return logits(a) > logits(b); });
  for (std::size_t i = 0; i < top; ++i) {
    const std::size_t c = order[i];
    const std::string name = c < config.labels.size() ? config.labels[c] : "class " + std::to_string(c);
    std::printf("%6.1f %%  %s\n", 100.0 * double{logits(c)}, name.c_str());
  }
}

/// Classifies texts in one pass; they lose what goes beyond the model's positions.
void classify(weft::EncoderPass& pass, std::span<const std::string> texts, std::size_t top, bool echo) {
  const weft::Encoder& model = pass.model();
  std::vector<weft::Encoding> encodings;
  std::vector<weft::EncoderInput> inputs;
  for (const std::string& text : texts)
    encodings.push_back(model.tokenizer().tokenize(
        text, {.max_length = model.config().context, .truncation = weft::Truncation::longest_first}));
  for (const weft::Encoding& encoding : encodings) inputs.push_back({.tokens = encoding.ids});
  pass.forward(inputs);
  weft::Tensor<float, 2> logits({texts.size(), model.config().classes});
  pass.classify_sequences(logits);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (echo) std::printf("%s\n", texts[i].c_str());
    print_classes(model.config(), logits.view()[i], top);
  }
  std::fflush(stdout);
}

void run(Options& o) {
  examples::show_loading(o.load);
  weft::EncoderPass pass(weft::load_encoder(o.model, o.load));
  if (!o.text.empty()) return classify(pass, std::span(&o.text, 1), o.top, false);
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) {
    if (!line.empty()) lines.push_back(line);
    if (lines.size() == o.batch) {
      classify(pass, lines, o.top, true);
      lines.clear();
    }
  }
  if (!lines.empty()) classify(pass, lines, o.top, true);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Says which classes a text is of.");
  declare(app, options);
  return examples::run_program(app, argc, argv, [&] { run(options); });
}
