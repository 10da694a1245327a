// What a job is doing, gathered from its events and drawn as lines of text.
#ifndef PETIT_CLIENT_CLI_JOB_VIEW_H_
#define PETIT_CLIENT_CLI_JOB_VIEW_H_

#include <cstddef>
#include <string>
#include <vector>

#include "client/cli/curve.h"
#include "petit/v1/job.pb.h"

namespace petit::cli {

// Not thread-safe.
class JobView {
 public:
  explicit JobView(std::string name) : name_(std::move(name)) {}

  void Add(const petit::v1::JobEvent& event);

  // Two lines of the job: its state; step, epoch, speed and time left, which all arms share. Then a block per arm: its
  // learning rate, CE and KL with a curve each, and its dev scores, in-domain beside out-of-domain where they fit.
  // Lines have at most `columns` characters. The curves of a figure have one scale over all arms.
  [[nodiscard]] std::vector<std::string> Render(std::size_t columns) const;

  [[nodiscard]] petit::v1::JobState state() const { return state_; }
  // Of the last state change.
  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] std::int64_t last_sequence() const { return last_sequence_; }

 private:
  struct Arm {
    std::string name;
    petit::v1::ArmProgress progress;
    bool has_progress = false;
    Curve cross_entropy;
    Curve kl;
    std::vector<petit::v1::DevScore> dev_scores;  // the latest of each set, in order of appearance
    std::string fate;                             // "dropped at step 400", "best, published as student/3"
  };

  Arm& FindArm(const std::string& name);
  void RenderArm(const Arm& arm, const CurveRange& cross_entropy, const CurveRange& kl, std::size_t columns,
                 std::vector<std::string>& lines) const;

  const std::string name_;
  petit::v1::JobState state_ = petit::v1::JOB_STATE_UNSPECIFIED;
  int attempt_ = 0;
  std::string reason_;
  std::int64_t last_sequence_ = 0;
  petit::v1::Progress progress_;
  std::vector<Arm> arms_;
};

// "step 120/1000 (12%), epoch 0.36, 1234 tokens/s, 4m 05s left".
std::string FormatProgress(const petit::v1::Progress& progress);
// "BLEU 12.34 chrF 40.12 CE 2.1000 KL 0.4100".
std::string FormatDevScore(const petit::v1::DevScore& score);
// "CE 2.3456 KL 0.5678 lr 1e-05", with what else is in the loss.
std::string FormatArmProgress(const petit::v1::ArmProgress& progress);
// "best, published as student/3".
std::string FormatStudent(const petit::v1::Student& student);

// An event on one line, for output that is no terminal and for what scrolls above the view:
// "2026-01-31 15:33:22  #12  step 120/1000 ...".
std::string FormatEvent(const petit::v1::JobEvent& event);

// The first `columns` characters; a control character becomes a space.
std::string Cut(const std::string& text, std::size_t columns);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_JOB_VIEW_H_
