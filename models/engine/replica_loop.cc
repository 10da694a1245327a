#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "models/engine/intake.h"
#include "models/engine/late.h"
#include "models/engine/pace.h"
#include "models/engine/replica.h"
#include "models/engine/score_queue.h"
#include "models/engine/score_share.h"
#include "models/engine/slot_pool.h"

namespace petit::engine {
namespace {

// A sequence between Admit and Release.
struct Active {
  std::unique_ptr<QueuedSequence> queued;
  std::unique_ptr<decoding::SequenceDecoder> decoder;
  Slot slot = 0;
  int first_row = 0;  // among the rows of the last step
  int row_count = 0;  // there; 0 before the first step
  SequenceTiming timing;
};

struct Outcome {
  std::unique_ptr<QueuedSequence> queued;
  absl::StatusOr<SequenceResult> result;
};

// Moves those that `leaves` holds for to the end of the result, and keeps the order of both.
template <typename T, typename Predicate>
std::vector<T> Extract(std::vector<T>* from, Predicate leaves) {
  const auto first =
      std::stable_partition(from->begin(), from->end(), [&](const T& element) { return !leaves(element); });
  std::vector<T> extracted(std::make_move_iterator(first), std::make_move_iterator(from->end()));
  from->erase(first, from->end());
  return extracted;
}

int TargetTokens(const SequenceResult& result) {
  std::size_t tokens = 0;
  for (const decoding::Hypothesis& hypothesis : result.hypotheses) tokens += hypothesis.token_log_probs.size();
  return static_cast<int>(tokens);
}

}  // namespace

struct ReplicaLoop::Impl {
  Impl(std::unique_ptr<Executor> the_executor, ReplicaOptions the_options)
      : options(std::move(the_options)),
        executor(std::move(the_executor)),
        observer(options.observer == nullptr ? std::make_shared<ReplicaObserver>() : options.observer),
        intake(*executor, options),
        scores(executor.get(), options, &intake),
        score_share(options.limits.max_score_share),
        pace(options.limits.max_hold_back) {}

  void UpdatePace();
  void TakeNewcomers() { intake.Take(&queue, scores.pairs()); }
  bool DropLateActive();
  bool ServeQueue();
  bool StepAll();
  bool ScoreSome();

  void Encode(std::vector<std::unique_ptr<QueuedSequence>> chosen);
  absl::Status EncodeTogether(absl::Span<Active> newcomers);
  absl::Status RunStep();
  void Release(absl::Span<const Active> sequences);
  void Answer(std::unique_ptr<QueuedSequence> queued, absl::StatusOr<SequenceResult> result);

  const ReplicaOptions options;
  const std::unique_ptr<Executor> executor;
  const std::shared_ptr<ReplicaObserver> observer;
  Intake intake;

  // The worker's own.
  std::vector<std::unique_ptr<QueuedSequence>> queue;
  std::vector<Active> active;
  ActiveLoad load;
  Flow last_flow = 0;
  ScoreQueue scores;
  ScoreShare score_share;
  Pace pace;
  SlotPool slots;

