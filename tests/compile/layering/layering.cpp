// layering INCLUDE_FOLDER
// Reads every header under INCLUDE_FOLDER/weft and prints what breaks the rules of the house: who may include whom,
// which header may use which library, and what a header must not do to the program it is included in.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

// A folder includes itself and folders of lower rank. cuda stands beside them: see may_include.
const std::map<std::string, int> ranks{{"core", 0},   {"cpu", 1},        {"quant", 1},    {"formats", 1},
                                       {"ops", 2},    {"tokenizers", 2}, {"sampling", 2}, {"layers", 3},
                                       {"models", 4}, {"generation", 5}, {"metrics", 5}};

// A library of others, and the headers that may include it.
struct Library {
  std::string prefix;
  std::set<std::string> users;
};
const std::vector<Library> libraries{{"Eigen/", {"core/eigen.hpp"}},
                                     {"nlohmann/", {"formats/json.inl"}},
                                     {"sentencepiece", {"tokenizers/sentencepiece.hpp"}},
                                     {"pcre2", {"tokenizers/regex.hpp"}},
                                     {"utf8proc", {"tokenizers/unicode.hpp"}}};

// What the operating system and the compiler offer beside the standard library.
const std::set<std::string> system_headers{"fcntl.h",     "sched.h", "sys/mman.h", "sys/stat.h", "unistd.h",
                                           "immintrin.h", "cpuid.h", "arm_neon.h", "sys/auxv.h", "pthread.h"};

// Headers that may define macros, with the prefix each macro must have.
const std::map<std::string, std::string> macro_owners{{"core/config.hpp", "WEFT_"},
                                                      {"tokenizers/regex.hpp", "PCRE2_CODE_UNIT_WIDTH"}};

