#include "models/engine/pace.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace petit::engine {
namespace {

constexpr Flow kFlood = 5;
constexpr Flow kPolite = 9;

// A replica whose steps take 3 ms and half a millisecond for each row.
class PaceTest : public ::testing::Test {
 protected:
  struct Progress {
    absl::Duration passed;
    std::map<Flow, int> steps;
  };

  static absl::Duration Cost(int rows) { return absl::Milliseconds(3) + rows * absl::Microseconds(500); }

  // So many steps, always of the same flows and rows. `encode`: before each step, for the flood.
  static Progress Run(Pace* pace, const std::map<Flow, int>& rows, int steps,
                      absl::Duration encode = absl::ZeroDuration()) {
    Progress progress;
    for (int i = 0; i < steps; ++i) {
      pace->Update(rows);
      if (encode > absl::ZeroDuration() && !pace->IsHeld(kFlood)) {
        pace->OnEncoded(encode, {{kFlood, 20}});
        progress.passed += encode;
        pace->Update(rows);
      }
      int stepped = 0;
      for (const auto& [flow, count] : rows) {
        if (pace->IsHeld(flow)) continue;
        stepped += count;
        ++progress.steps[flow];
      }
      EXPECT_GT(stepped, 0) << "nobody steps";
      if (stepped == 0) return progress;
      pace->OnStepped(Cost(stepped));
      progress.passed += Cost(stepped);
    }
    return progress;
  }

