#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <weft/models/session.hpp>

namespace weft::inline v0 {

/// Tokens that one session of a batch goes on with, with its adapters.
struct BatchEntry {
  Session* session;
  std::span<const TokenId> tokens;
};

struct BatchOptions {
  std::size_t sequences = 8;  ///< sessions that go on at once
  std::size_t context = 0;    ///< the longest context of its sessions; 0: as for a Session
  std::size_t rows = 512;     ///< tokens that are processed at once, of all sessions together
};

/// Takes several sessions of one model on together: a step of n sessions reads the weights once, not n times. Prompts
/// and single tokens may be mixed, and every session has adapters of its own; those that lie next to each other and
/// share an AdapterSet also share its products. Every session gets the bits that it would get alone. A batch belongs to
/// one thread at a time, as do its sessions while it runs.
class Batch {
 public:
  /// Throws ConfigError where options.sequences or options.rows is 0 or beyond 2^20 and for a context beyond the
  /// model's, std::bad_alloc.
  explicit Batch(CausalLM model, const BatchOptions& options = {})
      : options_(checked(options)),
        context_(detail::checked_context("Batch", model.config(), options.context)),
        pass_(std::move(model), options.rows, options.sequences, context_),
        last_(Tensor<float, 2>::uninitialised({options.sequences, pass_.model().config().hidden})),
        logits_({options.sequences, pass_.model().config().vocab}) {
    part_.reserve(options.sequences);
    adapted_.reserve(options.sequences);
    done_.resize(options.sequences);
  }

  const CausalLM& model() const noexcept { return pass_.model(); }

  /// Appends to every session its tokens and returns the logits (entries, vocab) that predict the one after the last of
  /// each; they are valid until the next call. Throws ShapeError for no tokens, ids outside the vocabulary, more tokens
  /// than a context has room for or more entries than options.sequences, ConfigError for a session that is a null
  /// pointer, of another model, of another cache type than the first, with a context that makes its positions rotate
  /// otherwise, or named twice, and Cancelled when `stop` is requested; all sessions are then as they were.
  TensorView<const float, 2> forward(std::span<const BatchEntry> entries, std::stop_token stop = {}) {
    check(entries);
    if (entries.empty()) return logits_.narrow(0, 0, 0);
    std::fill_n(done_.begin(), entries.size(), std::size_t{0});
    for (std::size_t first = 0; first < entries.size();) first = run_part(entries, first, stop);
    adapted_.clear();
    for (const BatchEntry& entry : entries) append_rows(adapted_, 1, entry.session->adapters_.changes());
    pass_.head(last_.narrow(0, 0, entries.size()), logits_.narrow(0, 0, entries.size()), adapted_);
    for (const BatchEntry& entry : entries) entry.session->position_ += entry.tokens.size();
    return logits_.narrow(0, 0, entries.size());
  }

 private:
  static const BatchOptions& checked(const BatchOptions& options) {
    constexpr std::size_t most = std::size_t{1} << 20;
    for (const auto& [what, value] : {std::pair("sequences", options.sequences), std::pair("rows", options.rows)})
      if (value == 0 || value > most) raise<ConfigError>("Batch: ", what, " is ", value, ", expected 1 to ", most);
    return options;
  }
  void check(std::span<const BatchEntry> entries) const {
    if (entries.size() > options_.sequences)
      raise<ShapeError>("Batch: ", entries.size(), " entries, at most ", options_.sequences, " go on at once");
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!entries[i].session) raise<ConfigError>("Batch: the session of entry ", i, " is a null pointer");
      const Session& session = *entries[i].session;
      try {
        session.check(entries[i].tokens);
      } catch (const ShapeError& error) {
        raise<ShapeError>("Batch: entry ", i, ": ", error.what());
      }
      if (&session.model().weights() != &model().weights())
        raise<ConfigError>("Batch: the session of entry ", i, " is one of another model");
      if (session.context() > context_)
        raise<ConfigError>("Batch: the context of entry ", i, " is ", session.context(), ", that of the batch ",
                           context_);
      const DecoderConfig& c = model().config();
      const bool windows_alike = !c.window_rope || rotates_alike(c.window_rope->scaling, session.context(), context_);
      if (!windows_alike || !rotates_alike(c.rope.scaling, session.context(), context_))
        raise<ConfigError>("Batch: the positions of entry ", i, " rotate for its context of ", session.context(),
                           ", those of the batch for ", context_);
      if (session.cache().dtype() != entries[0].session->cache().dtype())
        raise<ConfigError>("Batch: the cache of entry ", i, " is of type ", name(session.cache().dtype()),
                           ", that of entry 0 of type ", name(entries[0].session->cache().dtype()));
      if (session.source_ && session.source_.cache().dtype() != entries[0].session->source_.cache().dtype())
        raise<ConfigError>("Batch: the source of entry ", i, " is of type ", name(session.source_.cache().dtype()),
                           ", that of entry 0 of type ", name(entries[0].session->source_.cache().dtype()));
      for (std::size_t j = 0; j < i; ++j)
        if (entries[j].session == entries[i].session)
          raise<ConfigError>("Batch: entries ", j, " and ", i, " are the same session");
    }
  }

  /// One pass over as many rows as there is room for, from entry `first` on, which is the first that is not done. What
  /// follows the last token of each entry is kept. The first entry that is not done then.
  std::size_t run_part(std::span<const BatchEntry> entries, std::size_t first, const std::stop_token& stop) {
    part_.clear();
    std::size_t room = pass_.rows();
    for (std::size_t i = first; i < entries.size() && room != 0; ++i) {
      const Session& session = *entries[i].session;
      const std::size_t count = std::min(room, entries[i].tokens.size() - done_[i]);
      part_.push_back(session.sequence(entries[i].tokens.subspan(done_[i], count), session.position_ + done_[i]));
      room -= count;
    }
    const TensorView<float, 2> x = pass_.layers(part_, stop);
    std::size_t row = 0, i = first;
    for (const DecoderPass::Sequence& s : part_) {
      row += s.tokens.size();
      done_[i] += s.tokens.size();
      if (done_[i] != entries[i].tokens.size()) break;
      std::copy_n(&x(row - 1, 0), x.extent(1), &last_(i, 0));
      ++i;
    }
    return i;
  }

  BatchOptions options_;
  std::size_t context_;
  DecoderPass pass_;
  std::vector<DecoderPass::Sequence> part_;
  std::vector<AdaptedRows> adapted_;  // the entries
  std::vector<std::size_t> done_;     // tokens of each entry that have been processed
  Tensor<float, 2> last_;             // (sequences, hidden): the last layer's output for the last token of each entry
  Tensor<float, 2> logits_;           // (sequences, vocab)
};

}  // namespace weft::inline v0
