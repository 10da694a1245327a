// Executors on one copy of the weights, each on a thread of its own.
#include <string>
#include <thread>
#include <vector>

#include "models/torch/torch_executor.h"
#include "tests/unit/torch/fixture.h"

namespace petit::torch_executor {
namespace {

void ExpectUndisturbed(const checkpoint::Checkpoint& checkpoint, Precision precision) {
  SetTorchThreads(1);
  const std::vector<Ids> sources = {{5, 9, 200, 17, 1}, {42, 1}, {7, 7, 7, 7, 7, 7, 7, 7, 7, 1}};
  decoding::DecodingOptions options;
  options.max_new_tokens = 20;
  options.num_beams = 3;
  auto alone = MakeTorchExecutor(checkpoint, {.precision = precision});
  ASSERT_TRUE(alone.ok()) << alone.status();
  const auto expected = Decode(**alone, sources, options);
  auto executors = MakeTorchExecutors(checkpoint, {.precision = precision}, 3);
  ASSERT_TRUE(executors.ok()) << executors.status();
  ASSERT_EQ(executors->size(), 3U);
  std::vector<std::thread> threads;
  for (const auto& executor : *executors) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        const auto found = Decode(*executor, sources, options);
        ASSERT_EQ(found.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
          ASSERT_EQ(found[i].size(), expected[i].size());
          EXPECT_EQ(found[i][0].ids, expected[i][0].ids);
          EXPECT_EQ(found[i][0].score, expected[i][0].score);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class SharedWeightsTest : public testing::TestWithParam<Precision> {};

TEST_P(SharedWeightsTest, ExecutorsDoNotDisturbOneAnother) { ExpectUndisturbed(OpenTiny("v1_1"), GetParam()); }

// Has layers that are kept in oneDNN's layout in FP32, too.
TEST_P(SharedWeightsTest, ExecutorsOfALargerModelDoNotEither) {
  auto teacher = checkpoint::Checkpoint::Open(std::string(PETIT_SOURCE_DIR) + "/deploy/demo/models/teacher");
  ASSERT_TRUE(teacher.ok()) << teacher.status();
  ExpectUndisturbed(*teacher, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Each, SharedWeightsTest,
                         testing::Values(Precision::kFp32, Precision::kBf16, Precision::kInt8));

}  // namespace
}  // namespace petit::torch_executor
