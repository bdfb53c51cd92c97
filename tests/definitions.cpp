#include <weft/define.hpp>
