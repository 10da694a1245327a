#include "server/rpc/traffic.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace petit::serving {
namespace {

TEST(TrafficTest, TextsAreInFlightFromTheirAcceptanceToTheirAnswer) {
  Traffic traffic;
  Traffic::Texts texts(&traffic, 3);
  EXPECT_EQ(traffic.Now().texts_in_flight, 0);
  texts.Accept();
  texts.Accept();
  EXPECT_EQ(traffic.Now().texts_in_flight, 3);
  EXPECT_EQ(traffic.Now().texts_accepted, 3);
  texts.Answer();
  texts.Answer();
  EXPECT_EQ(traffic.Now().texts_in_flight, 0);
  EXPECT_EQ(traffic.Now().texts_accepted, 3);
}

TEST(TrafficTest, AnAnswerBeforeItsAcceptanceCountsOnce) {
  Traffic traffic;
  Traffic::Texts texts(&traffic, 2);
  texts.Answer();
  EXPECT_EQ(traffic.Now().texts_accepted, 2);
  EXPECT_EQ(traffic.Now().texts_in_flight, 0);
  texts.Accept();
  EXPECT_EQ(traffic.Now().texts_accepted, 2);
  EXPECT_EQ(traffic.Now().texts_in_flight, 0);
}

TEST(TrafficTest, RefusedTextsDoNotCountAndForgottenOnesDoNotStay) {
  Traffic traffic;
  { const Traffic::Texts refused(&traffic, 5); }
  EXPECT_EQ(traffic.Now().texts_accepted, 0);
  {
    Traffic::Texts forgotten(&traffic, 5);
    forgotten.Accept();
  }
  EXPECT_EQ(traffic.Now().texts_accepted, 5);
  EXPECT_EQ(traffic.Now().texts_in_flight, 0);
}

TEST(TrafficTest, CountsAreNeverNegativeWhereBothSidesRace) {
  Traffic traffic;
  for (int i = 0; i < 2000; ++i) {
    Traffic::Texts texts(&traffic, 1);
    std::thread answering([&] { texts.Answer(); });
    texts.Accept();
    const Traffic::Counts counts = traffic.Now();
    EXPECT_GE(counts.texts_in_flight, 0);
    EXPECT_EQ(counts.texts_accepted, i + 1);
    answering.join();
    EXPECT_EQ(traffic.Now().texts_in_flight, 0);
  }
}

TEST(TrafficTest, PairsAreCountedApart) {
  Traffic traffic;
  traffic.BeginPairs(4);
  EXPECT_EQ(traffic.Now().pairs_in_flight, 4);
  EXPECT_EQ(traffic.Now().pairs_scored, 0);
  traffic.EndPairs(4, 3);
  EXPECT_EQ(traffic.Now().pairs_in_flight, 0);
  EXPECT_EQ(traffic.Now().pairs_scored, 3);
  EXPECT_EQ(traffic.Now().texts_accepted, 0);
}

}  // namespace
}  // namespace petit::serving
