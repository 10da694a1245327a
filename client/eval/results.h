// An evaluation's results as a document, "petit.results/1": what `petit eval --json` and `petit experiment run` write,
// and what reports are made of. tests/data/report has an example; client/report/results.h says what the fields mean.
#ifndef PETIT_CLIENT_EVAL_RESULTS_H_
#define PETIT_CLIENT_EVAL_RESULTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/eval/evaluation.h"
#include "client/eval/plan.h"

namespace petit::eval {

// A distillation that belongs to the results, as its job's events told of it.
struct JobResult {
  struct Arm {
    std::string arm;
    double alpha = 0;
    double learning_rate = 0;
    std::string model;  // which serves its student; empty: none does
  };
  struct Point {
    std::string arm;
    std::int64_t step = 0;
    double cross_entropy = 0;
    double kl = 0;
    double learning_rate = 0;
    double tokens_per_second = 0;  // of all arms
  };
  struct DevPoint {
    std::string arm;
    std::string set;
    bool out_of_domain = false;
    std::int64_t step = 0;
    double bleu = 0;
    double chrf = 0;
    double cross_entropy = 0;
    std::optional<double> kl;
  };
  std::string name;        // "jobs/ID"
  std::string experiment;  // the distillation's name
  std::string state;
  double seconds = 0;
  std::string spec;  // textproto
  std::vector<Arm> arms;
  std::vector<Point> curves;
  std::vector<DevPoint> dev;
};

// Indented JSON.
std::string FormatResults(const Plan& plan, const Outcome& outcome, const std::vector<JobResult>& jobs);

// A line for each model and set, with a header: RFC 4180.
std::string FormatCsv(const Outcome& outcome);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_RESULTS_H_
