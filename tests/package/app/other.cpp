#include <string>

#include <weft/weft.hpp>

// Includes everything once more: every function of weft is inline.
std::string other() { return weft::version; }
