// Holds threads at a known place until it is opened.
#ifndef PETIT_TESTS_UNIT_ENGINE_GATE_H_
#define PETIT_TESTS_UNIT_ENGINE_GATE_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "tests/unit/engine/scripted_executor.h"

namespace petit::engine {

class Gate {
 public:
  // For ScriptedOptions::before: holds the worker in each call of `kind`, or in every call.
  std::function<absl::Status(const Call&)> At(std::optional<Call::Kind> kind = std::nullopt) {
    return [this, kind](const Call& call) {
      if (!kind || call.kind == *kind) Pass();
      return absl::OkStatus();
    };
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  // Those that have passed count, too.
  void WaitForArrivals(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this, count] { return arrived_ >= count; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  bool open_ = false;
};

}  // namespace petit::engine

#endif  // PETIT_TESTS_UNIT_ENGINE_GATE_H_
