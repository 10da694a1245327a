// What an evaluation measures: models x sets, and how.
#ifndef PETIT_CLIENT_EVAL_PLAN_H_
#define PETIT_CLIENT_EVAL_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/data/pair_reader.h"
#include "client/lib/client.h"

namespace petit::eval {

enum class Role { kOther, kTeacher, kStudent, kDistilled, kQuantized };

struct ModelPlan {
  std::string name = {};   // as its server has it: "student", "student/versions/2"
  std::string label = {};  // for people; empty: the name
  Role role = Role::kOther;
  std::optional<double> alpha = {};  // of the distillation that made it
  std::string server = {};           // HOST:PORT
};

struct SetPlan {
  std::string name = {};
  data::PairFiles files = {};
  std::string source_language = {};
  std::string target_language = {};
  std::optional<std::string> prompt = {};  // in place of the one that the languages choose
  bool out_of_domain = false;
  bool speed = true;  // speeds are measured on it
  std::string note = {};
};

struct Measurement {
  int concurrency = 32;  // texts in flight when translating for quality
  // Passes that are timed, of all models in turn, 0: none. Where `speed_concurrency` is `concurrency` and all pairs are
  // timed, an uninterrupted translation for quality is the first of them.
  int repeats = 1;
  int speed_concurrency = 32;
  std::int64_t speed_take = 0;  // pairs of a set that are timed; 0: all
  bool all_at_once = false;     // all models translate at a time: for quality only, so repeats must be 0
  bool divergence = true;       // KL(teacher || model), and perplexity
  int bootstrap_samples = 1000;
  std::uint64_t seed = 12345;
  int examples = 10;  // sentences shown on which the models differ most
};

struct Plan {
  std::string name = "eval";
  std::string title = {};
  std::string description = {};
  std::string command = {};  // what was typed
  bool random_weights = false;
  bool trial = false;                  // ShortenForTrial made it short
  std::vector<ModelPlan> models = {};  // at least one; names unique
  std::vector<SetPlan> sets = {};      // at least one; names unique
  client::DecodingOptions decoding = {};
  Measurement measurement = {};
  std::string teacher = {};   // a model; empty: none, then no KL, agreement or ratios
  std::string baseline = {};  // p-values are of differences from it; empty: none
  std::string main_set = {};  // of `sets`; empty: the first
  // What has been done is kept below it, so that a run that was interrupted goes on.
  std::string directory = {};
};

// "greedy, at most 128 tokens", "4 beams, length penalty 0.6", "as the server is configured".
std::string DescribeDecoding(const client::DecodingOptions& decoding);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_PLAN_H_
