// What watching a job draws.
#include "client/cli/job_view.h"

#include <cmath>
#include <limits>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/curve.h"
#include "client/cli/live_screen.h"
#include "client/cli/proto_json.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace petit::cli {
namespace {

using petit::v1::JobEvent;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

JobEvent Event(const std::string& text) {
  JobEvent event;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
  return event;
}

std::string Drawn(const std::vector<double>& values, std::size_t columns) {
  Curve curve;
  for (std::size_t i = 0; i < values.size(); ++i) curve.Add(static_cast<std::int64_t>(i), values[i]);
  return curve.Draw(columns, curve.Range());
}

TEST(Curve, DrawsEightHeights) {
  EXPECT_EQ(Drawn({0, 1, 2, 3, 4, 5, 6, 7}, 80), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(Drawn({3, 3}, 80), "▅▅");
  EXPECT_EQ(Drawn({}, 80), "");
  EXPECT_EQ(Drawn({1}, 0), "");
}

TEST(Curve, DrawsMeansWhereColumnsAreFew) { EXPECT_EQ(Drawn({0, 0, 0, 0, 7, 7, 7, 7}, 2), "▁█"); }

TEST(Curve, ShowsWhatIsNoNumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Drawn({0, nan, 1}, 80), "▁?█");
  EXPECT_EQ(Drawn({nan}, 80), "?");
}

TEST(Curve, KeepsItsShapeInBoundedMemory) {
  Curve curve(8);
  for (int i = 0; i < 100000; ++i) curve.Add(i, i);
  const std::string drawn = curve.Draw(1000, curve.Range());
  EXPECT_LE(drawn.size(), 8 * 3);
  EXPECT_THAT(drawn, StartsWith("▁"));
  EXPECT_TRUE(drawn.ends_with("█"));
}

TEST(Curve, StepsThatComeAgainReplaceTheOldOnes) {
  Curve curve;
  for (const int step : {1, 2, 3, 4}) curve.Add(step, step);
  curve.Add(2, 0);
  EXPECT_EQ(curve.Draw(80, curve.Range()), "█▁");
}

TEST(JobView, ShowsCrossEntropyAndKlOfEachArmOnOneScale) {
  JobView view("jobs/a");
  view.Add(Event("sequence: 1 state_change { state: JOB_STATE_RUNNING attempt: 1 }"));
  for (const char* step : {"1", "2"}) {
    view.Add(Event("progress { step: " + std::string(step) +
                   " total_steps: 4 epoch: 0.25 tokens_per_second: 50 eta_seconds: 3"
                   " arms { arm: 'x' cross_entropy: 3 kl: 1 learning_rate: 0.1 }"
                   " arms { arm: 'y' cross_entropy: 1 kl: " +
                   step + " learning_rate: 0.2 } }"));
  }
  EXPECT_THAT(
      view.Render(80),
      ElementsAre("jobs/a  RUNNING", "step 2/4 [###############---------------]  50%  epoch 0.25  50 tokens/s  3s left",
                  "", "x  lr 0.1", "  CE   3.0000  ██", "  KL   1.0000  ▁▁", "", "y  lr 0.2", "  CE   1.0000  ▁▁",
                  "  KL   2.0000  ▁█"));
}

TEST(JobView, PutsDomainsBesideEachOtherWhereTheyFit) {
  JobView view("jobs/a");
  view.Add(Event("dev_score { arm: 'x' set: 'test' step: 5 bleu: 1 }"));
  view.Add(Event("dev_score { arm: 'x' set: 'test' step: 10 bleu: 20 chrf: 30 cross_entropy: 2 kl: 0.5 }"));
  view.Add(Event("dev_score { arm: 'x' set: 'fr-en' step: 10 out_of_domain: true bleu: 3 }"));
  EXPECT_THAT(view.Render(120), Contains("  dev @10  in: test BLEU 20.00 chrF 30.00 CE 2.0000 KL 0.5000  "
                                         "out: fr-en BLEU 3.00 chrF 0.00 CE 0.0000"));
  const std::vector<std::string> narrow = view.Render(80);
  EXPECT_THAT(narrow, Contains("  dev @10  in: test BLEU 20.00 chrF 30.00 CE 2.0000 KL 0.5000"));
  EXPECT_THAT(narrow, Contains("           out: fr-en BLEU 3.00 chrF 0.00 CE 0.0000"));
  view.Add(Event("dev_score { arm: 'x' set: 'test' step: 20 bleu: 21 }"));
  EXPECT_THAT(view.Render(80), Contains("           out: fr-en BLEU 3.00 chrF 0.00 CE 0.0000 @10"));
}

TEST(JobView, TellsWhatBecameOfAnArm) {
  JobView view("jobs/a");
  view.Add(Event("arm_dropped { arm: 'x' step: 40 }"));
  view.Add(Event("student { arm: 'x' checkpoint: '/c/x' }"));
  view.Add(Event("student { arm: 'y' checkpoint: '/c/y' published_as: 'student/3' best: true }"));
  EXPECT_THAT(view.Render(80),
              ElementsAre("jobs/a  waiting", "", "x  dropped at step 40", "", "y  best, published as student/3"));
}

TEST(JobView, NoLineIsWiderThanTheTerminal) {
  JobView view("jobs/" + std::string(100, 'a'));
  view.Add(Event("sequence: 9 state_change { state: JOB_STATE_FAILED attempt: 2 reason: 'pl\xC3\xA9in\\n' }"));
  view.Add(Event("progress { step: 1 total_steps: 4 arms { arm: 'x' } }"));
  for (const std::size_t columns : {1, 5, 20}) {
    for (const std::string& line : view.Render(columns)) {
      EXPECT_LE(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }),
                static_cast<std::ptrdiff_t>(columns));
    }
  }
  EXPECT_EQ(view.state(), petit::v1::JOB_STATE_FAILED);
  EXPECT_EQ(view.last_sequence(), 0);  // of the last event
}

