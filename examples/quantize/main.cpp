// Writes a model in another type of weights, as one GGUF file that weft and other programs run.
//
//   quantize MODEL OUTPUT.gguf --type q4_k_m
//
// MODEL is a Hugging Face directory or a GGUF file. What every tensor loses goes to stdout, the progress to stderr.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <weft/weft.hpp>

#include "../command_line.hpp"
#include "recipe.hpp"

namespace {

using examples::check_count;

struct Options {
  std::string model;
  std::string output;
  std::string type = "q4_k_m";
  std::size_t threads = 0;
  bool quiet = false;
};

/// How far a tensor is from what it was.
struct Loss {
  double signal = 0;  // root of the mean square of the elements
  double rms = 0;     // of the differences
  double most = 0;    // of the differences
};

Loss loss_of(const weft::AnyTensor& before, const weft::AnyTensor& after, const weft::cpu::Context& ctx) {
  const std::size_t k = before.extent(1), rows = before.extent(0);
  struct Sums {
    std::vector<float> x, y;
    double signal = 0, squares = 0, most = 0;
  };
  std::vector<Sums> sums(ctx.concurrency());
  ctx.executor->run(sums.size(), [&](std::size_t slot) {
    Sums& s = sums[slot];
    s.x.resize(k);
    s.y.resize(k);
    for (std::size_t row = slot; row < rows; row += sums.size()) {
      weft::dequantize_row(before.dtype(), before.rows(row, row + 1).bytes().data(), k, s.x.data());
      weft::dequantize_row(after.dtype(), after.rows(row, row + 1).bytes().data(), k, s.y.data());
      for (std::size_t i = 0; i < k; ++i) {
        const double difference = std::fabs(double{s.y[i]} - double{s.x[i]});
        s.signal += double{s.x[i]} * double{s.x[i]};
        s.squares += difference * difference;
        s.most = std::max(s.most, difference);
      }
    }
  });
  Loss loss;
  for (const Sums& s : sums) {
    loss.signal += s.signal;
    loss.rms += s.squares;
    loss.most = std::max(loss.most, s.most);
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, rows * k));
  loss.signal = std::sqrt(loss.signal / count);
  loss.rms = std::sqrt(loss.rms / count);
  return loss;
}

void print_row(const std::string& name, weft::DType from, weft::DType to, const std::optional<Loss>& loss) {
  const std::string types = std::string(weft::name(from)) + " -> " + std::string(weft::name(to));
  if (!loss) {
    std::printf("%-32s %-16s\n", name.c_str(), std::string(weft::name(to)).c_str());
    return;
  }
  std::printf("%-32s %-16s %12.3e %12.3e %9.3f %%\n", name.c_str(), types.c_str(), loss->rms, loss->most,
              loss->signal > 0 ? 100.0 * loss->rms / loss->signal : 0.0);
}

void run(const Options& o) {
  const auto recipe = std::find_if(recipes.begin(), recipes.end(), [&](const Recipe& r) { return r.name == o.type; });
  const bool bar = !o.quiet && examples::has_bar();
  weft::ThreadPool pool(o.threads);
  const weft::cpu::Context ctx{.executor = &pool};

  const weft::Checkpoint checkpoint = weft::Checkpoint::open(o.model);
  weft::GgufWriter writer;
  const std::vector<weft::TensorToWrite> tensors = weft::export_gguf(checkpoint, writer);
  writer.set("general.file_type", recipe->file_type);
  writer.set("general.quantization_version", std::uint32_t{2});
  const std::size_t layers = count_layers(tensors);
  const bool tied =
      std::none_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.name == "output.weight"; });

  std::size_t before = 0;
  for (const weft::TensorToWrite& tensor : tensors) {
    before += weft::bytes_of(tensor.dtype, tensor.shape);
    const weft::DType to = type_of(tensor, *recipe, layers, tied);
    writer.add_tensor(tensor.name, to, tensor.shape, [&, to] {
      const weft::AnyTensor stored = tensor.read();
      if (to == tensor.dtype) {
        if (!o.quiet) print_row(tensor.name, tensor.dtype, to, std::nullopt);
        return stored;
      }
      const std::size_t columns = stored.extent(stored.rank() - 1);
      const weft::AnyTensor matrix = stored.reshaped({stored.size() / columns, columns});
      const weft::AnyTensor result = weft::convert_weight(matrix, to, weft::Layout::rows, ctx);
      if (!o.quiet) {
        examples::erase_bar();
        print_row(tensor.name, tensor.dtype, to, loss_of(matrix, result, ctx));
      }
      return result.reshaped(tensor.shape);
    });
  }
  if (!o.quiet) std::printf("%-32s %-16s %12s %12s %11s\n", "tensor", "type", "rms error", "max error", "relative");
  writer.write(o.output, [&](const weft::WriteProgress& progress) {
    if (bar) examples::draw_bar("writing", progress.bytes_done, progress.bytes_total, progress.tensor);
  });
  if (bar) examples::erase_bar();
  std::fprintf(stderr, "%s: %.1f MB of weights, from %.1f MB\n", o.output.c_str(),
               static_cast<double>(writer.tensor_bytes()) / 1e6, static_cast<double>(before) / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Writes a model in another type of weights, as a GGUF file.");
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes) names.emplace_back(recipe.name);
  app.add_option("-m,--model,model", options.model, "Hugging Face directory, or GGUF file (the first of several)")
      ->required();
  app.add_option("-o,--output,output", options.output, "The GGUF file to write")->required();
  app.add_option("-t,--type", options.type, "The type of all matrices; _m: more bits where they count")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads; 0: one per processor")->check(check_count);
  app.add_flag("-q,--quiet", options.quiet, "No report and no progress");
  return examples::run_program(app, argc, argv, [&] { run(options); });
}
