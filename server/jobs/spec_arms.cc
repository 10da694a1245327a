#include "server/jobs/spec_arms.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace petit::serving {
namespace {

constexpr int kMaxArms = 64;
constexpr std::size_t kMaxNameLength = 64;

// The shortest text that is this number: no two numbers have the same.
std::string Shortest(double value) {
  std::array<char, 32> text;
  const std::to_chars_result result = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), result.ptr};
}

bool LearningRatesDiffer(const v1::JobSpec& spec) {
  for (const v1::Arm& arm : spec.arms()) {
    if (arm.learning_rate() != spec.arms(0).learning_rate()) return true;
  }
  return false;
}

void CompleteNumbers(int i, v1::JobSpec* spec, SpecCheck* check) {
  v1::Arm* arm = spec->mutable_arms(i);
  const std::string field = absl::StrCat("arms[", i, "]");
  if (spec->teacher().empty() && !(arm->has_alpha() && arm->alpha() == 0)) {
    check->Add(field + ".alpha",
               arm->has_alpha() ? "weighs a teacher, and there is none; set teacher, or alpha: 0 for plain training"
                                : "is missing (its default is 0.5), and there is no teacher; set teacher, or alpha: 0 "
                                  "for plain training");
  }
  if (!arm->has_alpha()) arm->set_alpha(0.5);
  if (!arm->has_learning_rate()) arm->set_learning_rate(spec->optimizer().learning_rate());
  check->InRange(field + ".alpha", arm->alpha(), {.low = 0, .high = 1});
  check->InRange(field + ".learning_rate", arm->learning_rate(), kLearningRates);
}

}  // namespace

void CheckName(absl::string_view field, const std::string& name, SpecCheck* check) {
  bool bad = name.empty() || name.size() > kMaxNameLength || name[0] == '.';
  for (const char c : name) bad = bad || !(absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.');
  if (!bad) return;
  check->Add(field, absl::StrCat("is \"", absl::CHexEscape(absl::string_view(name).substr(0, 2 * kMaxNameLength)),
                                 "\"; it must be 1 to ", kMaxNameLength,
                                 " letters, digits, '-', '_' and '.', and not begin with '.'"));
}

void CompleteArms(v1::JobSpec* spec, SpecCheck* check) {
  if (spec->arms().empty()) check->Add("arms", "is empty; give at least one, as arms { alpha: 0.5 }");
  if (spec->arms_size() > kMaxArms) {
    return check->Add("arms", absl::StrCat("has ", spec->arms_size(), " arms; at most ", kMaxArms, " fit a job"));
  }
  if (spec->halving().enabled() && spec->arms_size() == 1) {
    check->Add("halving.enabled", "drops arms, and there is only one; give more arms, or leave it out");
  }
  for (int i = 0; i < spec->arms_size(); ++i) CompleteNumbers(i, spec, check);
  const bool with_rate = LearningRatesDiffer(*spec);
  std::map<std::string, int> names;
  for (int i = 0; i < spec->arms_size(); ++i) {
    v1::Arm* arm = spec->mutable_arms(i);
    if (arm->name().empty()) {
      arm->set_name(absl::StrCat("alpha-", Shortest(arm->alpha()),
                                 with_rate ? absl::StrCat("-lr-", Shortest(arm->learning_rate())) : ""));
    }
    const std::string field = absl::StrCat("arms[", i, "].name");
    CheckName(field, arm->name(), check);
    const auto [other, is_new] = names.emplace(arm->name(), i);
    if (!is_new) {
      check->Add(field, absl::StrCat("\"", arm->name(), "\" is arms[", other->second,
                                     "]'s too; give the arms names that differ, or alphas or learning rates that do"));
    }
  }
}

}  // namespace petit::serving
