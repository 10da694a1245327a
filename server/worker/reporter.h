// The trainer's observer: events for the server, curves for TensorBoard.
#ifndef PETIT_SERVER_WORKER_REPORTER_H_
#define PETIT_SERVER_WORKER_REPORTER_H_

#include <map>
#include <memory>
#include <string>

#include "models/distill/trainer.h"
#include "server/worker/event_log.h"
#include "server/worker/tensorboard.h"

namespace petit::worker {

class Reporter final : public distill::Observer {
 public:
  // Curves go to TENSORBOARD_DIRECTORY/ARM. The log must outlive the reporter.
  Reporter(EventLog* log, std::string tensorboard_directory)
      : log_(log), tensorboard_directory_(std::move(tensorboard_directory)) {}

  void OnStarted(std::int64_t resumed_step) override;
  void OnProgress(const distill::Progress& progress) override;
  void OnDevScore(const distill::DevScore& score) override;
  void OnLog(const std::string& text) override;
  void OnArmDropped(const std::string& arm, std::int64_t step) override;
  void OnStudent(const std::string& arm, const std::string& checkpoint, bool best) override;

 private:
  EventFile* CurvesOf(const std::string& arm);

  EventLog* const log_;
  const std::string tensorboard_directory_;
  std::map<std::string, std::unique_ptr<EventFile>> curves_;
};

}  // namespace petit::worker

#endif  // PETIT_SERVER_WORKER_REPORTER_H_
