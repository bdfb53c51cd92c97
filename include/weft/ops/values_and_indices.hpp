#pragma once

namespace weft::inline v0 {

/// Elements and where they were found along the dimension, as max, sort and topk return them:
///
///   auto [values, indices] = topk(logits, 40);
template <class Values, class Indices>
struct ValuesAndIndices {
  Values values;
  Indices indices;
};

}  // namespace weft::inline v0