const std::set<std::string> printing{"printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "perror"};
const std::set<std::string> streams{"cout", "cerr", "clog", "wcout", "wcerr"};
const std::set<std::string> host_changes{"abort",     "exit",   "_Exit",     "_exit",     "quick_exit",
                                         "terminate", "signal", "sigaction", "setlocale", "setenv",
                                         "putenv",    "srand",  "rand",      "atexit"};

struct Header {
  std::string text;                   // as written
  std::string code;                   // without comments, strings and characters
  std::vector<std::string> included;  // headers of weft, relative to weft/
};

int violations = 0;

void report(const std::string& path, const std::string& what) {
  std::cout << "weft/" << path << ": " << what << '\n';
  ++violations;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The text without comments and without what stands between quotes; lines stay lines.
std::string strip(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view rest = std::string_view(text).substr(i);
    if (rest.starts_with("//")) {
      i = std::min(text.find('\n', i), text.size());
    } else if (rest.starts_with("/*")) {
      const std::size_t end = std::min(text.find("*/", i + 2), text.size());
      out.append(static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(i),
                                                     text.begin() + static_cast<std::ptrdiff_t>(end), '\n')),
                 '\n');
      i = std::min(end + 2, text.size());
    } else if (rest.starts_with("R\"") && (i == 0 || !is_word(text[i - 1]))) {
      std::string close(rest.substr(1, rest.find('(') - 1));  // "delimiter, turned into )delimiter"
      close.erase(0, 1).insert(close.begin(), ')');
      close += '"';
      i = std::min(text.find(close, i), text.size() - close.size()) + close.size();
      out += "\"\"";
    } else if (rest[0] == '"' || (rest[0] == '\'' && (i == 0 || !is_word(text[i - 1])))) {
      std::size_t end = i + 1;
      while (end < text.size() && text[end] != text[i] && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
      out += std::string(2, text[i]);
      i = end + 1;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool may_include(const std::string& from, const std::string& to) {
  const std::string a = folder_of(from);
  const std::string b = folder_of(to);
  if (a == "cuda") {
    // Its models and layers see what those of the CPU do; layers see no models, kernels neither.
    const bool models = from.starts_with("cuda/models/");
    const bool layers = models || from.starts_with("cuda/layers/");
    if (to.starts_with("cuda/models/")) return models;
    if (to.starts_with("cuda/layers/")) return layers;
    if (b == "cuda") return true;
    if (models && (b == "models" || may_include("models/", to))) return true;
    if (layers && (b == "layers" || may_include("layers/", to))) return true;
    return b == "core" || b == "quant" || b == "ops" || b == "sampling";
  }
  if (b == "cuda") return false;
  if (a == b) return true;
  if (b.empty()) return false;  // the umbrella is for users
  if (a.empty()) return true;   // and includes everything
  return ranks.contains(a) && ranks.contains(b) && ranks.at(b) < ranks.at(a);
}

void check_outside_include(const std::string& path, const std::string& target) {
  for (const Library& library : libraries) {
    if (!target.starts_with(library.prefix)) continue;
    if (!library.users.contains(path)) report(path, "may not include <" + target + ">");
    return;
  }
  if (target == "iostream") return report(path, "includes <iostream>, which prints");
  const bool standard = target.find('.') == std::string::npos && target.find('/') == std::string::npos;
  if (!standard && !system_headers.contains(target) && folder_of(path) != "cuda")
    report(path, "includes <" + target + ">, which no header is known to need");
}

void check_includes(const std::string& path, Header& header, const std::map<std::string, Header>& headers) {
  std::istringstream lines(header.text);
  for (std::string line; std::getline(lines, line);) {
    std::size_t at = line.find_first_not_of(" \t");
    if (at == std::string::npos || line[at] != '#') continue;
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string::npos || line.compare(at, 7, "include") != 0) continue;
    const std::size_t open = line.find_first_of("<\"", at);
    if (open == std::string::npos) {
      report(path, "includes what a macro names: " + line);
      continue;
    }
    const std::size_t close = line.find(line[open] == '<' ? '>' : '"', open + 1);
    const std::string target = line.substr(open + 1, close - open - 1);
    if (line[open] == '"') {
      report(path, "includes \"" + target + "\" in quotes; write <weft/...>");
      continue;
    }
    if (!target.starts_with("weft/")) {
      check_outside_include(path, target);
      continue;
    }
    const std::string inner = target.substr(5);
    if (!headers.contains(inner)) report(path, "includes <" + target + ">, which does not exist");
    if (!may_include(path, inner)) report(path, "may not include <" + target + ">: its layer is not below");
    if (inner.ends_with(".inl") && folder_of(inner) != folder_of(path) && path != "define.hpp")
      report(path, "includes <" + target + ">, a part of another folder's header");
    header.included.push_back(inner);
  }
}

void check_macros(const std::string& path, const Header& header) {
  const auto owner = macro_owners.find(path);
  std::istringstream lines(header.code);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, directive, name;
    words >> hash;
    if (hash.empty() || hash[0] != '#') continue;
    if (hash == "#") {
      words >> directive >> name;
    } else {
      directive = hash.substr(1);
      words >> name;
    }
    if (directive == "define" && (owner == macro_owners.end() || !name.starts_with(owner->second)))
      report(path, "defines the macro " + name);
    if (directive == "undef" && owner == macro_owners.end()) report(path, "undefines the macro " + name);
    if (directive.starts_with("if") || directive == "elif")
      for (const char* flag : {"__AVX", "__SSE", "__FMA", "__F16C", "__BMI"})
        if (line.find(flag) != std::string::npos) report(path, "depends on the user's -m flags: " + line);
  }
}

void check_words(const std::string& path, const std::string& code) {
  std::string before_previous, previous;
  for (std::size_t i = 0; i < code.size();) {
    if (!is_word(code[i])) {
      if (std::isspace(static_cast<unsigned char>(code[i])) == 0) {
        before_previous = previous;
        previous = std::string(1, code[i]);
      }
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < code.size() && is_word(code[end])) ++end;
    const std::string word = code.substr(i, end - i);
    const std::size_t next = code.find_first_not_of(" \t\n", end);
    const bool called = next != std::string::npos && code[next] == '(';
    const bool member = previous == "." || (before_previous == "-" && previous == ">");
    if (word == "namespace" && previous == "using") report(path, "has a using namespace");
    if (streams.contains(word) && previous == ":") report(path, "uses std::" + word);
    if (called && !member && printing.contains(word)) report(path, "prints: " + word);
    if (called && !member && host_changes.contains(word)) report(path, "calls " + word);
    before_previous = previous;
    previous = word;
    i = end;
  }
}

void check_frame(const std::string& path, const Header& header) {
  if (path.ends_with(".inl")) return;  // a body that its header includes once per instruction set
  const std::size_t first = header.code.find_first_not_of(" \t\n");
  if (first == std::string::npos || header.code.compare(first, 12, "#pragma once") != 0)
    report(path, "does not begin with #pragma once");
  if (!folder_of(path).empty() && header.code.find("namespace weft::inline v0") == std::string::npos)
    report(path, "declares nothing in namespace weft::inline v0");
}

// Depth first; `trail` is the way from the start to here.
void find_cycles(const std::string& path, const std::map<std::string, Header>& headers, std::set<std::string>& done,
                 std::vector<std::string>& trail) {
  const auto seen = std::find(trail.begin(), trail.end(), path);
  if (seen != trail.end()) {
    std::string cycle;
    for (auto step = seen; step != trail.end(); ++step) cycle += *step + " -> ";
    return report(path, "includes itself: " + cycle + path);
  }
  const auto header = headers.find(path);
  if (header == headers.end() || done.contains(path)) return;
  trail.push_back(path);
  for (const std::string& next : header->second.included) find_cycles(next, headers, done, trail);
  trail.pop_back();
  done.insert(path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: layering INCLUDE_FOLDER\n";
    return 2;
  }
  const std::filesystem::path root = std::filesystem::path(argv[1]) / "weft";
  std::map<std::string, Header> headers;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    Header header;
    header.text.assign(std::istreambuf_iterator<char>(file), {});
    header.code = strip(header.text);
    headers.emplace(entry.path().lexically_relative(root).generic_string(), std::move(header));
  }

  for (auto& [path, header] : headers) {
    const std::string folder = folder_of(path);
    if (!folder.empty() && folder != "cuda" && !ranks.contains(folder)) report(path, "is in a folder without a rank");
    if (folder.empty() && path != "weft.hpp" && path != "define.hpp")
      report(path, "stands beside weft.hpp; headers live in folders");
    check_includes(path, header, headers);
    check_macros(path, header);
    check_words(path, header.code);
    check_frame(path, header);
  }
  std::set<std::string> done;
  for (const auto& [path, header] : headers) {
    std::vector<std::string> trail;
    find_cycles(path, headers, done, trail);
  }

  std::cout << headers.size() << " headers read, " << violations << " violations\n";
  return violations != 0 || headers.empty();
}
