#pragma once

// What the example programs that have a command line share.
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>

#include <CLI/CLI.hpp>
#include <weft/models/load_options.hpp>

namespace examples {

/// A check for options: CLI11 alone takes -1 for the largest number there is, and so what is too large.
inline std::string check_count(const std::string& text) {
  std::size_t count = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool whole = failed == std::errc() && end == text.data() + text.size();
  return whole ? std::string() : text + " is not a whole number of at least 0";
}

/// Whether stderr is where a bar can be redrawn in place.
inline bool has_bar() { return ::isatty(STDERR_FILENO) != 0; }
inline void erase_bar() {
  if (has_bar()) std::fputs("\r\033[K", stderr);
}
inline void draw_bar(const char* what, std::size_t done, std::size_t total, std::string_view beside = {}) {
  constexpr std::size_t cells = 40;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(cells));
  std::string bar(cells, '.');
  bar.replace(0, full, full, '#');
  std::fprintf(stderr, "\r%s [%s] %3.0f %%", what, bar.c_str(), 100.0 * share);
  if (!beside.empty()) std::fprintf(stderr, " %-32.32s", std::string(beside).c_str());
  std::fflush(stderr);
}

/// On a terminal, a bar as long as a model is loaded.
inline void show_loading(weft::LoadOptions& load) {
  if (!has_bar()) return;
  load.progress = [](const weft::LoadProgress& progress) {
    draw_bar("loading", progress.bytes_done, progress.bytes_total);
    if (progress.bytes_done == progress.bytes_total) erase_bar();
  };
}

/// Reads the command line, runs the program and says what went wrong. The exit status: 2 for wrong usage, 1 for errors.
template <class Run>
int run_program(CLI::App& app, int argc, char** argv, Run&& run) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    run();
    return 0;
  } catch (const std::exception& error) {
    erase_bar();
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

}  // namespace examples
