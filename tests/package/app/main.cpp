#include <cstdio>
#include <string>

#include <weft/weft.hpp>

std::string other();

// A checkpoint that is not there gets an error that names it; the rest of the library is there.
int main() {
  try {
    static_cast<void>(weft::load_causal_lm("no/such/model"));
  } catch (const weft::Error& error) {
    const bool named = std::string(error.what()).find("no/such/model") != std::string::npos;
    return named && other() == weft::version ? 0 : 1;
  }
  std::puts("a model that does not exist was loaded");
  return 1;
}