  // Kept for their capacity.
  std::vector<Waiting> waiting;
  std::vector<StepRow> rows;
  std::vector<decoding::RowResult> results;
};

// Answers the cancelled and the expired among the active; their slots are free before the next step.
bool ReplicaLoop::Impl::DropLateActive() {
  if (active.empty()) return false;
  const absl::Time now = options.clock();
  std::vector<Active> late = Extract(&active, [now](const Active& sequence) {
    const SequenceRequest& request = sequence.queued->request;
    return IsCancelled(request.cancelled) || request.deadline <= now;
  });
  if (late.empty()) return false;
  Release(late);
  for (Active& sequence : late) {
    const bool cancelled = IsCancelled(sequence.queued->request.cancelled);
    Answer(std::move(sequence.queued),
           LateError(cancelled, absl::StrFormat("after %d tokens", sequence.decoder->steps())));
  }
  return true;
}

// Answers those who waited too long and encodes those who fit.
bool ReplicaLoop::Impl::ServeQueue() {
  if (queue.empty()) return false;
  waiting.clear();
  for (const auto& queued : queue) {
    const SequenceRequest& request = queued->request;
    waiting.push_back({.source_tokens = static_cast<int>(request.source_ids.size()),
                       .rows = queued->rows,
                       .kv_bytes = queued->kv_bytes,
                       .deadline = request.deadline,
                       .cancelled = IsCancelled(request.cancelled),
                       .held = pace.IsHeld(request.flow),
                       .flow = request.flow});
  }
  const absl::Time now = options.clock();
  const Admission admission = engine::Admit(waiting, load, now, options.limits, last_flow);
  last_flow = admission.last_flow;
  std::vector<const QueuedSequence*> left;
  const auto take = [&](const std::vector<int>& indices) {
    std::vector<std::unique_ptr<QueuedSequence>> taken;
    taken.reserve(indices.size());
    for (const int index : indices) {
      left.push_back(queue[index].get());
      taken.push_back(std::move(queue[index]));
    }
    return taken;
  };
  auto cancelled = take(admission.cancelled);
  auto expired = take(admission.expired);
  auto chosen = take(admission.admit);
  if (left.empty()) return false;
  std::erase(queue, nullptr);
  intake.LeftQueue(left);

  for (auto& queued : cancelled) {
    const absl::Duration waited = now - queued->submitted;
    Answer(std::move(queued), LateInQueueError(/*cancelled=*/true, waited));
  }
  for (auto& queued : expired) {
    observer->OnRejected("deadline");
    const absl::Duration waited = now - queued->submitted;
    Answer(std::move(queued), LateInQueueError(/*cancelled=*/false, waited));
  }
  if (!chosen.empty()) Encode(std::move(chosen));
  return true;
}

void ReplicaLoop::Impl::Encode(std::vector<std::unique_ptr<QueuedSequence>> chosen) {
  std::vector<Active> newcomers;
  newcomers.reserve(chosen.size());
  for (auto& queued : chosen) {
    const SequenceRequest& request = queued->request;
    auto decoder = decoding::MakeDecoder(request.options, options.special, request.sequence_index);
    newcomers.push_back(
        {.queued = std::move(queued), .decoder = std::move(decoder), .slot = slots.Take(), .timing = {}});
  }
  std::vector<Outcome> refused;
  const auto join = [&](Active& newcomer) {
    load.sequences += 1;
    load.rows[newcomer.queued->request.flow] += newcomer.queued->rows;
    load.kv_bytes += newcomer.queued->kv_bytes;
    observer->OnAdmitted(newcomer.timing.queue, static_cast<int>(newcomer.queued->request.source_ids.size()));
    active.push_back(std::move(newcomer));
  };
  const auto refuse = [&](Active& newcomer, absl::Status status) {
    slots.Return(newcomer.slot);
    refused.push_back({std::move(newcomer.queued), std::move(status)});
  };

  if (absl::Status status = EncodeTogether(absl::MakeSpan(newcomers)); status.ok()) {
    for (Active& newcomer : newcomers) join(newcomer);
  } else if (newcomers.size() == 1) {
    refuse(newcomers[0], status);
  } else {
    // Only the one too many (or the one that is bad) is to fail, not its company.
    for (Active& newcomer : newcomers) {
      if (absl::Status alone = EncodeTogether({&newcomer, 1}); alone.ok()) {
        join(newcomer);
      } else {
        refuse(newcomer, alone);
      }
    }
  }
  UpdatePace();
  observer->OnActive(load.sequences);
  for (Outcome& outcome : refused) Answer(std::move(outcome.queued), std::move(outcome.result));
}

// One call of the executor's Admit; all of `newcomers` or none.
absl::Status ReplicaLoop::Impl::EncodeTogether(absl::Span<Active> newcomers) {
  std::vector<Newcomer> inputs;
  inputs.reserve(newcomers.size());
  for (const Active& newcomer : newcomers) inputs.push_back({newcomer.slot, newcomer.queued->request.source_ids});
  const absl::Time start = options.clock();
  absl::Status status = executor->Admit(inputs);
  const absl::Duration took = options.clock() - start;
  score_share.OnDecoded(took);
  std::map<Flow, int> source_tokens;
  for (const Active& newcomer : newcomers) {
    source_tokens[newcomer.queued->request.flow] += static_cast<int>(newcomer.queued->request.source_ids.size());
  }
  pace.OnEncoded(took, source_tokens);
  for (Active& newcomer : newcomers) {
    newcomer.timing.queue = start - newcomer.queued->submitted;
    newcomer.timing.encode = took;
  }
  return status;
}

// One decoder step of everybody who is not held.
bool ReplicaLoop::Impl::StepAll() {
  if (active.empty()) return false;
  if (const absl::Status status = RunStep(); !status.ok()) {
    std::vector<Active> lost = std::exchange(active, {});
    Release(lost);
    for (Active& sequence : lost) Answer(std::move(sequence.queued), status);
    return true;
  }
  std::vector<Active> finished = Extract(&active, [](const Active& sequence) { return sequence.decoder->done(); });
  if (finished.empty()) return true;
  Release(finished);
  const absl::Time now = options.clock();
  for (Active& sequence : finished) {
    sequence.timing.total = now - sequence.queued->submitted;
    SequenceResult result = {
        .hypotheses = sequence.decoder->Hypotheses(), .timing = sequence.timing, .steps = sequence.decoder->steps()};
    Answer(std::move(sequence.queued), std::move(result));
  }
  return true;
}

void ReplicaLoop::Impl::UpdatePace() {
  std::map<Flow, int> flows;
  for (const Active& sequence : active) {
    flows[sequence.queued->request.flow] += static_cast<int>(sequence.decoder->rows().size());
  }
  pace.Update(flows);
}

absl::Status ReplicaLoop::Impl::RunStep() {
  rows.clear();
  // A decoder counts its own rows; the executor counts those of the whole step before. The held come last.
  const auto first_held = std::stable_partition(active.begin(), active.end(), [this](const Active& sequence) {
    return !pace.IsHeld(sequence.queued->request.flow);
  });
  const absl::Span<Active> stepped = absl::MakeSpan(active).first(first_held - active.begin());
  for (Active& sequence : stepped) {
    const int before = std::exchange(sequence.first_row, static_cast<int>(rows.size()));
    for (const decoding::RowRequest& request : sequence.decoder->rows()) {
      const int parent = request.parent < 0 ? -1 : before + request.parent;
      rows.push_back({.slot = sequence.slot, .parent_row = parent, .request = &request});
    }
    sequence.row_count = static_cast<int>(rows.size()) - sequence.first_row;
  }
  const std::size_t computed = rows.size();
  for (Active& sequence : absl::MakeSpan(active).subspan(stepped.size())) {
    const int before = std::exchange(sequence.first_row, static_cast<int>(rows.size()));
    for (int i = 0; i < sequence.row_count; ++i) rows.push_back({.slot = sequence.slot, .parent_row = before + i});
  }
  results.clear();
  const absl::Time start = options.clock();
  absl::Status status = executor->Step(rows, &results);
  const absl::Time end = options.clock();
  score_share.OnDecoded(end - start);
  if (status.ok()) pace.OnStepped(end - start);
  observer->OnStep(end - start, static_cast<int>(stepped.size()), static_cast<int>(computed));
  if (stepped.size() < active.size()) observer->OnHeld(static_cast<int>(active.size() - stepped.size()));
  if (!status.ok()) return status;
  if (results.size() != computed) {
    return absl::InternalError(
        absl::StrFormat("the executor answered %d rows with %d results", computed, results.size()));
  }
  const std::span<const decoding::RowResult> all(results);
  for (Active& sequence : stepped) {
    const bool first = sequence.decoder->steps() == 0;
    sequence.decoder->Advance(all.subspan(sequence.first_row, sequence.row_count));
    if (!first) continue;
    sequence.timing.first_token = end - sequence.queued->submitted;
    observer->OnFirstToken(sequence.timing.first_token);
  }
  return absl::OkStatus();
}

bool ReplicaLoop::Impl::ScoreSome() {
  const bool dropped = scores.DropLate();
  if (scores.empty() || !score_share.MayScore(!active.empty())) return dropped;
  const absl::Duration took = scores.ScoreChunk();
  score_share.OnScored(took, !active.empty());
  pace.OnPassed(took);
  return true;
}

// Frees the slots and the reservations of sequences that are no longer in `active`.
void ReplicaLoop::Impl::Release(absl::Span<const Active> sequences) {
  std::vector<Slot> freed;
  freed.reserve(sequences.size());
  for (const Active& sequence : sequences) {
    freed.push_back(sequence.slot);
    load.sequences -= 1;
    const auto rows_of_flow = load.rows.find(sequence.queued->request.flow);
    rows_of_flow->second -= sequence.queued->rows;
    if (rows_of_flow->second == 0) load.rows.erase(rows_of_flow);
    load.kv_bytes -= sequence.queued->kv_bytes;
  }
  executor->Release(freed);
  for (const Slot slot : freed) slots.Return(slot);
  observer->OnActive(load.sequences);
}

void ReplicaLoop::Impl::Answer(std::unique_ptr<QueuedSequence> queued, absl::StatusOr<SequenceResult> result) {
  observer->OnFinished(result.status(), result.ok() ? TargetTokens(*result) : 0);
  intake.Answered(*queued);
  // Taken out first: what `done` holds is let go of as soon as it returns.
  const auto done = std::move(queued->request.done);
  done(std::move(result));
}

ReplicaLoop::ReplicaLoop(std::unique_ptr<Executor> executor, ReplicaOptions options)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(options))) {}

