// From text to the sequences that a replica decodes, and back. Knows no gRPC.
#ifndef PETIT_SERVER_RPC_TRANSLATE_REQUEST_H_
#define PETIT_SERVER_RPC_TRANSLATE_REQUEST_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "models/engine/replica.h"
#include "models/tokenizer/tokenizer.h"
#include "petit/v1/translation.pb.h"
#include "server/config/settings.h"
#include "server/rpc/translate_options.h"

namespace petit::serving {

// A checked and tokenized text.
struct PreparedText {
  // Source ids: one entry, or with split_paragraphs one per paragraph that is not blank.
  std::vector<std::vector<tokenizer::TokenId>> sources;
  // With split_paragraphs: per paragraph its entry in `sources` (-1: blank, stays empty) and its newline.
  struct Part {
    int source = -1;
    std::string newline;
  };
  std::vector<Part> parts;
  int source_tokens = 0;
  int unknown_source_tokens = 0;
};

// INVALID_ARGUMENT: empty or blank, more than max_text_bytes, a source of more than max_source_tokens with its prompt
// and EOS, or more paragraphs than the model's queue takes. `text` is UTF-8.
absl::StatusOr<PreparedText> PrepareText(const TranslationPlan& plan, const RequestLimits& limits,
                                         std::string_view text);

// The checks of one source and its ids with prompt and EOS, for translation and scoring alike. `name` is what messages
// call it: "text", "source".
absl::StatusOr<tokenizer::Encoded> EncodeSource(const ServedModel& model, const std::string& prompt,
                                                const RequestLimits& limits, const std::string& name,
                                                std::string_view text);

struct SubmitOptions {
  absl::Time deadline = absl::InfiniteFuture();
  engine::CancelFlag cancelled;
  engine::Flow flow = 0;
};

// Results of one text's sequences, in the order of PreparedText::sources.
using SequenceResults = std::vector<absl::StatusOr<engine::SequenceResult>>;

// Submits all sequences of the texts, or none: then `done` is never called, and the status is the replicas', or
// RESOURCE_EXHAUSTED where the texts have more sequences than a queue takes. `done` gets one entry per text, once, on
// the worker of the replica that ends last: it must not block. A sample depends on the seed and the text alone, not on
// its neighbours.
absl::Status SubmitTexts(const TranslationPlan& plan, absl::Span<const PreparedText* const> texts,
                         const SubmitOptions& options, std::function<void(std::vector<SequenceResults>)> done);

// The translation, or the first sequence's failure. With several paragraphs: texts are joined by their newlines,
// tokens are summed, the score is the sum of all log-probabilities / tokens ^ length_penalty, the finish reason is
// LENGTH if any paragraph was cut, and each timing is the longest.
absl::StatusOr<v1::Translation> MakeTranslation(const TranslationPlan& plan, const PreparedText& text,
                                                const SequenceResults& results);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_TRANSLATE_REQUEST_H_
