#include "tests/unit/engine/scripted_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"

namespace petit::engine {
namespace {

using decoding::AnswerRow;
using decoding::LogSumExp;
using decoding::RowResult;

std::uint64_t Mix(std::uint64_t state, std::uint64_t value) {
  // The finaliser of splitmix64.
  std::uint64_t z = state + value + 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

void ReportBreach(const std::string& what) { ADD_FAILURE() << "the executor's contract was broken: " << what; }

absl::Status Breach(const std::string& what) {
  ReportBreach(what);
  return absl::InternalError(what);
}

class ScriptedExecutor : public Executor {
 public:
  explicit ScriptedExecutor(ScriptedOptions options) : options_(std::move(options)) {
    info_.executor = "SCRIPTED";
    info_.device = "cpu";
    info_.precision = "FP32";
    info_.vocab_size = options_.vocab_size;
    info_.distribution_size = options_.distribution_size == 0 ? options_.vocab_size : options_.distribution_size;
  }

  ~ScriptedExecutor() override {
    if (!sources_.empty()) ReportBreach(absl::StrFormat("%d slots were never released", sources_.size()));
  }

  const ExecutorInfo& info() const override { return info_; }

  std::int64_t Footprint(int source_tokens, int max_new_tokens, int rows) const override {
    return (source_tokens + static_cast<std::int64_t>(max_new_tokens) * rows) * options_.bytes_per_token;
  }

  absl::Status Admit(absl::Span<const Newcomer> newcomers) override {
    const OneCaller one(&busy_);
    Call call(Call::Kind::kAdmit, admits_++);
    for (const Newcomer& newcomer : newcomers) {
      call.slots.push_back(newcomer.slot);
      call.source_tokens.push_back(static_cast<int>(newcomer.source_ids.size()));
    }
    if (absl::Status status = Begin(call); !status.ok()) return status;
    if (newcomers.empty()) return Breach("Admit of nobody");
    if (sources_.size() + newcomers.size() > static_cast<std::size_t>(options_.max_slots)) {
      return absl::ResourceExhaustedError(absl::StrFormat("the device is full: it holds %d of %d slots, %d more came",
                                                          sources_.size(), options_.max_slots, newcomers.size()));
    }
    std::map<Slot, std::vector<TokenId>> admitted = sources_;
    for (const Newcomer& newcomer : newcomers) {
      if (newcomer.slot < 0) return Breach(absl::StrFormat("slot %d is negative", newcomer.slot));
      if (newcomer.source_ids.empty()) return Breach(absl::StrFormat("slot %d has no source", newcomer.slot));
      for (const TokenId id : newcomer.source_ids) {
        if (!InVocabulary(id)) return Breach(absl::StrFormat("source id %d is outside the vocabulary", id));
      }
      const bool fresh =
          admitted.try_emplace(newcomer.slot, newcomer.source_ids.begin(), newcomer.source_ids.end()).second;
      if (!fresh) return Breach(absl::StrFormat("slot %d is admitted already", newcomer.slot));
    }
    sources_ = std::move(admitted);
    return absl::OkStatus();
  }

  absl::Status Step(absl::Span<const StepRow> rows, std::vector<RowResult>* results) override {
    const OneCaller one(&busy_);
    Call call(Call::Kind::kStep, steps_++);
    for (const StepRow& row : rows) {
      if (row.request == nullptr) {
        if (call.held.empty() || call.held.back() != row.slot) call.held.push_back(row.slot);
        continue;
      }
      if (call.slots.empty() || call.slots.back() != row.slot) call.slots.push_back(row.slot);
      call.rows.push_back({row.slot, row.parent_row, row.request->token});
    }
    std::vector<CachedRow> parents = std::exchange(rows_, {});  // lost, should the step fail
    if (absl::Status status = Begin(call); !status.ok()) return status;
    if (call.rows.empty()) return Breach("Step without rows to compute");
    if (!results->empty()) return Breach("Step's results did not come empty");
    std::vector<CachedRow> next;
    next.reserve(rows.size());
    for (const StepRow& row : rows) {
      if (absl::Status status = CheckRow(row, parents); !status.ok()) return status;
      CachedRow cached = {.slot = row.slot, .history = {}};
      if (row.parent_row >= 0) cached.history = parents[row.parent_row].history;
      if (row.request == nullptr) {
        next.push_back(std::move(cached));
        continue;
      }
      if (next.size() > results->size()) return Breach("a computed row comes after a held one");
      cached.history.push_back(row.request->token);
      results->push_back(AnswerRow(options_.script(sources_.at(row.slot), cached.history), *row.request));
      next.push_back(std::move(cached));
    }
    rows_ = std::move(next);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ScoreResult>> Score(absl::Span<const ScorePair> pairs) override {
    const OneCaller one(&busy_);
    Call call(Call::Kind::kScore, scores_++);
    for (const ScorePair& pair : pairs) {
      call.source_tokens.push_back(static_cast<int>(pair.source_ids.size()));
      call.target_tokens.push_back(static_cast<int>(pair.target_ids.size()));
    }
    if (absl::Status status = Begin(call); !status.ok()) return status;
    if (pairs.empty()) return Breach("Score of nothing");
    std::vector<ScoreResult> results;
    for (const ScorePair& pair : pairs) results.push_back(ScoreOne(pair));
    return results;
  }

  void Release(absl::Span<const Slot> slots) override {
    const OneCaller one(&busy_);
    Call call(Call::Kind::kRelease, releases_++);
    call.slots.assign(slots.begin(), slots.end());
    if (options_.log != nullptr) options_.log->Add(call);
    for (const Slot slot : slots) {
      if (sources_.erase(slot) == 0) ReportBreach(absl::StrFormat("slot %d is released but was not admitted", slot));
      for (CachedRow& row : rows_) {
        if (row.slot == slot) row.slot = -1;
      }
    }
  }

 private:
  struct CachedRow {
    Slot slot = -1;  // -1: its slot was released
    std::vector<TokenId> history;
  };

  // Sees a second thread come in while a call is under way.
  class OneCaller {
   public:
    explicit OneCaller(std::atomic<bool>* busy) : busy_(busy) {
      if (busy_->exchange(true)) ReportBreach("two calls at the same time");
    }
    ~OneCaller() { *busy_ = false; }
    OneCaller(const OneCaller&) = delete;
    OneCaller& operator=(const OneCaller&) = delete;

   private:
    std::atomic<bool>* busy_;
  };

  absl::Status Begin(const Call& call) {
    if (options_.log != nullptr) options_.log->Add(call);
    return options_.before ? options_.before(call) : absl::OkStatus();
  }

  bool InVocabulary(TokenId id) const { return id >= 0 && id < info_.vocab_size; }

  absl::Status CheckRow(const StepRow& row, const std::vector<CachedRow>& parents) const {
    if (!sources_.contains(row.slot)) return Breach(absl::StrFormat("a row names slot %d, not admitted", row.slot));
    if (row.parent_row < -1 || row.parent_row >= static_cast<int>(parents.size())) {
      return Breach(absl::StrFormat("parent %d is none of the %d rows before", row.parent_row, parents.size()));
    }
    if (row.parent_row >= 0 && parents[row.parent_row].slot != row.slot) {
      return Breach(absl::StrFormat("a row of slot %d has parent %d, a row of slot %d", row.slot, row.parent_row,
                                    parents[row.parent_row].slot));
    }
    if (row.request == nullptr) {
      return row.parent_row < 0 ? Breach("a row without a parent is held") : absl::OkStatus();
    }
    if (!InVocabulary(row.request->token)) return Breach(absl::StrFormat("token %d is unknown", row.request->token));
    if (row.request->num_best < 1) return Breach("num_best is below 1");
    for (const decoding::Edit& edit : row.request->edits) {
      if (!InVocabulary(edit.id)) return Breach(absl::StrFormat("edited id %d is unknown", edit.id));
    }
    return absl::OkStatus();
  }

  ScoreResult ScoreOne(const ScorePair& pair) const {
    ScoreResult result;
    std::vector<TokenId> history = {options_.decoder_start};
    for (std::size_t i = 0; i < pair.target_ids.size(); ++i) {
      const std::vector<float> logits = options_.script(pair.source_ids, history);
      result.token_log_probs.push_back(logits[pair.target_ids[i]] - LogSumExp(logits));
      history.push_back(pair.target_ids[i]);
      const std::span<const float> producible(logits.data(), info_.distribution_size);
      const float log_sum_exp = LogSumExp(producible);
      double kl = 0;
      for (std::size_t id = 0; id < producible.size(); ++id) {
        const float log_prob = producible[id] - log_sum_exp;
        if (pair.want_log_probs) result.log_probs.push_back(log_prob);
        if (pair.reference_log_probs.empty()) continue;
        const float reference = pair.reference_log_probs[i * producible.size() + id];
        kl += std::exp(reference) * (reference - log_prob);
      }
      if (!pair.reference_log_probs.empty()) result.kl.push_back(static_cast<float>(kl));
    }
    return result;
  }

  const ScriptedOptions options_;
  ExecutorInfo info_;
  std::atomic<bool> busy_ = false;
  std::map<Slot, std::vector<TokenId>> sources_;
  std::vector<CachedRow> rows_;  // of the last step
  int admits_ = 0;
  int steps_ = 0;
  int scores_ = 0;
  int releases_ = 0;
};

}  // namespace

Script TableScript(decoding::TableModel model) {
  return [model = std::move(model)](std::span<const TokenId>, std::span<const TokenId> history) {
    return model.Logits(history);
  };
}

Script CopySourceScript(int vocab_size, TokenId eos) {
  return [vocab_size, eos](std::span<const TokenId> source, std::span<const TokenId> history) {
    std::vector<float> logits(vocab_size, 0.0F);
    const std::size_t position = history.size() - 1;
    logits[position < source.size() ? source[position] : eos] = 20.0F;
    return logits;
  };
}

Script HashScript(int vocab_size, std::uint64_t seed) {
  return [vocab_size, seed](std::span<const TokenId> source, std::span<const TokenId> history) {
    std::uint64_t state = seed;
    for (const TokenId id : source) state = Mix(state, id);
    state = Mix(state, ~0ULL);
    for (const TokenId id : history) state = Mix(state, id);
    std::vector<float> logits(vocab_size);
    for (int id = 0; id < vocab_size; ++id) {
      const auto bits = static_cast<float>(Mix(state, id) >> 40);  // 24 of them: exact in a float
      logits[id] = bits / static_cast<float>(1 << 24) * 6 - 3;
    }
    return logits;
  };
}

void CallLog::Add(const Call& call) {
  const std::lock_guard lock(mutex_);
  calls_.push_back(call);
}

std::vector<Call> CallLog::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::vector<Call> CallLog::calls(Call::Kind kind) const {
  std::vector<Call> all = calls();
  std::erase_if(all, [kind](const Call& call) { return call.kind != kind; });
  return all;
}

std::function<absl::Status(const Call&)> FailCall(Call::Kind kind, int index, absl::Status status) {
  return [kind, index, status = std::move(status)](const Call& call) {
    return call.kind == kind && call.index == index ? status : absl::OkStatus();
  };
}

std::unique_ptr<Executor> MakeScriptedExecutor(ScriptedOptions options) {
  return std::make_unique<ScriptedExecutor>(std::move(options));
}

}  // namespace petit::engine
