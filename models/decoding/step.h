// What passes between decoding and an executor at one decoder step. std only.
//
// Decoding never sees logits: it asks for the few best candidates of each row after sparse edits, and gets them
// with the row's log-sum-exp. Selection so happens on the executor's device.
#ifndef PETIT_MODELS_DECODING_STEP_H_
#define PETIT_MODELS_DECODING_STEP_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "models/decoding/options.h"

namespace petit::decoding {

// Where a row's edits apply. The two differ because Hugging Face's processors see raw logits in greedy search and
// sampling (then normalise: the log-probability is of the edited distribution), but log-probabilities in beam search
// (no renormalisation afterwards).
enum class ScoreSpace { kLogits, kLogProbs };

// One change to a row's scores s, in the row's ScoreSpace. A row's edits are applied in order; after a kForce no
// other edit of that row follows.
struct Edit {
  enum class Kind : std::uint8_t {
    kBan,       // s[id] = -inf
    kPenalize,  // s[id] = s[id] < 0 ? s[id] * value : s[id] / value
    kForce,     // every s = -inf, s[id] = 0
  };
  TokenId id = 0;
  Kind kind = Kind::kBan;
  float value = 0;
};

// One hypothesis to extend by one decoder step.
struct RowRequest {
  int parent = -1;        // index among the same sequence's rows of the step before; -1 at its first step
  TokenId token = 0;      // decoder input: the start token at the first step, then the parent's chosen token
  int num_best = 1;       // candidates wanted, >= 1; fewer come back only if the vocabulary is smaller
  bool full_row = false;  // also wants the whole row of edited log-probabilities
  ScoreSpace space = ScoreSpace::kLogits;
  std::vector<Edit> edits;
};

struct Candidate {
  TokenId id = 0;
  float log_prob = 0;  // after edits; natural logarithm; -inf where banned
};

struct RowResult {
  std::vector<Candidate> best;  // descending log_prob; equal ones by ascending id
  float log_sum_exp = 0;        // of the logits: edited ones in kLogits, raw ones in kLogProbs
  std::vector<float> full_row;  // [vocab_size] log-probabilities after edits, only where asked
};

inline constexpr float kNegInf = -std::numeric_limits<float>::infinity();

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_STEP_H_
