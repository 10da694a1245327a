#include "client/load/generator.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/client/load/fakes.h"

namespace petit::load {
namespace {

constexpr absl::Duration kMillisecond = absl::Milliseconds(1);

class GeneratorTest : public testing::Test {
 protected:
  // Runs the plan's phases and drains; returns whether all were whole.
  bool Run(FakeSender::Script script) {
    if (plan_.models.empty()) plan_.models = {{.name = "student"}};
    recorder_ = std::make_unique<Recorder>(plan_);
    sender_ = std::make_unique<FakeSender>(clock_, std::move(script));
    corpus_ = std::make_unique<Corpus>(*Corpus::Synthetic("3", 1));
    Generator generator(plan_, *corpus_, *sender_, clock_, *recorder_, [this] { return stopped_; });
    bool whole = true;
    for (const Phase& phase : plan_.phases) whole = whole && generator.Run(phase);
    generator.Drain();
    return whole;
  }
  Figures All(std::size_t phase = 0) const { return recorder_->phases().at(phase).All(); }

  Plan plan_{.arrivals = Arrivals::kConstant};
  FakeClock clock_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<FakeSender> sender_;
  std::unique_ptr<Corpus> corpus_;
  bool stopped_ = false;
};

FakeSender::Answer After(absl::Duration duration) { return {.after = duration}; }

Phase Open(double rate, absl::Duration duration, absl::Duration warmup = {}) {
  return {.rate = rate, .rate_to = rate, .warmup = warmup, .duration = duration};
}

TEST_F(GeneratorTest, AnOpenLoopSendsWhenTextsAreDueWhateverTheServerDoes) {
  plan_.phases = {Open(10, absl::Seconds(1))};
  EXPECT_TRUE(Run([](std::size_t, std::size_t) { return After(absl::Seconds(30)); }));
  ASSERT_EQ(sender_->sent.size(), 10);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(sender_->sent[i].at, i * 100 * kMillisecond);
  EXPECT_EQ(sender_->most_in_flight, 10);
  const Figures all = All();
  EXPECT_EQ(all.answered, 10);
  EXPECT_EQ(all.answers_in_window, 0) << "they came after the second that was measured";
  EXPECT_EQ(all.latency.Max(), absl::Seconds(30));
}

TEST_F(GeneratorTest, LatencyCountsFromWhenATextWasDueThoughTheSenderStalled) {
  plan_.phases = {Open(10, absl::Seconds(1))};
  // The third text, due at 200 ms, is taken only at 700 ms.
  Run([](std::size_t number, std::size_t) {
    return FakeSender::Answer{.after = 10 * kMillisecond, .stall = number == 2 ? 500 * kMillisecond : 0 * kMillisecond};
  });
  ASSERT_EQ(sender_->sent.size(), 10) << "what was due meanwhile is sent after all";
  // Due at 300, 400, 500, 600 and 700 ms; sent at 700.
  EXPECT_EQ(sender_->sent[3].at, 700 * kMillisecond);
  EXPECT_EQ(sender_->sent[7].at, 700 * kMillisecond);
  EXPECT_EQ(sender_->sent[8].at, 800 * kMillisecond);
  const Figures all = All();
  EXPECT_EQ(all.latency.Max(), 510 * kMillisecond);
  EXPECT_EQ(all.lag.Max(), 400 * kMillisecond);
  // In order: 10 (five times), then 110, 210, 310, 410, 510.
  EXPECT_NEAR(absl::ToDoubleMilliseconds(all.latency.Quantile(0.5)), 10, 10.0 / 256);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(all.latency.Quantile(0.8)), 310, 310.0 / 256);
}

TEST_F(GeneratorTest, TextsOfTheWarmUpDoNotCount) {
  plan_.phases = {Open(10, absl::Seconds(2), absl::Seconds(1))};
  Run([](std::size_t number, std::size_t) { return After(number < 10 ? absl::Seconds(5) : 20 * kMillisecond); });
  EXPECT_EQ(sender_->sent.size(), 30);
  const Figures all = All();
  EXPECT_EQ(all.sent, 20);
  EXPECT_EQ(all.answered, 20);
  EXPECT_EQ(all.latency.Max(), 20 * kMillisecond);
  EXPECT_EQ(recorder_->phases()[0].Counted(), absl::Seconds(2));
}

TEST_F(GeneratorTest, AClosedLoopKeepsItsStreamsBusyAndNoMore) {
  plan_.phases = {{.streams = 3, .warmup = absl::Seconds(1), .duration = absl::Seconds(10)}};
  EXPECT_TRUE(Run([](std::size_t, std::size_t) { return After(100 * kMillisecond); }));
  EXPECT_EQ(sender_->most_in_flight, 3);
  EXPECT_EQ(sender_->sent.size(), 330);
  const Figures all = All();
  EXPECT_EQ(all.sent, 300);
  EXPECT_EQ(all.latency.Quantile(1), 100 * kMillisecond);
  // Of the interval from 1 to 11 s, its end left out.
  EXPECT_EQ(all.answers_in_window, 300);
  EXPECT_EQ(all.tokens_in_window, 2100);
}

TEST_F(GeneratorTest, StepsStandApart) {
  plan_.phases = {Open(10, absl::Seconds(1)), Open(20, absl::Seconds(1), absl::Seconds(1))};
  // The first step's texts are answered during the second one.
  Run([](std::size_t number, std::size_t) { return After(number < 10 ? 1500 * kMillisecond : 10 * kMillisecond); });
  EXPECT_EQ(sender_->sent.size(), 50);
  EXPECT_EQ(All(0).answered, 10);
  EXPECT_EQ(All(0).latency.Max(), 1500 * kMillisecond);
  EXPECT_EQ(All(0).answers_in_window, 0);
  EXPECT_EQ(All(1).answered, 20);
  EXPECT_EQ(All(1).latency.Max(), 10 * kMillisecond);
  // Those due from 500 ms on came at 2 s and later, where the second step counts: throughput is of whatever was sent.
  EXPECT_EQ(All(1).answers_in_window, 25);
}

TEST_F(GeneratorTest, ANumberOfTextsEndsAPhase) {
  Phase phase = Open(10, absl::InfiniteDuration(), absl::Seconds(1));
  phase.requests = 25;
  plan_.phases = {phase};
  EXPECT_TRUE(Run([](std::size_t, std::size_t) { return After(kMillisecond); }));
  EXPECT_EQ(sender_->sent.size(), 35);
  EXPECT_EQ(All().sent, 25);
  plan_.phases = {{.streams = 4, .duration = absl::InfiniteDuration(), .requests = 25}};
  clock_ = FakeClock();
  EXPECT_TRUE(Run([](std::size_t, std::size_t) { return After(kMillisecond); }));
  EXPECT_EQ(All().sent, 25);
}

TEST_F(GeneratorTest, StoppedItSendsNoMoreAndWaitsForWhatIsInFlight) {
  plan_.phases = {Open(10, absl::Seconds(100)), Open(10, absl::Seconds(100))};
  clock_.At(1050 * kMillisecond, [this] {
    stopped_ = true;
    clock_.Wake();
  });
  EXPECT_FALSE(Run([](std::size_t, std::size_t) { return After(absl::Seconds(3)); }));
  EXPECT_EQ(sender_->sent.size(), 11);
  EXPECT_EQ(sender_->in_flight, 0);
  EXPECT_EQ(All().answered, 11);
  EXPECT_EQ(recorder_->phases().size(), 1);
  EXPECT_EQ(recorder_->phases()[0].Counted(), 1050 * kMillisecond);
  EXPECT_EQ(clock_.Now(), 4000 * kMillisecond);
}

TEST_F(GeneratorTest, AClosedLoopThatWaitsIsStoppedToo) {
  plan_.phases = {{.streams = 1, .duration = absl::Seconds(100)}};
  clock_.At(absl::Seconds(2), [this] {
    stopped_ = true;
    clock_.Wake();
  });
  EXPECT_FALSE(Run([](std::size_t, std::size_t) { return After(absl::Seconds(5)); }));
  EXPECT_EQ(sender_->sent.size(), 1);
  EXPECT_EQ(All().answered, 1);
}

TEST_F(GeneratorTest, TooManyInFlightAreNotSentAndCountAsFailed) {
  plan_.phases = {Open(10, absl::Seconds(1))};
  plan_.max_in_flight = 4;
  Run([](std::size_t, std::size_t) { return After(absl::Seconds(30)); });
  EXPECT_EQ(sender_->sent.size(), 4);
  const Figures all = All();
  EXPECT_EQ(all.sent, 4);
  EXPECT_EQ(all.not_sent, 6);
  EXPECT_EQ(all.failed(), 6);
  EXPECT_EQ(all.errors.at("NOT_SENT").count, 6);
  EXPECT_EQ(all.ForObjective().texts, 10);
}

TEST_F(GeneratorTest, ARefusalIsAResult) {
  plan_.phases = {Open(10, absl::Seconds(1))};
  Run([](std::size_t number, std::size_t) {
    return FakeSender::Answer{.status = number % 2 == 0 ? absl::ResourceExhaustedError("the queue is full, 1")
                                                        : absl::OkStatus()};
  });
  EXPECT_EQ(sender_->sent.size(), 10) << "nothing is sent twice";
  const Figures all = All();
  EXPECT_EQ(all.answered, 5);
  EXPECT_EQ(all.latency.count(), 5) << "latencies are of answers";
  EXPECT_EQ(all.errors.at("RESOURCE_EXHAUSTED").count, 5);
  EXPECT_EQ(all.errors.at("RESOURCE_EXHAUSTED").example, "the queue is full, 1");
}

TEST_F(GeneratorTest, ModelsGetTheirShares) {
  plan_.models = {{.name = "a"}, {.name = "b", .weight = 3}};
  plan_.phases = {Open(100, absl::Seconds(1))};
  Run([](std::size_t, std::size_t model) { return After((model + 1) * 10 * kMillisecond); });
  const PhaseFigures phase = recorder_->phases()[0];
  EXPECT_EQ(phase.models[0].sent, 25);
  EXPECT_EQ(phase.models[1].sent, 75);
  EXPECT_EQ(phase.models[0].latency.Max(), 10 * kMillisecond);
  EXPECT_EQ(phase.models[1].latency.Quantile(0.01), 20 * kMillisecond);
  EXPECT_EQ(phase.All().sent, 100);
}

}  // namespace
}  // namespace petit::load
