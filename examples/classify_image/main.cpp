// Says what is in a picture: among the classes that a model was trained for (ViT, DeiT, ...), or among words of yours
// with a model of images and texts (CLIP, SigLIP).
//
//   classify_image MODEL picture.jpg
//   classify_image MODEL picture.png cat dog "a bowl of fruit"
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <weft/weft.hpp>

#include "../command_line.hpp"
#include "read_image.hpp"

namespace {

using examples::check_count;

struct Options {
  std::string model;
  std::string image;
  std::vector<std::string> labels;
  std::string prompt = "a photo of {}";
  std::size_t top = 5;
  weft::LoadOptions load{};
};

void declare(CLI::App& app, Options& o) {
  app.add_option("model", o.model, "Checkpoint: a directory of Hugging Face")->required();
  app.add_option("image", o.image, "A PNG or JPEG file")->required();
  app.add_option("labels", o.labels, "What may be in it, for models of images and texts");
  app.add_option("--prompt", o.prompt, "The text that a label is put into, at {}")->capture_default_str();
  app.add_option("--top", o.top, "How many labels to print")->check(check_count)->capture_default_str();
  app.add_option("--threads", o.load.threads, "Threads; 0: one per processor")->check(check_count);
}

/// The probability of each label of the user's.
weft::Tensor<float, 2> match(const Options& o, const weft::VisionModel& model, weft::VisionPass& pass) {
  std::vector<std::vector<weft::TokenId>> ids;
  for (const std::string& label : o.labels) {
    std::string text = o.prompt;
    if (const std::size_t at = text.find("{}"); at != std::string::npos) text.replace(at, 2, label);
    ids.push_back(weft::encode_text(model, text));
  }
  weft::TextPass texts(model);
  texts.forward(ids);
  weft::Tensor<float, 2> image({1, model.features()}), words({ids.size(), model.config().projection});
  pass.features(image);
  texts.features(words);
  weft::Tensor<float, 2> probabilities({1, ids.size()});
  weft::match_logits(model, image, words, probabilities);
  weft::match_probabilities(model, probabilities);
  return probabilities;
}

/// The probability of each class of the model's.
weft::Tensor<float, 2> classify(const weft::VisionModel& model, weft::VisionPass& pass) {
  weft::Tensor<float, 2> logits({1, model.config().classes});
  pass.classify(logits);
  return weft::softmax(logits);
}

void run(Options& o) {
  examples::show_loading(o.load);
  const weft::VisionModel model = weft::load_vision(o.model, o.load);
  const weft::Tensor<float, 3> pixels = model.image_processor()(read_image(o.image));
  weft::VisionPass pass(model);
  pass.forward(pixels);
  const weft::Tensor<float, 2> probabilities = o.labels.empty() ? classify(model, pass) : match(o, model, pass);
  const std::vector<std::string>& names = o.labels.empty() ? model.config().labels : o.labels;

  std::vector<std::size_t> order(probabilities.extent(1));
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return probabilities(0, a) > probabilities(0, b); });
  order.resize(std::min(order.size(), o.top));
  for (const std::size_t i : order)
    std::printf("%6.2f %%  %s\n", 100.0 * static_cast<double>(probabilities(0, i)),
                i < names.size() ? names[i].c_str() : std::to_string(i).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Says what is in a picture.");
  declare(app, options);
  return examples::run_program(app, argc, argv, [&] { run(options); });
}
