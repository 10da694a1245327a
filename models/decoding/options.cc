#include "models/decoding/options.h"

#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>

namespace petit::decoding {
namespace {

std::string Wrong(std::string_view name, const std::string& value, std::string_view right) {
  return std::string(name) + " is " + value + "; it must be " + std::string(right);
}

std::optional<std::string> CheckIds(const DecodingOptions& options, TokenId end, const std::string& range) {
  const auto outside = [end](TokenId id) { return id < 0 || id >= end; };
  for (std::size_t i = 0; i < options.bad_words.size(); ++i) {
    const std::string name = "bad_words[" + std::to_string(i) + "]";
    if (options.bad_words[i].empty()) return Wrong(name, "empty", "one id at least");
    for (const TokenId id : options.bad_words[i]) {
      if (outside(id)) return Wrong("an id of " + name, std::to_string(id), range);
    }
  }
  if (options.forced_bos && outside(*options.forced_bos)) {
    return Wrong("forced_bos", std::to_string(*options.forced_bos), range);
  }
  if (options.forced_eos && outside(*options.forced_eos)) {
    return Wrong("forced_eos", std::to_string(*options.forced_eos), range);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> Validate(const DecodingOptions& options) {
  const auto& o = options;
  if (o.max_new_tokens < 1) return Wrong("max_new_tokens", std::to_string(o.max_new_tokens), ">= 1");
  if (o.min_new_tokens < 0 || o.min_new_tokens > o.max_new_tokens) {
    return Wrong("min_new_tokens", std::to_string(o.min_new_tokens),
                 "in [0, max_new_tokens = " + std::to_string(o.max_new_tokens) + "]");
  }
  if (o.num_beams < 1) return Wrong("num_beams", std::to_string(o.num_beams), ">= 1");
  if (o.do_sample && o.num_beams > 1) {
    return Wrong("num_beams", std::to_string(o.num_beams), "1 with do_sample: beam search does not sample");
  }
  if (o.num_return_sequences < 1) return Wrong("num_return_sequences", std::to_string(o.num_return_sequences), ">= 1");
  if (!o.do_sample && o.num_return_sequences > o.num_beams) {
    return Wrong("num_return_sequences", std::to_string(o.num_return_sequences),
                 "<= num_beams = " + std::to_string(o.num_beams) + " unless do_sample is set");
  }
  if (!std::isfinite(o.length_penalty)) return Wrong("length_penalty", std::to_string(o.length_penalty), "finite");
  if (!(o.repetition_penalty > 0) || !std::isfinite(o.repetition_penalty)) {
    return Wrong("repetition_penalty", std::to_string(o.repetition_penalty), "> 0 and finite (1 is off)");
  }
  if (o.no_repeat_ngram_size < 0) {
    return Wrong("no_repeat_ngram_size", std::to_string(o.no_repeat_ngram_size), ">= 0 (0 is off)");
  }
  if (!(o.temperature > 0) || !std::isfinite(o.temperature)) {
    return Wrong("temperature", std::to_string(o.temperature),
                 "> 0 and finite; for the most probable token leave do_sample unset");
  }
  if (o.top_k < 0) return Wrong("top_k", std::to_string(o.top_k), ">= 0 (0 is the whole vocabulary)");
  if (!(o.top_p > 0) || o.top_p > 1) return Wrong("top_p", std::to_string(o.top_p), "in (0, 1]");
  return CheckIds(options, std::numeric_limits<TokenId>::max(), ">= 0");
}

std::optional<std::string> ValidateIds(const DecodingOptions& options, int vocab_size) {
  return CheckIds(options, vocab_size, "in [0, vocab_size = " + std::to_string(vocab_size) + ")");
}

int MaxRows(const DecodingOptions& options) {
  return options.do_sample ? options.num_return_sequences : options.num_beams;
}

}  // namespace petit::decoding
