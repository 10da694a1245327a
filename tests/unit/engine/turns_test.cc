#include "models/engine/turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace petit::engine {
namespace {

using ::testing::ElementsAre;

std::vector<int> All(Turns turns) {
  std::vector<int> order;
  for (; !turns.empty(); turns.Pop()) order.push_back(turns.Next());
  return order;
}

TEST(TurnsTest, OneFlowIsServedInTheOrderOfArrival) {
  Turns turns(0);
  for (int i = 0; i < 4; ++i) turns.Add(9, i);
  EXPECT_THAT(All(turns), ElementsAre(0, 1, 2, 3));
}

TEST(TurnsTest, FlowsTakeTurnsWhateverTheyHave) {
  Turns turns(0);
  for (int i = 0; i < 4; ++i) turns.Add(5, i);
  turns.Add(7, 4);
  turns.Add(6, 5);
  turns.Add(7, 6);
  EXPECT_THAT(All(turns), ElementsAre(0, 5, 4, 1, 6, 2, 3));
}

TEST(TurnsTest, AFlowThatIsSkippedLosesNothingButThisRound) {
  Turns turns(5);
  turns.Add(5, 0);
  turns.Add(7, 1);
  turns.Add(7, 2);
  turns.Add(9, 3);
  turns.Skip();
  EXPECT_EQ(turns.last(), 5U);
  EXPECT_THAT(All(turns), ElementsAre(3, 0));
}

TEST(TurnsTest, TheNextTurnIsAfterTheFlowThatWasServedLast) {
  for (const auto& [last, first] : {std::pair<Flow, int>{0, 0}, {4, 0}, {5, 1}, {6, 1}, {7, 0}, {99, 0}}) {
    Turns turns(last);
    turns.Add(5, 0);
    turns.Add(7, 1);
    EXPECT_EQ(turns.Next(), first) << last;
  }
}

TEST(TurnsTest, TheLastOneServedIsRemembered) {
  Turns turns(3);
  EXPECT_EQ(turns.last(), 3);
  turns.Add(1, 0);
  EXPECT_EQ(turns.last(), 3);
  turns.Pop();
  EXPECT_EQ(turns.last(), 1);
  EXPECT_TRUE(turns.empty());
}

}  // namespace
}  // namespace petit::engine
