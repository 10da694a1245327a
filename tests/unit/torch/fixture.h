// Executors on the tiny checkpoints, and the goldens that Hugging Face's T5 made with them.
#ifndef PETIT_TESTS_UNIT_TORCH_FIXTURE_H_
#define PETIT_TESTS_UNIT_TORCH_FIXTURE_H_

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/decoding/decoder.h"
#include "models/engine/executor.h"
#include "models/torch/torch_executor.h"

namespace petit::torch_executor {

using decoding::RowRequest;
using decoding::RowResult;
using decoding::TokenId;
using Ids = std::vector<TokenId>;

inline nlohmann::json Golden(const std::string& name) {
  std::ifstream file(std::string(PETIT_SOURCE_DIR) + "/tests/data/torch/" + name + ".json");
  return nlohmann::json::parse(file);
}

inline checkpoint::Checkpoint OpenTiny(const std::string& version) {
  auto opened = checkpoint::Checkpoint::Open(std::string(PETIT_SOURCE_DIR) + "/tests/data/tiny/" + version);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return *std::move(opened);
}

inline std::unique_ptr<engine::Executor> MakeTiny(const std::string& version, const TorchOptions& options = {}) {
  // One thread: what these models compute is smaller than the waking of another, and CTest runs programs side by side.
  static const bool single_threaded = (SetTorchThreads(1), true);
  EXPECT_TRUE(single_threaded);
  auto executor = MakeTorchExecutor(OpenTiny(version), options);
  EXPECT_TRUE(executor.ok()) << executor.status();
  return *std::move(executor);
}

inline void AdmitAll(engine::Executor& executor, const std::vector<Ids>& sources) {
  std::vector<engine::Newcomer> newcomers;
  for (std::size_t i = 0; i < sources.size(); ++i) newcomers.push_back({static_cast<engine::Slot>(i), sources[i]});
  const absl::Status status = executor.Admit(newcomers);
  ASSERT_TRUE(status.ok()) << status;
}

// A request that brings the whole row of raw logits back, as log-probabilities and their log-sum-exp.
inline RowRequest WholeRow(TokenId token) {
  RowRequest request;
  request.token = token;
  request.full_row = true;
  return request;
}

inline std::vector<float> Logits(const RowResult& result) {
  std::vector<float> logits = result.full_row;
  for (float& logit : logits) logit += result.log_sum_exp;
  return logits;
}

// Logits of each decoder input, by source, stepping all `sources` (slots 0, 1, ...) together: [source][step][id].
inline std::vector<std::vector<std::vector<float>>> ForcedLogits(engine::Executor& executor,
                                                                 const std::vector<Ids>& sources, const Ids& inputs) {
  AdmitAll(executor, sources);
  std::vector<std::vector<std::vector<float>>> logits(sources.size());
  for (std::size_t step = 0; step < inputs.size(); ++step) {
    const RowRequest request = WholeRow(inputs[step]);
    std::vector<engine::StepRow> rows;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      rows.push_back({static_cast<int>(i), step == 0 ? -1 : static_cast<int>(i), &request});
    }
    std::vector<RowResult> results;
    const absl::Status status = executor.Step(rows, &results);
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return logits;
    for (std::size_t i = 0; i < sources.size(); ++i) logits[i].push_back(Logits(results[i]));
  }
  std::vector<engine::Slot> slots(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) slots[i] = static_cast<int>(i);
  executor.Release(slots);
  return logits;
}

// Runs decoders to their ends, all sequences in the same steps, as the engine does.
inline std::vector<std::vector<decoding::Hypothesis>> Decode(engine::Executor& executor,
                                                             const std::vector<Ids>& sources,
                                                             const decoding::DecodingOptions& options) {
  AdmitAll(executor, sources);
  std::vector<std::unique_ptr<decoding::SequenceDecoder>> decoders;
  for (std::size_t i = 0; i < sources.size(); ++i) decoders.push_back(MakeDecoder(options, {}, i));
  std::vector<int> first_row(sources.size(), -1);
  for (;;) {
    std::vector<engine::StepRow> rows;
    std::vector<int> next_first(sources.size());
    for (std::size_t i = 0; i < sources.size(); ++i) {
      next_first[i] = static_cast<int>(rows.size());
      for (const RowRequest& request : decoders[i]->rows()) {
        rows.push_back({static_cast<int>(i), request.parent < 0 ? -1 : first_row[i] + request.parent, &request});
      }
    }
    if (rows.empty()) break;
    std::vector<RowResult> results;
    const absl::Status status = executor.Step(rows, &results);
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return {};
    first_row = next_first;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const std::size_t end = i + 1 < sources.size() ? next_first[i + 1] : results.size();
      if (!decoders[i]->done()) decoders[i]->Advance(std::span(results).subspan(next_first[i], end - next_first[i]));
    }
  }
  std::vector<std::vector<decoding::Hypothesis>> all;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    all.push_back(decoders[i]->Hypotheses());
    const engine::Slot slot = static_cast<int>(i);
    executor.Release({&slot, 1});
  }
  return all;
}

}  // namespace petit::torch_executor

#endif  // PETIT_TESTS_UNIT_TORCH_FIXTURE_H_
