#include "server/metrics/replica_series.h"

#include <atomic>
#include <cstddef>
#include <utility>

#include "absl/time/time.h"

namespace petit::serving {
namespace {

using prometheus::Histogram;

prometheus::Histogram& MakeHistogram(prometheus::Registry& registry, const char* name, const char* help,
                                     const std::string& model, const Histogram::BucketBoundaries& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({{"model", model}}, buckets);
}

prometheus::Counter& MakeCounter(prometheus::Registry& registry, const char* name, const char* help,
                                 const prometheus::Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Gauge& MakeGauge(prometheus::Registry& registry, const char* name, const char* help,
                             const std::string& model) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({{"model", model}});
}

// Seconds, 100 us to 1 s.
const Histogram::BucketBoundaries& StepBuckets() {
  static const auto* const kBuckets = new Histogram::BucketBoundaries{
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1};
  return *kBuckets;
}

const Histogram::BucketBoundaries& SequenceBuckets() {
  static const auto* const kBuckets = new Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256};
  return *kBuckets;
}

class Observer : public engine::ReplicaObserver {
 public:
  Observer(std::shared_ptr<prometheus::Registry> registry, const ReplicaSeries& series)
      : registry_(std::move(registry)), series_(series) {}
  ~Observer() override {
    Update(&queue_length_, series_.queue_length, 0);
    Update(&active_, series_.active_sequences, 0);
  }

  void OnQueueLength(int sequences) override { Update(&queue_length_, series_.queue_length, sequences); }
  void OnActive(int sequences) override { Update(&active_, series_.active_sequences, sequences); }
  void OnRejected(std::string_view reason) override {
    std::size_t i = 0;
    while (i + 1 < kRejectionReasons.size() && reason != kRejectionReasons[i]) ++i;
    series_.rejected[i]->Increment();
  }
  void OnAdmitted(absl::Duration queued, int source_tokens) override {
    series_.queue_seconds.Observe(absl::ToDoubleSeconds(queued));
    series_.source_tokens.Increment(source_tokens);
  }
  void OnStep(absl::Duration took, int sequences, int /*rows*/) override {
    series_.step_seconds.Observe(absl::ToDoubleSeconds(took));
    series_.step_sequences.Observe(sequences);
  }
  void OnHeld(int sequences) override { series_.held_sequences.Increment(sequences); }
  void OnFirstToken(absl::Duration since_submission) override {
    series_.first_token_seconds.Observe(absl::ToDoubleSeconds(since_submission));
  }
  void OnFinished(const absl::Status& /*status*/, int target_tokens) override {
    series_.target_tokens.Increment(target_tokens);
  }

 private:
  // Whole numbers, so that the sum of changes is exact.
  static void Update(std::atomic<int>* own, prometheus::Gauge& sum, int value) {
    sum.Increment(value - own->exchange(value));
  }

  const std::shared_ptr<prometheus::Registry> registry_;
  const ReplicaSeries series_;
  std::atomic<int> queue_length_ = 0;
  std::atomic<int> active_ = 0;
};

}  // namespace

const Histogram::BucketBoundaries& RequestBuckets() {
  static const auto* const kBuckets =
      new Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return *kBuckets;
}

ReplicaSeries::ReplicaSeries(prometheus::Registry& registry, const std::string& model)
    : queue_seconds(MakeHistogram(registry, "petit_queue_seconds", "Time that a sequence waited for its first step.",
                                  model, RequestBuckets())),
      first_token_seconds(MakeHistogram(registry, "petit_first_token_seconds",
                                        "Time from a sequence's submission to its first token.", model,
                                        RequestBuckets())),
      step_seconds(MakeHistogram(registry, "petit_step_seconds", "Time of a decoder step over all active sequences.",
                                 model, StepBuckets())),
      step_sequences(MakeHistogram(registry, "petit_step_sequences", "Sequences that shared a decoder step.", model,
                                   SequenceBuckets())),
      held_sequences(
          MakeCounter(registry, "petit_held_sequences_total",
                      "Sequences left out of a decoder step for the sake of a client with fewer, once a step.",
                      {{"model", model}})),
      source_tokens(MakeCounter(registry, "petit_source_tokens_total", "Source tokens encoded.", {{"model", model}})),
      target_tokens(MakeCounter(registry, "petit_target_tokens_total", "Target tokens generated.", {{"model", model}})),
      queue_length(MakeGauge(registry, "petit_queue_length", "Sequences waiting.", model)),
      active_sequences(MakeGauge(registry, "petit_active_sequences", "Sequences being decoded.", model)),
      rejected{} {
  for (std::size_t i = 0; i < kRejectionReasons.size(); ++i) {
    rejected[i] = &MakeCounter(registry, "petit_rejected_total",
                               "Requests refused, and sequences that expired while they waited.",
                               {{"model", model}, {"reason", kRejectionReasons[i]}});
  }
}

std::shared_ptr<engine::ReplicaObserver> MakeReplicaObserver(std::shared_ptr<prometheus::Registry> registry,
                                                             const ReplicaSeries& series) {
  return std::make_shared<Observer>(std::move(registry), series);
}

}  // namespace petit::serving
