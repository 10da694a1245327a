#include "models/engine/slot_pool.h"

#include <gtest/gtest.h>

namespace petit::engine {
namespace {

TEST(SlotPoolTest, TheSmallestFreeNumberComesFirst) {
  SlotPool pool;
  for (int slot = 0; slot < 5; ++slot) EXPECT_EQ(pool.Take(), slot);
  pool.Return(3);
  pool.Return(0);
  pool.Return(1);
  EXPECT_EQ(pool.Take(), 0);
  EXPECT_EQ(pool.Take(), 1);
  EXPECT_EQ(pool.Take(), 3);
  EXPECT_EQ(pool.Take(), 5);
}

}  // namespace
}  // namespace petit::engine
