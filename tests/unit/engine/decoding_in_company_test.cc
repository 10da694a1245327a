// A sequence's result does not depend on who decodes beside it.
#include <random>
#include <span>

#include "models/decoding/decoder.h"
#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using decoding::DecodingOptions;
using decoding::Hypothesis;

constexpr int kSmallVocab = 12;

// The same rules without loop, slots or company.
std::vector<Hypothesis> DecodeAlone(const Script& script, const SequenceRequest& request) {
  const auto decoder = decoding::MakeDecoder(request.options, {}, request.sequence_index);
  std::vector<std::vector<TokenId>> histories;
  while (!decoder->done()) {
    std::vector<std::vector<TokenId>> next;
    std::vector<decoding::RowResult> results;
    for (const decoding::RowRequest& row : decoder->rows()) {
      next.push_back(row.parent < 0 ? std::vector<TokenId>() : histories.at(row.parent));
      next.back().push_back(row.token);
      results.push_back(decoding::AnswerRow(script(request.source_ids, next.back()), row));
    }
    histories = std::move(next);
    decoder->Advance(results);
  }
  return decoder->Hypotheses();
}

SequenceRequest RandomRequest(std::mt19937& random) {
  const auto below = [&random](int end) { return static_cast<int>(random() % end); };
  SequenceRequest request;
  for (int i = 1 + below(8); i > 0; --i) request.source_ids.push_back(below(kSmallVocab));
  DecodingOptions& options = request.options;
  options.max_new_tokens = 1 + below(15);
  options.min_new_tokens = below(3) == 0 ? below(options.max_new_tokens + 1) : 0;
  switch (below(3)) {
    case 0:
      break;
    case 1:
      options.num_beams = 2 + below(4);
      options.num_return_sequences = 1 + below(options.num_beams);
      options.length_penalty = static_cast<float>(below(5) - 1) / 2;
      options.early_stopping = static_cast<decoding::EarlyStopping>(below(3));
      break;
    case 2:
      options.do_sample = true;
      options.num_return_sequences = 1 + below(3);
      options.top_k = below(2) == 0 ? 0 : 1 + below(kSmallVocab);
      options.top_p = below(2) == 0 ? 1.0F : 0.7F;
      options.temperature = 0.5F + static_cast<float>(below(3)) / 2;
      options.seed = random();
      break;
  }
  if (below(3) == 0) options.repetition_penalty = 1.5F;
  if (below(3) == 0) options.no_repeat_ngram_size = 2;
  if (below(4) == 0) options.bad_words = {{2}, {3, 4}};
  if (below(6) == 0) options.forced_bos = 5;
  if (below(6) == 0) options.forced_eos = 1;
  request.sequence_index = below(4);
  return request;
}

class CompanyTest : public LoopTest, public ::testing::WithParamInterface<BatchingMode> {
 protected:
  CompanyTest() {
    scripted_.script = HashScript(kSmallVocab, 11);
    scripted_.vocab_size = kSmallVocab;
    options_.limits.mode = GetParam();
    options_.limits.max_rows = 12;
  }

  void ExpectAsAlone(const std::vector<SequenceRequest>& requests, const std::vector<Sequence>& sequences) const {
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      SCOPED_TRACE(i);
      ASSERT_TRUE(sequences[i]->done());
      const std::vector<Hypothesis> alone = DecodeAlone(scripted_.script, requests[i]);
      const std::vector<Hypothesis>& together = sequences[i]->value().hypotheses;
      ASSERT_EQ(together.size(), alone.size());
      for (std::size_t h = 0; h < alone.size(); ++h) {
        EXPECT_EQ(together[h].ids, alone[h].ids);
        EXPECT_EQ(together[h].score, alone[h].score);
        EXPECT_EQ(together[h].token_log_probs, alone[h].token_log_probs);
        EXPECT_EQ(together[h].finish_reason, alone[h].finish_reason);
      }
    }
  }
};

TEST_P(CompanyTest, TwoHundredMixedSequencesComeOutAsIfAlone) {
  Start();
  std::mt19937 random(5);
  std::vector<SequenceRequest> requests;
  std::vector<Sequence> sequences;
  for (int i = 0; i < 200; ++i) {
    requests.push_back(RandomRequest(random));
    ASSERT_FALSE(decoding::Validate(requests.back().options).has_value());
    sequences.push_back(Enqueue(requests.back()));
    for (int turns = static_cast<int>(random() % 3); turns > 0; --turns) loop_->RunOnce();
  }
  RunUntilIdle();
  ExpectAsAlone(requests, sequences);
}

// As above, but of two flows, and steps take time: one with many rows is held for the other every now and then.
TEST_P(CompanyTest, BeingHeldChangesNothing) {
  options_.limits.max_rows = 40;
  options_.limits.max_queue_length = 300;
  scripted_.before = [this](const Call& call) {
    now_ += absl::Milliseconds(1 + call.rows.size());
    return absl::OkStatus();
  };
  Start();
  std::mt19937 random(7);
  std::vector<SequenceRequest> requests;
  std::vector<Sequence> sequences;
  for (int i = 0; i < 300; ++i) {
    requests.push_back(RandomRequest(random));
    requests.back().flow = i % 8 == 0 ? 1 : 2;
    sequences.push_back(Enqueue(requests.back()));
    if (i % 3 == 0) loop_->RunOnce();
  }
  RunUntilIdle();
  ExpectAsAlone(requests, sequences);
  int held = 0;
  for (const Call& step : Steps()) held += step.held.empty() ? 0 : 1;
  EXPECT_GT(held, GetParam() == BatchingMode::kContinuous ? 20 : -1);
}

TEST_P(CompanyTest, AScoreChunkBetweenStepsChangesNothing) {
  Start();
  std::mt19937 random(6);
  const SequenceRequest request = RandomRequest(random);
  const Sequence sequence = Enqueue(request);
  for (bool more = true; more;) {
    ScoreRequest pair = Pair(2, 3);
    EnqueueScore(pair);
    loop_->RunOnce();
    more = !sequence->done();
  }
  RunUntilIdle();
  EXPECT_EQ(sequence->value().hypotheses[0].ids, DecodeAlone(scripted_.script, request)[0].ids);
}

INSTANTIATE_TEST_SUITE_P(Modes, CompanyTest,
                         ::testing::Values(BatchingMode::kContinuous, BatchingMode::kStatic,
                                           BatchingMode::kOneAtATime));

}  // namespace
}  // namespace petit::engine
