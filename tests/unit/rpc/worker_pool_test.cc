#include "server/rpc/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"

namespace petit::serving {
namespace {

using testing::ElementsAre;

TEST(WorkerPoolTest, OneThreadRunsTasksInTheOrderOfPosting) {
  std::vector<int> order;
  {
    WorkerPool pool(1);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(pool.Post([&order, i] { order.push_back(i); }));
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST(WorkerPoolTest, RefusesWhatExceedsItsQueue) {
  absl::Notification running;
  absl::Notification release;
  int ran = 0;
  {
    WorkerPool pool(1, 2);
    ASSERT_TRUE(pool.Post([&] {
      running.Notify();
      release.WaitForNotification();
    }));
    running.WaitForNotification();
    EXPECT_TRUE(pool.Post([&ran] { ++ran; }));
    EXPECT_TRUE(pool.Post([&ran] { ++ran; }));
    EXPECT_FALSE(pool.Post([&ran] { ++ran; }));
    release.Notify();
  }
  EXPECT_EQ(ran, 2);
}

TEST(WorkerPoolTest, TimedTasksRunByTheirTime) {
  WorkerPool pool(1);
  std::vector<int> order;
  absl::Notification done;
  absl::Notification posted;
  // The only thread waits until both are posted.
  pool.Post([&posted] { posted.WaitForNotification(); });
  pool.PostAfter(absl::Milliseconds(20), [&] {
    order.push_back(2);
    done.Notify();
  });
  pool.PostAfter(absl::Milliseconds(1), [&order] { order.push_back(1); });
  posted.Notify();
  done.WaitForNotification();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(WorkerPoolTest, TasksThatWaitForTheirTimeAreDroppedAtTheEnd) {
  const auto held = std::make_shared<int>(0);
  {
    WorkerPool pool(2);
    pool.PostAfter(absl::Hours(1), [held] { ++*held; });
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkerPoolTest, RunsWhatIsQueuedWhenItStopsAndDropsWhatComesLater) {
  int ran = 0;
  const auto held = std::make_shared<int>(0);
  WorkerPool pool(1);
  for (int i = 0; i < 10; ++i) pool.Post([&ran] { ++ran; });
  pool.Stop();
  EXPECT_EQ(ran, 10);
  EXPECT_FALSE(pool.Post([held] { ++*held; }));
  pool.PostAfter(absl::ZeroDuration(), [held] { ++*held; });
  pool.Stop();
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace petit::serving