  static double Slowdown(const Progress& progress, Flow flow, int rows) {
    const auto steps = progress.steps.find(flow);
    if (steps == progress.steps.end()) return 1e9;
    return absl::FDivDuration(progress.passed, steps->second * Cost(rows));
  }
};

TEST_F(PaceTest, AFloodIsHeldSoThatAFewRowsMoveAtMostTwiceAsSlowlyAsAlone) {
  for (const int flood : {8, 32, 64, 500}) {
    for (const int polite : {1, 2, 4}) {
      Pace pace(3);
      Run(&pace, {{kPolite, polite}}, 10);
      Run(&pace, {{kFlood, flood}}, 100);
      const std::map<Flow, int> both = {{kFlood, flood}, {kPolite, polite}};
      const Progress progress = Run(&pace, both, 1000);
      EXPECT_LE(Slowdown(progress, kPolite, polite), 2) << flood << " beside " << polite;
      EXPECT_LE(Slowdown(progress, kFlood, flood), 3.1) << flood << " beside " << polite;
    }
  }
}

TEST_F(PaceTest, CostsNeedNotBeKnownBefore) {
  Pace pace(3);
  const Progress progress = Run(&pace, {{kFlood, 64}, {kPolite, 1}}, 1000);
  EXPECT_LE(Slowdown(progress, kPolite, 1), 2);
  EXPECT_LE(Slowdown(progress, kFlood, 64), 3.1);
}

TEST_F(PaceTest, ALittleMoreIsHeldALittle) {
  Pace pace(3);
  Run(&pace, {{kPolite, 1}}, 10);
  Run(&pace, {{kFlood, 4}}, 10);
  const std::map<Flow, int> many = {{kFlood, 4}, {kPolite, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {7, 1}, {8, 1}};
  const Progress progress = Run(&pace, many, 1000);
  EXPECT_LT(progress.steps.at(kFlood), progress.steps.at(kPolite));
  EXPECT_LE(Slowdown(progress, kFlood, 4), 2.1) << "the square root of four";
}

TEST_F(PaceTest, WhatAFloodEncodesIsItsOwnTime) {
  Pace pace(2);
  Run(&pace, {{kPolite, 1}}, 10);
  const Progress progress = Run(&pace, {{kFlood, 64}, {kPolite, 1}}, 1000, absl::Milliseconds(20));
  EXPECT_LE(Slowdown(progress, kPolite, 1), 2.1);
}

TEST_F(PaceTest, AHigherLimitIsForTheFewAndOneHoldsNobody) {
  double last = 100;
  for (const double limit : {1.0, 1.5, 2.0, 4.0}) {
    Pace pace(limit);
    Run(&pace, {{kPolite, 1}}, 10);
    const Progress progress = Run(&pace, {{kFlood, 64}, {kPolite, 1}}, 1000);
    EXPECT_LT(Slowdown(progress, kPolite, 1), last);
    last = Slowdown(progress, kPolite, 1);
    EXPECT_LE(Slowdown(progress, kFlood, 64), limit * 1.1);
    if (limit > 1) continue;
    EXPECT_EQ(progress.steps.at(kFlood), progress.steps.at(kPolite));
  }
}

TEST_F(PaceTest, TheFewNeedNotBeFasterThanTheyArePromised) {
  Pace pace(1000);
  Run(&pace, {{kPolite, 1}}, 10);
  const Progress progress = Run(&pace, {{kFlood, 64}, {kPolite, 1}}, 10000);
  EXPECT_NEAR(Slowdown(progress, kPolite, 1), Pace::kBehind, 0.05);
}

TEST_F(PaceTest, FlowsOfLikeSizeStepTogetherHoweverMany) {
  Pace pace(2);
  std::map<Flow, int> rows;
  for (Flow flow = 0; flow < 64; ++flow) rows[flow] = 2 + static_cast<int>(flow % 2);
  Run(&pace, {{0, 2}}, 10);
  const Progress progress = Run(&pace, rows, 100);
  for (const auto& [flow, count] : rows) EXPECT_EQ(progress.steps.at(flow), 100) << flow;
}

TEST_F(PaceTest, AnyFlowAloneIsNeverHeld) {
  Pace pace(2);
  Run(&pace, {{kFlood, 64}, {kPolite, 1}}, 57);
  EXPECT_EQ(Run(&pace, {{kFlood, 64}}, 100).steps.at(kFlood), 100);
}

TEST_F(PaceTest, TimeAloneSavesUpNothing) {
  Pace pace(2);
  Run(&pace, {{kPolite, 1}}, 10);
  Run(&pace, {{kFlood, 64}}, 10000);
  int waited = 0;
  for (; waited < 100; ++waited) {
    if (Run(&pace, {{kFlood, 64}, {kPolite, 1}}, 1).steps.contains(kFlood) && waited > 0) break;
  }
  // After its first step the flood has to be held for as long as a step of its own takes, and no longer.
  EXPECT_LE(waited * Cost(1), Cost(64) + 2 * Cost(1));
}

TEST_F(PaceTest, StepsOfUnequalLengthOweAFlowThatIsAloneNothing) {
  std::mt19937 random(3);
  Pace pace(3);
  Run(&pace, {{kPolite, 1}}, 10);
  for (int i = 0; i < 1000; ++i) {
    pace.Update({{kFlood, 64}});
    pace.OnStepped(Cost(64) * (0.6 + 0.001 * static_cast<double>(random() % 1000)));
  }
  const Progress progress = Run(&pace, {{kFlood, 64}, {kPolite, 1}}, 30);
  EXPECT_LE(progress.steps.at(kFlood), 3);
}

TEST_F(PaceTest, AClockThatIsSetBackHarmsNobody) {
  Pace pace(3);
  Run(&pace, {{kPolite, 1}}, 10);
  const std::map<Flow, int> both = {{kFlood, 64}, {kPolite, 1}};
  Run(&pace, both, 100);
  pace.OnEncoded(absl::Seconds(-3600), {{kFlood, 20}});
  pace.OnStepped(absl::Seconds(-3600));
  pace.OnPassed(absl::Seconds(-3600));
  const Progress progress = Run(&pace, both, 1000);
  EXPECT_LE(Slowdown(progress, kPolite, 1), 2);
  EXPECT_LE(Slowdown(progress, kFlood, 64), 3.1);
}

TEST_F(PaceTest, OtherWorkCountsForNobody) {
  Pace pace(2);
  Run(&pace, {{kPolite, 1}}, 10);
  const std::map<Flow, int> both = {{kFlood, 64}, {kPolite, 1}};
  pace.Update(both);
  pace.OnPassed(absl::Seconds(1));
  pace.Update(both);
  EXPECT_FALSE(pace.IsHeld(kFlood)) << "both are late";
  EXPECT_FALSE(pace.IsHeld(kPolite));
  EXPECT_FALSE(pace.IsHeld(77)) << "unknown";
}

}  // namespace
}  // namespace petit::engine
