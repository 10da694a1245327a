#include "models/engine/intake.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "models/decoding/options.h"
#include "models/engine/validate.h"

namespace petit::engine {
namespace {

absl::Status StoppingError() {
  return absl::UnavailableError("the replica is stopping and takes no new work; try another or try again later");
}

// A request of several names the one that is wrong.
absl::Status AtIndex(std::size_t index, std::size_t count, const absl::Status& status) {
  if (count == 1) return status;
  return absl::Status(status.code(), absl::StrCat("sequence ", index, ": ", status.message()));
}

// INVALID_ARGUMENT where the sequence would not fit an idle replica.
absl::Status CheckCouldFit(const QueuedSequence& queued, const BatchingLimits& limits) {
  if (queued.rows > limits.max_rows) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "a sequence of %d rows (beams or samples) can never be decoded here: the limit is %d (max_rows)", queued.rows,
        limits.max_rows));
  }
  if (queued.kv_bytes > limits.max_kv_bytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a sequence of %d source tokens, %d new tokens and %d rows can never be decoded here: it needs "
                        "%d bytes of keys "
                        "and values, the limit is %d (max_kv_bytes)",
                        queued.request.source_ids.size(), queued.request.options.max_new_tokens, queued.rows,
                        queued.kv_bytes, limits.max_kv_bytes));
  }
  return absl::OkStatus();
}

template <typename T>
std::int64_t ByteSize(const std::vector<T>& ids) {
  return static_cast<std::int64_t>(ids.size() * sizeof(T));
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<QueuedSequence>>> Intake::Prepare(
    std::vector<SequenceRequest> requests) const {
  const absl::Time now = options_.clock();
  const Flow flow = requests[0].flow;
  std::vector<std::unique_ptr<QueuedSequence>> queued;
  queued.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    SequenceRequest& request = requests[i];
    if (absl::Status status = ValidateSequence(request, executor_.info()); !status.ok()) {
      return Refuse("invalid", AtIndex(i, requests.size(), status));
    }
    auto sequence = std::make_unique<QueuedSequence>();
    sequence->submitted = now;
    sequence->rows = decoding::MaxRows(request.options);
    sequence->kv_bytes = executor_.Footprint(static_cast<int>(request.source_ids.size()),
                                             request.options.max_new_tokens, sequence->rows);
    sequence->queue_bytes = ByteSize(request.source_ids);
    sequence->request = std::move(request);
    sequence->request.flow = flow;
    if (absl::Status status = CheckCouldFit(*sequence, options_.limits); !status.ok()) {
      return Refuse("too_large", AtIndex(i, requests.size(), status));
    }
    queued.push_back(std::move(sequence));
  }
  if (absl::Status status = CheckCouldWait("sequences", LoadOf(queued)); !status.ok()) return status;
  return queued;
}

Intake::Load Intake::LoadOf(const std::vector<std::unique_ptr<QueuedSequence>>& sequences) {
  Load load;
  for (const auto& sequence : sequences) {
    ++load.length;
    load.bytes += sequence->queue_bytes;
  }
  return load;
}

absl::StatusOr<std::vector<std::unique_lock<std::mutex>>> Intake::Enter(absl::Span<Intake* const> intakes) {
  std::vector<std::unique_lock<std::mutex>> locks;
  locks.reserve(intakes.size());
  for (Intake* intake : intakes) locks.emplace_back(intake->mutex_);
  for (const Intake* intake : intakes) {
    if (intake->stopping_) return intake->Refuse("stopping", StoppingError());
  }
  return locks;
}