TEST(FormatEvent, HasALineForEveryKind) {
  EXPECT_THAT(FormatEvent(Event("sequence: 7 log { level: WARNING text: 'a\\n\\x1b[2Jb' }")),
              HasSubstr("  #7  warning: a  [2Jb"));
  EXPECT_THAT(FormatEvent(Event("log { level: ERROR text: 'x' }")), HasSubstr("error: x"));
  EXPECT_THAT(FormatEvent(Event("arm_dropped { arm: 'x' step: 4 }")), HasSubstr("x dropped at step 4"));
  EXPECT_THAT(FormatEvent(Event("student { arm: 'x' checkpoint: '/c' }")), HasSubstr("student x: done; /c"));
  EXPECT_THAT(FormatEvent(Event("dev_score { arm: 'x' set: 's' out_of_domain: true }")),
              HasSubstr("dev s (out of domain)"));
  EXPECT_THAT(FormatEvent(JobEvent()), HasSubstr("does not know"));
}

TEST(ProtoJson, KeepsNumbersNumbersAndReplacesWhatIsNoText) {
  JobEvent event = Event("sequence: 9007199254740993 time { seconds: 1 nanos: 500000000 } log { text: 'x' }");
  EXPECT_EQ(
      ToJsonLine(event),
      R"({"sequence":9007199254740993,"time":"1970-01-01T00:00:01.5+00:00","log":{"level":"LEVEL_UNSPECIFIED","text":"x"}})");
  event = Event("progress { epoch: nan }");
  EXPECT_THAT(ToJsonLine(event), HasSubstr(R"("epoch":null)"));
}

TEST(LiveScreen, DrawsOverItsLastBlockAndScrollsLinesAbove) {
  std::ostringstream out;
  int value = 1;
  {
    LiveScreen screen(
        out, nullptr,
        [&](std::size_t) {
          return std::vector<std::string>{"value " + std::to_string(value), "end"};
        },
        absl::ZeroDuration());
    screen.Update([] {});
    // Until the first block stands.
    while (true) {
      std::string text;
      screen.Update([&] { text = out.str(); });
      if (!text.empty()) break;
    }
    screen.Print("news");
    screen.Update([&] { value = 2; });
  }
  EXPECT_THAT(out.str(), StartsWith("\r\x1b[Jvalue 1\nend\n"));
  EXPECT_THAT(out.str(), HasSubstr("\r\x1b[2A\x1b[Jnews\n"));
  EXPECT_TRUE(out.str().ends_with("\x1b[Jvalue 2\nend\n") || out.str().ends_with("\x1b[Jnews\nvalue 2\nend\n"));
}

TEST(LiveScreen, ABlockHigherThanTheTerminalIsCut) {
  std::ostringstream out;
  {
    LiveScreen screen(
        out, [] { return TerminalSize{.columns = 80, .rows = 4}; },
        [](std::size_t) {
          return std::vector<std::string>{"1", "2", "3", "4", "5"};
        });
    screen.Update([] {});
  }
  EXPECT_EQ(out.str(), "\r\x1b[J1\n2\n... 3 more lines\n");
}

TEST(LiveScreen, KnowsWhenNobodyReads) {
  std::ostream closed(nullptr);
  LiveScreen screen(
      closed, nullptr, [](std::size_t) { return std::vector<std::string>{"x"}; }, absl::ZeroDuration());
  while (screen.good()) screen.Update([] {});
  EXPECT_FALSE(screen.good());
}

}  // namespace
}  // namespace petit::cli
