// What the figures say: comparisons, the Pareto front, and the answer in three sentences.
#ifndef PETIT_CLIENT_REPORT_ANALYSIS_H_
#define PETIT_CLIENT_REPORT_ANALYSIS_H_

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "client/report/results.h"

namespace petit::report {

// Null where there is none.
const Set* FindSet(const Results& results, const std::string& name);
const Model* FindModel(const Results& results, const std::string& name);
const Result* FindResult(const Results& results, const std::string& model, const std::string& set);
// At the settings' speed_concurrency, else the first.
const Speed* FindSpeed(const Results& results, const std::string& model, const std::string& set);
std::string LabelOf(const Results& results, const std::string& model);

struct Interval {
  double low = 0;
  double high = 0;
};
std::optional<Interval> IntervalOf(const Score& score);

enum class Verdict { kLower, kHigher, kNotShown, kUnknown };

// BLEU of a model less that of another on the same set.
struct Comparison {
  double difference = 0;
  Verdict verdict = Verdict::kUnknown;
  // "p = 0.012", or without a test of the two "their 95 % intervals overlap"; empty where nothing is known.
  std::string evidence;
};
// By the paired bootstrap where one of the two is the teacher or the baseline, at the level 1 - confidence;
// else by their intervals: two that do not overlap differ (which asks for more than a test would). Nothing where
// either has no BLEU.
std::optional<Comparison> CompareBleu(const Results& results, const Result& left, const Result& right);

struct Point {
  double cost = 0;
  double quality = 0;
};
// For each point, whether no other is as good and as cheap, and better in one of the two. Equal points are both on it.
std::vector<bool> ParetoFront(const std::vector<Point>& points);

// Of an arm's scores on one dev set: positions in Job::dev.
struct BestSteps {
  std::optional<std::size_t> by_loss;  // alpha KL + (1 - alpha) cross-entropy, at temperature 1
  std::optional<std::size_t> by_bleu;
};
BestSteps FindBestSteps(const Job& job, const std::string& arm, const std::string& set);

// "What did distillation cost and lose, what did quantization, against the teacher, and which should one take?"
struct Answer {
  std::string distillation, quantization, choice;
};
Answer AnswerOf(const Results& results);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_ANALYSIS_H_