absl::Status Intake::Add(absl::Span<Intake* const> intakes, std::vector<SequenceRequest> requests,
                         std::vector<bool>* chosen) {
  if (requests.empty()) return absl::OkStatus();
  auto queued = intakes[0]->Prepare(std::move(requests));
  if (!queued.ok()) return queued.status();

  const auto locks = Enter(intakes);
  if (!locks.ok()) return locks.status();
  std::vector<Intake*> places;
  places.reserve(queued->size());
  for (const auto& sequence : *queued) {
    Intake* place = Place(intakes, &Intake::waiting_, sequence->request.flow, sequence->queue_bytes);
    if (place == nullptr) break;
    place->work_ += sequence->rows;
    places.push_back(place);
  }
  if (places.size() < queued->size()) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      const QueuedSequence& sequence = *(*queued)[i];
      places[i]->work_ -= sequence.rows;
      Remove(sequence.request.flow, sequence.queue_bytes, &places[i]->waiting_);
    }
    return Full(intakes, &Intake::waiting_, "sequences", LoadOf(*queued));
  }
  for (std::size_t i = 0; i < places.size(); ++i) places[i]->sequences_.push_back(std::move((*queued)[i]));
  if (chosen != nullptr) chosen->assign(intakes.size(), false);
  for (std::size_t i = 0; i < intakes.size(); ++i) {
    const Intake& intake = *intakes[i];
    if (std::find(places.begin(), places.end(), &intake) == places.end()) continue;
    if (chosen != nullptr) (*chosen)[i] = true;
    if (intake.options_.observer != nullptr) {
      intake.options_.observer->OnQueueLength(static_cast<int>(intake.waiting_.total.length));
    }
  }
  return absl::OkStatus();
}

absl::Status Intake::AddScore(absl::Span<Intake* const> intakes, ScoreRequest request, std::vector<bool>* chosen) {
  const Intake& first = *intakes[0];
  if (absl::Status status = ValidateScore(request, first.executor_.info()); !status.ok()) {
    return first.Refuse("invalid", status);
  }
  auto queued = std::make_unique<QueuedScore>();
  queued->submitted = first.options_.clock();
  queued->queue_bytes = ByteSize(request.source_ids) + ByteSize(request.target_ids);
  queued->request = std::move(request);
  const Load load = {.length = 1, .bytes = queued->queue_bytes};
  if (absl::Status status = first.CheckCouldWait("pairs to score", load); !status.ok()) return status;

  const auto locks = Enter(intakes);
  if (!locks.ok()) return locks.status();
  Intake* place = Place(intakes, &Intake::waiting_scores_, queued->request.flow, queued->queue_bytes);
  if (place == nullptr) return Full(intakes, &Intake::waiting_scores_, "pairs to score", load);
  ++place->work_;
  place->scores_.push_back(std::move(queued));
  if (chosen != nullptr) {
    chosen->clear();
    for (Intake* intake : intakes) chosen->push_back(intake == place);
  }
  return absl::OkStatus();
}

void Intake::StopAccepting() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
}

void Intake::Take(std::vector<std::unique_ptr<QueuedSequence>>* sequences,
                  std::vector<std::unique_ptr<QueuedScore>>* scores) {
  const std::lock_guard lock(mutex_);
  std::move(sequences_.begin(), sequences_.end(), std::back_inserter(*sequences));
  sequences_.clear();
  std::move(scores_.begin(), scores_.end(), std::back_inserter(*scores));
  scores_.clear();
}

bool Intake::empty() const {
  const std::lock_guard lock(mutex_);
  return sequences_.empty() && scores_.empty();
}

void Intake::LeftQueue(absl::Span<const QueuedSequence* const> sequences) {
  const std::lock_guard lock(mutex_);
  for (const QueuedSequence* sequence : sequences) Remove(sequence->request.flow, sequence->queue_bytes, &waiting_);
  if (options_.observer != nullptr) options_.observer->OnQueueLength(static_cast<int>(waiting_.total.length));
}

void Intake::LeftScoreQueue(absl::Span<const std::unique_ptr<QueuedScore>> pairs) {
  const std::lock_guard lock(mutex_);
  for (const auto& pair : pairs) Remove(pair->request.flow, pair->queue_bytes, &waiting_scores_);
}

