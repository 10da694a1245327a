// What happened to every text, in bounded memory.
#ifndef PETIT_CLIENT_LOAD_RECORDER_H_
#define PETIT_CLIENT_LOAD_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/load/histogram.h"
#include "client/load/objective.h"
#include "client/load/plan.h"

namespace petit::load {

// Moments are counted from the start of the run's clock (clock.h).
struct Ticket {
  std::size_t phase = 0;
  std::size_t model = 0;
  absl::Duration due = {};  // when the text was to be sent: latencies count from here
  bool counts = false;      // not of the warm-up
};

// How one text ended.
struct Outcome {
  absl::Status status = {};
  int target_tokens = 0;
  // As the server measured them, from the text's arrival.
  absl::Duration queue = {};
  absl::Duration first_token = {};
};

struct Errors {
  std::int64_t count = 0;
  std::string example = {};  // the first one's message
};

// Of one model in one phase, or of all of them. Texts of the warm-up are left out.
struct Figures {
  std::int64_t sent = 0;                      // due and sent
  std::int64_t not_sent = 0;                  // due while too many were in flight
  std::int64_t answered = 0;                  // well
  std::int64_t good = 0;                      // answered well within the objective's limit
  std::map<std::string, Errors> errors = {};  // by the status' name; "NOT_SENT"
  Histogram latency = {};                     // of answers, from when the text was due
  Histogram lag = {};                         // from when a text was due to when it was sent
  Histogram queue = {};                       // the server's
  Histogram first_token = {};                 // the server's
  std::vector<std::int64_t> within = {};      // of each of the objective's latency terms
  // Good answers that came while the phase counted, of whatever was sent: for throughput.
  std::int64_t answers_in_window = 0;
  std::int64_t tokens_in_window = 0;  // generated

  [[nodiscard]] std::int64_t failed() const;
  [[nodiscard]] Answered ForObjective() const;
  void Merge(const Figures& other);
};

struct PhaseFigures {
  Phase phase;
  absl::Duration start = {};  // of the warm-up
  absl::Duration counted_from = {};
  absl::Duration end = {};      // InfiniteDuration: under way
  std::vector<Figures> models;  // as in the plan

  [[nodiscard]] absl::Duration Counted() const { return end - counted_from; }
  [[nodiscard]] Figures All() const;
};

// A stretch of time of one model, warm-ups included.
struct Interval {
  std::int64_t sent = 0;
  std::int64_t answered = 0;
  std::int64_t tokens = 0;
  std::map<std::string, std::int64_t> errors = {};
  Histogram latency = {};  // of what was answered in it

  void Merge(const Interval& other);
};

struct Series {
  absl::Duration length = absl::Seconds(1);   // of an interval; the first begins at 0
  std::vector<std::vector<Interval>> models;  // as in the plan; all of one length
};

// What a live display shows.
struct Live {
  Phase phase;
  std::size_t phase_number = 0;  // from 0
  bool warming_up = false;
  bool ended = false;  // nothing is sent any more
  absl::Duration in_phase = {};
  struct OfModel {
    // Of the phase so far, warm-up included.
    std::int64_t sent = 0;
    std::int64_t answered = 0;
    std::int64_t in_flight = 0;
    std::map<std::string, std::int64_t> errors = {};
    Interval recent = {};  // since the last look
  };
  std::vector<OfModel> models;
  absl::Duration recent_length = {};
};

// Thread-safe.
class Recorder {
 public:
  explicit Recorder(const Plan& plan) : plan_(plan) { series_.models.resize(plan.models.size()); }

  void BeginPhase(const Phase& phase, absl::Duration start);
  // No text is sent in it any more; answers may still come.
  void EndPhase(absl::Duration end);

  // The ticket of a text that is due at `due` in the phase under way.
  [[nodiscard]] Ticket Issue(std::size_t model, absl::Duration due) const;
  void Sent(const Ticket& ticket, absl::Duration now);
  // Too many are in flight.
  void NotSent(const Ticket& ticket, absl::Duration now);
  void Ended(const Ticket& ticket, const Outcome& outcome, absl::Duration now);

  [[nodiscard]] std::vector<PhaseFigures> phases() const;
  [[nodiscard]] Series series() const;
  // Zeroes what is `recent`. Before the first phase: no models.
  [[nodiscard]] Live Look(absl::Duration now);

 private:
  Interval& IntervalAt(std::size_t model, absl::Duration now);
  void AddError(const Ticket& ticket, const std::string& name, const std::string& message, absl::Duration now);

  const Plan& plan_;
  mutable std::mutex mutex_;
  std::vector<PhaseFigures> phases_;
  Series series_;
  std::vector<Live::OfModel> live_;
  absl::Duration looked_at_ = {};
};

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_RECORDER_H_
