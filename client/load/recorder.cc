#include "client/load/recorder.h"

#include <algorithm>
#include <utility>

namespace petit::load {
namespace {

// Of the series; when it is full, neighbours become one.
constexpr std::size_t kMaxIntervals = 600;
constexpr char kNotSent[] = "NOT_SENT";

}  // namespace

std::int64_t Figures::failed() const {
  std::int64_t failed = 0;
  for (const auto& [name, error] : errors) failed += error.count;
  return failed;
}

Answered Figures::ForObjective() const { return {.texts = answered + failed(), .failed = failed(), .within = within}; }

void Figures::Merge(const Figures& other) {
  sent += other.sent;
  not_sent += other.not_sent;
  answered += other.answered;
  good += other.good;
  for (const auto& [name, error] : other.errors) {
    Errors& mine = errors[name];
    mine.count += error.count;
    if (mine.example.empty()) mine.example = error.example;
  }
  latency.Merge(other.latency);
  lag.Merge(other.lag);
  queue.Merge(other.queue);
  first_token.Merge(other.first_token);
  within.resize(std::max(within.size(), other.within.size()));
  for (std::size_t i = 0; i < other.within.size(); ++i) within[i] += other.within[i];
  answers_in_window += other.answers_in_window;
  tokens_in_window += other.tokens_in_window;
}

Figures PhaseFigures::All() const {
  Figures all;
  for (const Figures& figures : models) all.Merge(figures);
  return all;
}

void Interval::Merge(const Interval& other) {
  sent += other.sent;
  answered += other.answered;
  tokens += other.tokens;
  for (const auto& [name, count] : other.errors) errors[name] += count;
  latency.Merge(other.latency);
}

void Recorder::BeginPhase(const Phase& phase, absl::Duration start) {
  const std::lock_guard lock(mutex_);
  PhaseFigures figures{.phase = phase,
                       .start = start,
                       .counted_from = start + phase.warmup,
                       .end = absl::InfiniteDuration(),
                       .models = std::vector<Figures>(plan_.models.size())};
  for (Figures& model : figures.models) model.within.resize(plan_.objective.latencies.size());
  phases_.push_back(std::move(figures));
  std::vector<Live::OfModel> live(plan_.models.size());
  for (std::size_t i = 0; i < live_.size(); ++i) {
    live[i].in_flight = live_[i].in_flight;
    live[i].recent = std::move(live_[i].recent);
  }
  live_ = std::move(live);
}

void Recorder::EndPhase(absl::Duration end) {
  const std::lock_guard lock(mutex_);
  PhaseFigures& phase = phases_.back();
  phase.end = end;
  // Interrupted while it warmed up: nothing counted.
  phase.counted_from = std::min(phase.counted_from, end);
}

Ticket Recorder::Issue(std::size_t model, absl::Duration due) const {
  const std::lock_guard lock(mutex_);
  return {.phase = phases_.size() - 1, .model = model, .due = due, .counts = due >= phases_.back().counted_from};
}

Interval& Recorder::IntervalAt(std::size_t model, absl::Duration now) {
  auto index = static_cast<std::size_t>(std::max<std::int64_t>(0, now / series_.length));
  while (index >= kMaxIntervals) {
    for (std::vector<Interval>& intervals : series_.models) {
      for (std::size_t i = 0; i < intervals.size(); ++i) {
        if (i % 2 == 1) {
          intervals[i / 2].Merge(intervals[i]);
        } else if (i > 0) {
          intervals[i / 2] = std::move(intervals[i]);
        }
      }
      intervals.resize((intervals.size() + 1) / 2);
    }
    series_.length *= 2;
    index = static_cast<std::size_t>(now / series_.length);
  }
  for (std::vector<Interval>& intervals : series_.models) {
    if (intervals.size() <= index) intervals.resize(index + 1);
  }
  return series_.models[model][index];
}

void Recorder::Sent(const Ticket& ticket, absl::Duration now) {
  const std::lock_guard lock(mutex_);
  ++IntervalAt(ticket.model, now).sent;
  Live::OfModel& live = live_[ticket.model];
  ++live.sent;
  ++live.recent.sent;
  ++live.in_flight;
  if (!ticket.counts) return;
  Figures& figures = phases_[ticket.phase].models[ticket.model];
  ++figures.sent;
  figures.lag.Add(now - ticket.due);
}

void Recorder::AddError(const Ticket& ticket, const std::string& name, const std::string& message, absl::Duration now) {
  ++IntervalAt(ticket.model, now).errors[name];
  ++live_[ticket.model].recent.errors[name];
  if (ticket.phase + 1 == phases_.size()) ++live_[ticket.model].errors[name];
  if (!ticket.counts) return;
  Errors& errors = phases_[ticket.phase].models[ticket.model].errors[name];
  if (errors.count++ == 0) errors.example = message;
}

void Recorder::NotSent(const Ticket& ticket, absl::Duration now) {
  const std::lock_guard lock(mutex_);
  AddError(ticket, kNotSent, "too many texts were in flight; --max-in-flight allows more", now);
  if (ticket.counts) ++phases_[ticket.phase].models[ticket.model].not_sent;
}

void Recorder::Ended(const Ticket& ticket, const Outcome& outcome, absl::Duration now) {
  const std::lock_guard lock(mutex_);
  Live::OfModel& live = live_[ticket.model];
  --live.in_flight;
  if (!outcome.status.ok()) {
    AddError(ticket, absl::StatusCodeToString(outcome.status.code()), std::string(outcome.status.message()), now);
    return;
  }
  const absl::Duration latency = now - ticket.due;
  Interval& interval = IntervalAt(ticket.model, now);
  for (Interval* const one : {&interval, &live.recent}) {
    ++one->answered;
    one->tokens += outcome.target_tokens;
    one->latency.Add(latency);
  }
  if (ticket.phase + 1 == phases_.size()) ++live.answered;
  PhaseFigures& current = phases_.back();
  // Its planned end, too: EndPhase may be late.
  if (now >= current.counted_from && now < std::min(current.end, current.counted_from + current.phase.duration)) {
    ++current.models[ticket.model].answers_in_window;
    current.models[ticket.model].tokens_in_window += outcome.target_tokens;
  }
  if (!ticket.counts) return;
  Figures& figures = phases_[ticket.phase].models[ticket.model];
  ++figures.answered;
  figures.latency.Add(latency);
  figures.queue.Add(outcome.queue);
  figures.first_token.Add(outcome.first_token);
  if (latency <= plan_.objective.GoodWithin()) ++figures.good;
  for (std::size_t i = 0; i < figures.within.size(); ++i) {
    if (latency <= plan_.objective.latencies[i].limit) ++figures.within[i];
  }
}

std::vector<PhaseFigures> Recorder::phases() const {
  const std::lock_guard lock(mutex_);
  return phases_;
}

Series Recorder::series() const {
  const std::lock_guard lock(mutex_);
  return series_;
}

Live Recorder::Look(absl::Duration now) {
  const std::lock_guard lock(mutex_);
  if (phases_.empty()) return {};
  const PhaseFigures& phase = phases_.back();
  Live live{.phase = phase.phase,
            .phase_number = phases_.size() - 1,
            .warming_up = now < phase.counted_from,
            .ended = phase.end != absl::InfiniteDuration(),
            .in_phase = now - phase.start,
            .models = live_,
            .recent_length = now - std::exchange(looked_at_, now)};
  for (Live::OfModel& model : live_) model.recent = {};
  return live;
}

}  // namespace petit::load
