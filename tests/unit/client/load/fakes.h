// A clock that tests turn, and a server that answers by it.
#ifndef PETIT_TESTS_UNIT_CLIENT_LOAD_FAKES_H_
#define PETIT_TESTS_UNIT_CLIENT_LOAD_FAKES_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client/load/clock.h"
#include "client/load/sender.h"

namespace petit::load {

// Everything happens on the thread that sleeps: events due before it wakes are run in their order.
class FakeClock final : public Clock {
 public:
  [[nodiscard]] absl::Duration Now() const override { return now_; }
  void SleepUntil(absl::Duration moment) override {
    while (!std::exchange(awake_, false)) {
      if (events_.empty() || events_.begin()->first > moment) {
        now_ = std::max(now_, moment);
        return;
      }
      auto event = events_.extract(events_.begin());
      now_ = std::max(now_, event.key());
      event.mapped()();
    }
  }
  void Wake() override { awake_ = true; }

  void At(absl::Duration moment, std::function<void()> event) { events_.emplace(moment, std::move(event)); }
  // Time that passes while the caller does something else than sleep.
  void Pass(absl::Duration duration) { now_ += duration; }

 private:
  absl::Duration now_ = {};
  std::multimap<absl::Duration, std::function<void()>> events_;
  bool awake_ = false;
};

// Answers each text as `script` says.
class FakeSender final : public Sender {
 public:
  struct Answer {
    absl::Duration after = absl::Milliseconds(10);
    absl::Duration stall = {};  // how long Send itself takes
    absl::Status status = {};
  };
  using Script = std::function<Answer(std::size_t number, std::size_t model)>;

  FakeSender(FakeClock& clock, Script script) : clock_(clock), script_(std::move(script)) {}

  void Send(std::size_t model, const std::string& text, Done done) override {
    const Answer answer = script_(sent.size(), model);
    sent.push_back({clock_.Now(), model, text});
    ++in_flight;
    most_in_flight = std::max(most_in_flight, in_flight);
    clock_.Pass(answer.stall);
    clock_.At(clock_.Now() + answer.after, [this, answer, done = std::move(done)] {
      --in_flight;
      done({.status = answer.status,
            .target_tokens = 7,
            .queue = absl::Milliseconds(1),
            .first_token = absl::Milliseconds(3)});
    });
  }

  struct Text {
    absl::Duration at;
    std::size_t model;
    std::string text;
  };
  std::vector<Text> sent;
  int in_flight = 0;
  int most_in_flight = 0;

 private:
  FakeClock& clock_;
  const Script script_;
};

}  // namespace petit::load

#endif  // PETIT_TESTS_UNIT_CLIENT_LOAD_FAKES_H_
