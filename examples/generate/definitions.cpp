// What weft's headers define once for a program of several files.
#include <weft/define.hpp>
