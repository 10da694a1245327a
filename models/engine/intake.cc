#include "models/engine/intake.h"

#include <cstddef>
#include <iterator>
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

absl::StatusOr<Intake::Prepared> Intake::Prepare(Share share, std::size_t of) const {
  const absl::Time now = options_.clock();
  Prepared prepared;
  prepared.flow = share.requests[0].flow;
  prepared.queued.reserve(share.requests.size());
  for (std::size_t i = 0; i < share.requests.size(); ++i) {
    SequenceRequest& request = share.requests[i];
    if (absl::Status status = ValidateSequence(request, executor_.info()); !status.ok()) {
      return Refuse("invalid", AtIndex(share.places[i], of, status));
    }
    auto sequence = std::make_unique<QueuedSequence>();
    sequence->submitted = now;
    sequence->rows = decoding::MaxRows(request.options);
    sequence->kv_bytes = executor_.Footprint(static_cast<int>(request.source_ids.size()),
                                             request.options.max_new_tokens, sequence->rows);
    sequence->queue_bytes = ByteSize(request.source_ids);
    sequence->request = std::move(request);
    sequence->request.flow = prepared.flow;
    if (absl::Status status = CheckCouldFit(*sequence, options_.limits); !status.ok()) {
      return Refuse("too_large", AtIndex(share.places[i], of, status));
    }
    ++prepared.load.length;
    prepared.load.bytes += sequence->queue_bytes;
    prepared.rows += sequence->rows;
    prepared.queued.push_back(std::move(sequence));
  }
  return prepared;
}

absl::Status Intake::Add(std::vector<SequenceRequest> requests) {
  if (requests.empty()) return absl::OkStatus();
  Share all{.requests = std::move(requests), .places = {}};
  for (std::size_t i = 0; i < all.requests.size(); ++i) all.places.push_back(i);
  std::vector<Share> one;
  one.push_back(std::move(all));
  return AddTogether({this}, std::move(one));
}

absl::Status Intake::AddTogether(absl::Span<Intake* const> intakes, std::vector<Share> shares) {
  std::size_t sequences = 0;
  for (const Share& share : shares) sequences += share.requests.size();
  std::vector<Prepared> prepared;
  for (std::size_t i = 0; i < intakes.size(); ++i) {
    absl::StatusOr<Prepared> one = intakes[i]->Prepare(std::move(shares[i]), sequences);
    if (!one.ok()) return one.status();
    prepared.push_back(*std::move(one));
  }

  std::vector<std::unique_lock<std::mutex>> locks;
  locks.reserve(intakes.size());
  for (Intake* intake : intakes) locks.emplace_back(intake->mutex_);
  for (std::size_t i = 0; i < intakes.size(); ++i) {
    Intake& intake = *intakes[i];
    absl::Status status = intake.stopping_
                              ? intake.Refuse("stopping", StoppingError())
                              : intake.Reserve("sequences", prepared[i].flow, prepared[i].load, &intake.waiting_);
    if (status.ok()) continue;
    for (std::size_t j = 0; j < i; ++j) Remove(prepared[j].flow, prepared[j].load, &intakes[j]->waiting_);
    return status;
  }
  for (std::size_t i = 0; i < intakes.size(); ++i) intakes[i]->Push(std::move(prepared[i]));
  return absl::OkStatus();
}

void Intake::Push(Prepared prepared) {
  std::move(prepared.queued.begin(), prepared.queued.end(), std::back_inserter(sequences_));
  work_ += prepared.rows;
  if (options_.observer != nullptr) options_.observer->OnQueueLength(static_cast<int>(waiting_.total.length));
}

absl::Status Intake::AddScore(ScoreRequest request) {
  if (absl::Status status = ValidateScore(request, executor_.info()); !status.ok()) return Refuse("invalid", status);
  auto queued = std::make_unique<QueuedScore>();
  queued->submitted = options_.clock();
  queued->queue_bytes = ByteSize(request.source_ids) + ByteSize(request.target_ids);
  queued->request = std::move(request);

  const std::lock_guard lock(mutex_);
  if (stopping_) return Refuse("stopping", StoppingError());
  const Load load = {.length = 1, .bytes = queued->queue_bytes};
  if (absl::Status status = Reserve("pairs to score", queued->request.flow, load, &waiting_scores_); !status.ok()) {
    return status;
  }
  scores_.push_back(std::move(queued));
  ++work_;
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
  for (const QueuedSequence* sequence : sequences) {
    Remove(sequence->request.flow, {.length = 1, .bytes = sequence->queue_bytes}, &waiting_);
  }
  if (options_.observer != nullptr) options_.observer->OnQueueLength(static_cast<int>(waiting_.total.length));
}

void Intake::LeftScoreQueue(absl::Span<const std::unique_ptr<QueuedScore>> pairs) {
  const std::lock_guard lock(mutex_);
  for (const auto& pair : pairs) {
    Remove(pair->request.flow, {.length = 1, .bytes = pair->queue_bytes}, &waiting_scores_);
  }
}

void Intake::Remove(Flow flow, const Load& load, Line* line) {
  const auto found = line->flows.find(flow);
  for (Load* waiting : {&line->total, &found->second}) {
    waiting->length -= load.length;
    waiting->bytes -= load.bytes;
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

absl::Status Intake::Reserve(const char* what, Flow flow, const Load& request, Line* line) {
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
  Load& queued = line->total;
  const bool may_wait = MayWait(flow, request, *line);
  if (!may_wait && request.length > limits.max_queue_length - queued.length) {
    return Refuse("queue_length",
                  absl::ResourceExhaustedError(absl::StrFormat(
                      "the queue is full: %d %s wait, this request adds %d, the limit is %d (max_queue_length)",
                      queued.length, what, request.length, limits.max_queue_length)));
  }
  if (!may_wait) {
    return Refuse("queue_bytes",
                  absl::ResourceExhaustedError(absl::StrFormat(
                      "the queue is full: %d %s of %d bytes wait, this request adds %d bytes, the limit is %d "
                      "(max_queue_bytes)",
                      queued.length, what, queued.bytes, request.bytes, limits.max_queue_bytes)));
  }
  for (Load* load : {&queued, &line->flows[flow]}) {
    load->length += request.length;
    load->bytes += request.bytes;
  }
  return absl::OkStatus();
}

absl::Status Intake::Refuse(const char* reason, absl::Status status) const {
  if (options_.observer != nullptr) options_.observer->OnRejected(reason);
  return status;
}

}  // namespace petit::engine
