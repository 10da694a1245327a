// Results to make reports of.
#ifndef PETIT_TESTS_UNIT_CLIENT_REPORT_SAMPLE_H_
#define PETIT_TESTS_UNIT_CLIENT_REPORT_SAMPLE_H_

#include <fstream>
#include <sstream>
#include <string>

#include "client/report/results.h"
#include "gtest/gtest.h"

namespace petit::report {

inline std::string SampleJson() {
  std::ifstream file(PETIT_SOURCE_DIR "/tests/data/report/results.json", std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline Results Sample() {
  const absl::StatusOr<Results> results = ParseResults(SampleJson());
  EXPECT_TRUE(results.ok()) << results.status();
  return results.ok() ? *results : Results{};
}

inline Model MakeModel(const std::string& name, Role role, std::optional<double> memory_ratio) {
  Model model;
  model.name = name;
  model.label = name;
  model.role = role;
  model.memory_ratio = memory_ratio;
  return model;
}

inline Score MakeScore(double score, std::optional<double> half_width = std::nullopt,
                       std::optional<double> p_value = std::nullopt) {
  return {score, half_width ? std::optional(score) : std::nullopt, half_width, p_value, std::nullopt};
}

// A set "en-fr" and no models.
inline Results Empty() {
  Results results;
  results.main_set = "en-fr";
  results.settings.speed_concurrency = 1;
  results.sets.emplace_back();
  results.sets[0].name = "en-fr";
  return results;
}

// A model with its BLEU and its time to the teacher's, both on en-fr.
inline void Add(Results& results, const Model& model, const Score& bleu, std::optional<double> time_ratio) {
  results.models.push_back(model);
  Result result;
  result.model = model.name;
  result.set = "en-fr";
  result.bleu = bleu;
  results.results.push_back(result);
  Speed speed;
  speed.model = model.name;
  speed.set = "en-fr";
  speed.concurrency = 1;
  speed.time_ratio = time_ratio;
  results.speeds.push_back(speed);
  if (model.role == Role::kTeacher && results.teacher.empty()) results.teacher = model.name;
}

}  // namespace petit::report

#endif  // PETIT_TESTS_UNIT_CLIENT_REPORT_SAMPLE_H_
