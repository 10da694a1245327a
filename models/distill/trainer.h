// Trains students: several arms side by side, the teacher once for all of them. This header is free of LibTorch.
#ifndef PETIT_MODELS_DISTILL_TRAINER_H_
#define PETIT_MODELS_DISTILL_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/distill/settings.h"

namespace at {
class Tensor;
}

namespace petit::distill {

// Means per target token over the steps since the last progress.
struct ArmProgress {
  std::string arm;
  double cross_entropy = 0;      // with the labels, nats, unsmoothed
  double kl = 0;                 // in the configured direction and temperature, nats, before the factor T^2
  double hidden_state_loss = 0;  // mean squared difference per element
  double loss = 0;               // what is minimised
  double learning_rate = 0;
  double gradient_norm = 0;  // of the last step, before clipping
};

struct Progress {
  std::int64_t step = 0;
  std::int64_t total_steps = 0;
  double epoch = 0;
  std::vector<ArmProgress> arms;
  double tokens_per_second = 0;
  double eta_seconds = 0;
  std::int64_t tokens = 0;  // source and target tokens learned from, over all arms
  std::int64_t teacher_forwards = 0;
};

struct DevScore {
  std::string arm;
  std::string set;
  std::int64_t step = 0;
  bool out_of_domain = false;
  double cross_entropy = 0;  // per target token, teacher forcing, nats
  std::optional<double> kl;  // KL(teacher || student), temperature 1
  double bleu = 0;
  double chrf = 0;
  std::int64_t pairs = 0;
};

// Told of what happens, from the training thread.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnStarted(std::int64_t resumed_step) = 0;
  virtual void OnProgress(const Progress& progress) = 0;
  virtual void OnDevScore(const DevScore& score) = 0;
  virtual void OnLog(const std::string& text) = 0;
  virtual void OnArmDropped(const std::string& arm, std::int64_t step) = 0;
  // The checkpoint is complete.
  virtual void OnStudent(const std::string& arm, const std::string& checkpoint, bool best) = 0;
};

// Corpus scores of translations, best 100.
struct TextScores {
  double bleu = 0;
  double chrf = 0;
};
using Scorer =
    std::function<TextScores(const std::vector<std::string>& hypotheses, const std::vector<std::string>& references)>;

struct Outcome {
  bool stopped = false;  // before its end
  std::int64_t step = 0;
  std::string best_arm;
};

// Tasks that train one job together: each computes its part of every batch. `Sum` adds up over all tasks, in place; it
// is called by all of them in the same order.
class TaskGroup {
 public:
  virtual ~TaskGroup() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual absl::Status Sum(at::Tensor* tensor) = 0;
};

// Runs to the end, or until `stop` answers true after a step; then the state and the students as they are have been
// written. Resumes from the latest state of this or an earlier attempt: on a CPU with as many threads the result is the
// same, bit for bit, as without the interruption. Checks data and checkpoints again: INVALID_ARGUMENT, NOT_FOUND.
// RESOURCE_EXHAUSTED: memory or disk; the message says which. `group` may be null.
absl::StatusOr<Outcome> Train(const Settings& settings, const Scorer& scorer, Observer* observer,
                              const std::function<bool()>& stop, TaskGroup* group = nullptr);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_TRAINER_H_
