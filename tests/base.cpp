// The settings every test program shares; its precompiled header is theirs.
#include <weft/core/config.hpp>

#ifdef NDEBUG
#error "the tests are built with asserts"
#endif
static_assert(WEFT_ENABLE_ASSERTS == 1);
