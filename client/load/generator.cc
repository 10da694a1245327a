#include "client/load/generator.h"

#include <algorithm>
#include <utility>

namespace petit::load {

Generator::Generator(const Plan& plan, Corpus& corpus, Sender& sender, Clock& clock, Recorder& recorder,
                     std::function<bool()> stopped)
    : plan_(plan),
      corpus_(corpus),
      sender_(sender),
      clock_(clock),
      recorder_(recorder),
      stopped_(std::move(stopped)),
      // Not the arrivals' own seed: a text's model must not depend on its gap.
      mix_(plan.models, plan.phases.front().open() ? plan.arrivals : Arrivals::kConstant, plan.seed + 1) {}

std::int64_t Generator::InFlight() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

void Generator::WakeOnOutcome(bool wake) {
  const std::lock_guard lock(mutex_);
  wake_on_outcome_ = wake;
}

bool Generator::WaitUntil(absl::Duration moment) {
  while (!stopped_()) {
    if (clock_.Now() >= moment) return true;
    clock_.SleepUntil(moment);
  }
  return false;
}

void Generator::Send(absl::Duration due) {
  const Ticket ticket = recorder_.Issue(mix_.Next(), due);
  const std::string& text = corpus_.Next();
  if (ticket.counts) ++counted_;
  if (InFlight() >= plan_.max_in_flight) {
    recorder_.NotSent(ticket, clock_.Now());
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    ++in_flight_;
  }
  recorder_.Sent(ticket, clock_.Now());
  sender_.Send(ticket.model, text, [this, ticket](const Outcome& outcome) {
    recorder_.Ended(ticket, outcome, clock_.Now());
    // Under the lock to the end: once Drain has seen 0, this object and the clock may go.
    const std::lock_guard lock(mutex_);
    --in_flight_;
    if (wake_on_outcome_) clock_.Wake();
  });
}

bool Generator::RunOpen(const Phase& phase, absl::Duration start) {
  Schedule schedule(phase, plan_.arrivals, plan_.seed);
  while (const std::optional<absl::Duration> moment = schedule.Next()) {
    if (!WaitUntil(start + *moment)) return false;
    Send(start + *moment);
    if (IsComplete(phase)) return true;
  }
  return WaitUntil(start + phase.warmup + phase.duration);
}

bool Generator::RunClosed(const Phase& phase, absl::Duration start) {
  const absl::Duration end = start + phase.warmup + phase.duration;
  WakeOnOutcome(true);
  bool whole = true;
  while (!IsComplete(phase)) {
    whole = !stopped_();
    const absl::Duration now = clock_.Now();
    if (!whole || now >= end) break;
    if (InFlight() < std::min<std::int64_t>(phase.streams, plan_.max_in_flight)) {
      Send(now);
    } else {
      clock_.SleepUntil(end);
    }
  }
  WakeOnOutcome(false);
  return whole;
}

bool Generator::Run(const Phase& phase) {
  const absl::Duration start = clock_.Now();
  counted_ = 0;
  recorder_.BeginPhase(phase, start);
  const bool whole = phase.open() ? RunOpen(phase, start) : RunClosed(phase, start);
  recorder_.EndPhase(clock_.Now());
  return whole;
}

void Generator::Drain() {
  WakeOnOutcome(true);
  while (InFlight() > 0) clock_.SleepUntil(absl::InfiniteDuration());
  WakeOnOutcome(false);
}

}  // namespace petit::load