void Intake::Remove(Flow flow, std::int64_t bytes, Line* line) {
  const auto found = line->flows.find(flow);
  for (Load* load : {&line->total, &found->second}) {
    load->length -= 1;
    load->bytes -= bytes;
  }
  if (found->second.length == 0) line->flows.erase(found);
}

bool Intake::MayWait(Flow flow, const Load& request, const Line& line) const {
  const auto fits = [&request](const Load& waiting, std::int64_t length, std::int64_t bytes) {
    return request.length <= length - waiting.length && request.bytes <= bytes - waiting.bytes;
  };
  const BatchingLimits& limits = options_.limits;
  if (fits(line.total, limits.max_queue_length, limits.max_queue_bytes)) return true;
  const auto found = line.flows.find(flow);
  const bool is_new = found == line.flows.end();
  const auto flows = static_cast<std::int64_t>(line.flows.size()) + (is_new ? 1 : 0);
  return fits(is_new ? Load() : found->second, limits.max_queue_length / flows, limits.max_queue_bytes / flows) &&
         fits(line.total, 2 * std::int64_t{limits.max_queue_length}, 2 * limits.max_queue_bytes);
}

absl::Status Intake::CheckCouldWait(const char* what, const Load& request) const {
  const BatchingLimits& limits = options_.limits;
  if (request.length > limits.max_queue_length) {
    return Refuse("too_large",
                  absl::InvalidArgumentError(absl::StrFormat(
                      "a request of %d %s can never be queued: the limit is %d (max_queue_length); split it",
                      request.length, what, limits.max_queue_length)));
  }
  if (request.bytes > limits.max_queue_bytes) {
    return Refuse("too_large",
                  absl::InvalidArgumentError(absl::StrFormat(
                      "a request of %d bytes of ids can never be queued: the limit is %d (max_queue_bytes)",
                      request.bytes, limits.max_queue_bytes)));
  }
  return absl::OkStatus();
}

Intake* Intake::Place(absl::Span<Intake* const> intakes, Lines line, Flow flow, std::int64_t bytes) {
  const Load request = {.length = 1, .bytes = bytes};
  Intake* place = nullptr;
  for (Intake* intake : intakes) {
    if ((place == nullptr || intake->work() < place->work()) && intake->MayWait(flow, request, intake->*line)) {
      place = intake;
    }
  }
  if (place == nullptr) return nullptr;
  for (Load* load : {&(place->*line).total, &(place->*line).flows[flow]}) {
    load->length += request.length;
    load->bytes += request.bytes;
  }
  return place;
}

absl::Status Intake::Full(absl::Span<Intake* const> intakes, Lines line, const char* what, const Load& request) {
  Load waiting;
  for (const Intake* intake : intakes) {
    waiting.length += (intake->*line).total.length;
    waiting.bytes += (intake->*line).total.bytes;
  }
  const Intake& first = *intakes[0];
  const auto replicas = static_cast<std::int64_t>(intakes.size());
  const std::int64_t max_length = first.options_.limits.max_queue_length * replicas;
  const std::string several = replicas == 1 ? "" : absl::StrCat(" of each of ", replicas, " replicas");
  if (request.length > max_length - waiting.length) {
    return first.Refuse("queue_length",
                        absl::ResourceExhaustedError(absl::StrFormat(
                            "the queue is full: %d %s wait, this request adds %d, the limit is %d (max_queue_length%s)",
                            waiting.length, what, request.length, max_length, several)));
  }
  return first.Refuse(
      "queue_bytes",
      absl::ResourceExhaustedError(absl::StrFormat(
          "the queue is full: %d %s of %d bytes wait, this request adds %d bytes, the limit is %d (max_queue_bytes%s)",
          waiting.length, what, waiting.bytes, request.bytes, first.options_.limits.max_queue_bytes * replicas,
          several)));
}

absl::Status Intake::Refuse(const char* reason, absl::Status status) const {
  if (options_.observer != nullptr) options_.observer->OnRejected(reason);
  return status;
}

}  // namespace petit::engine
