// An evaluation's results, schema "petit.results/1", as a report reads them.
//
// Scores are 0 to 100, times seconds, KL nats per target token. An empty optional is a figure that could not be
// measured (null in the document); Results::problems says why.
#ifndef PETIT_CLIENT_REPORT_RESULTS_H_
#define PETIT_CLIENT_REPORT_RESULTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace petit::report {

enum class Role { kTeacher, kStudent, kDistilled, kQuantized, kOther };

struct Versions {
  std::string client, server, git_revision;
};

struct Hardware {  // the server's
  std::string cpu, os;
  std::optional<std::int64_t> logical_cpus, memory_bytes;
};

struct Settings {
  std::string decoding;
  std::optional<std::int64_t> concurrency, speed_concurrency, repeats, bootstrap_samples, seed;
  double confidence = 0.95;  // of the intervals; 1 - confidence is the level of significance
};

struct Signatures {
  std::string bleu, chrf2, rouge_l, rouge_l_unicode;
};

struct SetFile {
  std::string path, sha256;
};

struct Set {
  std::string name, source_language, target_language, note;
  bool out_of_domain = false;
  std::optional<std::int64_t> pairs, pairs_there, skip;  // read, in the files, left out at their start
  std::vector<SetFile> files;
};

struct Model {
  std::string name, label;  // the label is for people; the name where the document has none
  Role role = Role::kOther;
  std::optional<double> alpha;
  std::string server, digest, executor, precision, device;
  std::optional<std::int64_t> version, parameters, bytes_in_memory, bytes_on_disk;
  std::optional<double> memory_ratio, disk_ratio;  // to the teacher's
};

struct Score {
  std::optional<double> score;
  // Of the bootstrap's resamples: the interval is mean +- half_width.
  std::optional<double> mean, half_width;
  std::optional<double> p_value;          // paired bootstrap against the baseline
  std::optional<double> teacher_p_value;  // against the teacher
};

struct Kl {  // KL(teacher || model)
  double nats = 0;
  std::optional<std::int64_t> tokens;
};

struct Agreement {              // with the teacher's output
  std::optional<double> exact;  // share of equal translations
  std::optional<double> bleu;   // against the teacher's
};

struct Failure {
  std::int64_t line = 0;
  std::string code, message;
};

struct Result {
  std::string model, set;
  std::optional<std::int64_t> pairs;
  Score bleu, chrf2, rouge_l, rouge_l_unicode;
  std::optional<Kl> kl;
  std::optional<double> perplexity;
  std::optional<Agreement> agreement;
  std::optional<double> length_ratio, source_unknown_rate;
  std::optional<std::int64_t> empty, truncated, source_tokens, target_tokens;
  std::vector<Failure> failures;
};

struct Quantiles {
  std::optional<double> p50, p95, p99;
};

struct Pass {
  std::optional<double> seconds, sentences_per_second, tokens_per_second;
  Quantiles latency, first_token;
  std::optional<bool> idle;  // nothing else ran meanwhile
};

struct Histogram {
  std::vector<double> edges;  // rising, one more than counts
  std::vector<std::int64_t> counts;
};

struct Speed {
  std::string model, set;
  std::optional<std::int64_t> concurrency;
  std::vector<Pass> passes;
  Pass median;
  std::optional<double> spread;      // (longest - shortest) / median of the passes' seconds
  std::optional<double> time_ratio;  // median seconds to the teacher's
  Histogram latency;                 // of all passes; may be empty
};

struct Arm {
  std::string arm;
  std::optional<double> alpha, learning_rate;
  std::string model;  // empty: none serves it
};

struct CurvePoint {
  std::string arm;
  std::int64_t step = 0;
  std::optional<double> cross_entropy, kl, learning_rate, tokens_per_second;
};

struct DevPoint {
  std::string arm, set;
  bool out_of_domain = false;
  std::int64_t step = 0;
  std::optional<double> bleu, chrf2, cross_entropy, kl;
};

struct Job {
  std::string name, experiment, state, spec;
  std::optional<double> seconds;
  std::vector<Arm> arms;
  std::vector<CurvePoint> curves;
  std::vector<DevPoint> dev;
};

struct Hypothesis {
  std::string model, text;
  std::optional<double> bleu;
};

struct Example {
  std::string set, source, reference;
  std::int64_t line = 0;
  std::optional<double> disagreement;
  std::vector<Hypothesis> hypotheses;
};

struct Results {
  std::string name, title, description;
  bool random_weights = false;
  bool trial = false;  // a few pairs and steps, to see that everything fits together
  std::string started, finished, command;
  Versions versions;
  Hardware hardware;
  Settings settings;
  Signatures signatures;
  std::string teacher, baseline, main_set;  // names; empty: none
  std::vector<Set> sets;
  std::vector<Model> models;
  std::vector<Result> results;
  std::vector<Speed> speeds;
  std::vector<Job> jobs;
  std::vector<Example> examples;
  std::vector<std::string> problems;
};

// Reads a document of schema "petit.results/1". Fields that are not known are ignored; `schema`, `sets`, `models`,
// `results` and the names that tie them together must be there, and whatever is measured may be null or missing.
// INVALID_ARGUMENT names the place and what is wanted: "$.models[2].role: want one of ..., not "tutor"".
absl::StatusOr<Results> ParseResults(std::string_view json);

// What every page must say where the figures mean nothing.
struct Stamp {
  std::string text = {};     // empty: none; "RANDOM WEIGHTS"
  std::string meaning = {};  // the rest of the sentence
};
Stamp StampOf(const Results& results);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_RESULTS_H_
