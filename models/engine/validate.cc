#include "models/engine/validate.h"

#include <cstddef>
#include <optional>

#include "absl/strings/str_format.h"
#include "absl/types/span.h"

namespace petit::engine {
namespace {

bool InVocabulary(TokenId id, const ExecutorInfo& info) { return id >= 0 && id < info.vocab_size; }

absl::Status CheckSource(const char* name, absl::Span<const TokenId> ids, const ExecutorInfo& info) {
  if (ids.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat("%s is empty; it needs at least one id, such as EOS", name));
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (InVocabulary(ids[i], info)) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("%s[%d] is %d, outside the vocabulary [0, %d)", name, i, ids[i], info.vocab_size));
  }
  return absl::OkStatus();
}

absl::Status CheckOption(const char* name, std::optional<TokenId> id, const ExecutorInfo& info) {
  if (!id.has_value() || InVocabulary(*id, info)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is %d, outside the vocabulary [0, %d)", name, *id, info.vocab_size));
}

}  // namespace

absl::Status ValidateSequence(const SequenceRequest& request, const ExecutorInfo& info) {
  if (!request.done) return absl::InvalidArgumentError("done is not set: nobody would learn of the result");
  if (absl::Status status = CheckSource("source_ids", request.source_ids, info); !status.ok()) return status;
  for (const std::vector<TokenId>& word : request.options.bad_words) {
    for (const TokenId id : word) {
      if (absl::Status status = CheckOption("an id of bad_words", id, info); !status.ok()) return status;
    }
  }
  if (absl::Status status = CheckOption("forced_bos", request.options.forced_bos, info); !status.ok()) return status;
  return CheckOption("forced_eos", request.options.forced_eos, info);
}

absl::Status ValidateScore(const ScoreRequest& request, const ExecutorInfo& info) {
  if (!request.done) return absl::InvalidArgumentError("done is not set: nobody would learn of the result");
  if (absl::Status status = CheckSource("source_ids", request.source_ids, info); !status.ok()) return status;
  if (absl::Status status = CheckSource("target_ids", request.target_ids, info); !status.ok()) return status;
  if (request.reference_log_probs != nullptr) {
    const std::size_t expected = request.target_ids.size() * static_cast<std::size_t>(info.distribution_size);
    if (request.reference_log_probs->size() != expected) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "reference_log_probs holds %d values; %d target ids over a distribution of %d ids need %d",
          request.reference_log_probs->size(), request.target_ids.size(), info.distribution_size, expected));
    }
  }
  return absl::OkStatus();
}

}  // namespace petit::engine
