#error "weft::ops must not need this library"
