// The flags of `petit load`, and the plan that they mean.
#ifndef PETIT_CLIENT_CLI_LOAD_FLAGS_H_
#define PETIT_CLIENT_CLI_LOAD_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/load/plan.h"

namespace petit::cli {

struct LoadFlags {
  CommonFlags common;
  LanguageFlags languages;
  std::vector<std::string> models;  // "student", "student=3"
  std::optional<double> rate;
  std::string streams;  // "8", "1,8,32"
  std::string ramp;     // "10:80"
  std::string steps;    // "10,20,40"
  std::string arrivals = "poisson";
  std::uint64_t seed = 1;
  std::string duration;
  std::string warmup = "2s";
  std::optional<std::int64_t> requests;
  bool unary = false;
  bool stream = false;
  std::string deadline;
  std::int64_t max_in_flight = 10000;
  int connections = 1;
  std::string texts;
  std::string lengths;
  std::vector<std::string> slo;
  bool search = false;
  client::DecodingOptions decoding;
  std::string json;
  std::string html;
};

void AddLoadOptions(CLI::App& command, LoadFlags& flags);

// All but the models. INVALID_ARGUMENT names the flag, and says what is wanted.
[[nodiscard]] absl::StatusOr<load::Plan> PlanOf(const LoadFlags& flags);
// Of --model; none where it was not given.
[[nodiscard]] absl::StatusOr<std::vector<load::ModelShare>> ModelsOf(const LoadFlags& flags);
// Of one call: --deadline, or the common timeout.
[[nodiscard]] absl::StatusOr<absl::Duration> DeadlineOf(const LoadFlags& flags);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_LOAD_FLAGS_H_
