// Passes of one model over one set.
#ifndef PETIT_CLIENT_EVAL_PASS_H_
#define PETIT_CLIENT_EVAL_PASS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/data/pair_reader.h"
#include "client/eval/journal.h"
#include "client/eval/plan.h"
#include "client/eval/records.h"
#include "client/lib/client.h"

namespace petit::eval {

// Who wants to know, and who may stop it.
struct Surroundings {
  client::Cancellation* cancellation = nullptr;
  int interrupt_fd = -1;
  // A line for people. May be null; from any thread.
  std::function<void(const std::string& line)> note = nullptr;
  // `done` of `total` of what is being done; done == total: it is finished. May be null; from any thread.
  std::function<void(const std::string& what, std::int64_t done, std::int64_t total)> progress = nullptr;
};

// A model with what its server said of it when the evaluation began.
struct ModelUnderTest {
  ModelPlan plan;
  std::shared_ptr<const client::Client> client;
  client::ModelVersion served;
  client::Model model = {};  // as it was listed
};

struct SetUnderTest {
  SetPlan plan;
  data::PairSetInfo info;
};

// All of one model on one set.
struct Cell {
  const ModelUnderTest* model = nullptr;
  const SetUnderTest* set = nullptr;
  std::unique_ptr<Journal> hypotheses;   // by line
  std::unique_ptr<Journal> likelihoods;  // by line; null: not asked for
};

// Translates those lines of the set that the journal lacks, or that failed for no fault of theirs. Returns the pass'
// times where it was one whole pass at the server's attention. FAILED_PRECONDITION: another version than the one of the
// beginning answered. An error ends the pass; what came before it is in the journal.
[[nodiscard]] absl::StatusOr<std::optional<TimedPass>> Translate(const Plan& plan, Cell& cell,
                                                                 const Surroundings& surroundings);

// Translates the set once more, for its times alone.
[[nodiscard]] absl::StatusOr<TimedPass> Time(const Plan& plan, const Cell& cell, const Surroundings& surroundings);

// Scores the references that the journal lacks. `teacher` is null, the model itself, or a model of the same server.
// Pairs that cannot be scored are recorded with their reason.
[[nodiscard]] absl::Status Score(Cell& cell, const ModelUnderTest* teacher, const Surroundings& surroundings);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_PASS_H_