ReplicaLoop::~ReplicaLoop() {
  StopAccepting();
  FailAll(absl::UnavailableError("the replica stopped before this was done"));
}

absl::Status ReplicaLoop::Enqueue(SequenceRequest request) {
  std::vector<SequenceRequest> one;
  one.push_back(std::move(request));
  return Enqueue(std::move(one));
}

absl::Status ReplicaLoop::Enqueue(std::vector<SequenceRequest> requests) {
  return Intake::Add({intake()}, std::move(requests), /*chosen=*/nullptr);
}

absl::Status ReplicaLoop::EnqueueScore(ScoreRequest request) {
  return Intake::AddScore({intake()}, std::move(request), /*chosen=*/nullptr);
}

Intake* ReplicaLoop::intake() { return &impl_->intake; }

std::int64_t ReplicaLoop::work() const { return impl_->intake.work(); }

void ReplicaLoop::StopAccepting() { impl_->intake.StopAccepting(); }

bool ReplicaLoop::RunOnce() {
  impl_->TakeNewcomers();
  bool worked = impl_->DropLateActive();
  impl_->UpdatePace();
  worked = impl_->ServeQueue() || worked;
  worked = impl_->StepAll() || worked;
  worked = impl_->ScoreSome() || worked;
  return worked;
}

bool ReplicaLoop::HasWork() const {
  return !impl_->active.empty() || !impl_->queue.empty() || !impl_->scores.empty() || !impl_->intake.empty();
}

void ReplicaLoop::FailAll(const absl::Status& status) {
  impl_->TakeNewcomers();
  std::vector<Active> active = std::exchange(impl_->active, {});
  auto queue = std::exchange(impl_->queue, {});
  if (!active.empty()) impl_->Release(active);
  if (!queue.empty()) {
    std::vector<const QueuedSequence*> left;
    left.reserve(queue.size());
    for (const auto& queued : queue) left.push_back(queued.get());
    impl_->intake.LeftQueue(left);
  }
  for (Active& sequence : active) impl_->Answer(std::move(sequence.queued), status);
  for (auto& queued : queue) impl_->Answer(std::move(queued), status);
  impl_->scores.FailAll(status);
}

const ExecutorInfo& ReplicaLoop::info() const { return impl_->executor->info(); }

}  // namespace petit::engine
