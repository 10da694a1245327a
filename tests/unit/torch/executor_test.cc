// What an executor says of itself, and what it refuses to be.
#include <gmock/gmock.h>

#include "models/t5/tensors.h"
#include "models/torch/torch_executor.h"
#include "tests/unit/torch/fixture.h"

namespace petit::torch_executor {
namespace {

using testing::HasSubstr;

TEST(MakeTorchExecutor, SaysWhatItIs) {
  const checkpoint::Checkpoint tiny = OpenTiny("v1_1");
  const std::int64_t parameters = t5::ParameterCount(tiny.config());
  const auto fp32 = MakeTiny("v1_1", {.distribution_size = 340});
  EXPECT_EQ(fp32->info().executor, "TORCH");
  EXPECT_EQ(fp32->info().device, "cpu");
  EXPECT_EQ(fp32->info().precision, "FP32");
  EXPECT_EQ(fp32->info().vocab_size, 384);
  EXPECT_EQ(fp32->info().distribution_size, 340);
  EXPECT_EQ(fp32->info().parameters, parameters);
  EXPECT_EQ(fp32->info().weight_bytes, 4 * parameters);

  const auto bf16 = MakeTiny("v1_1", {.precision = Precision::kBf16});
  EXPECT_EQ(bf16->info().precision, "BF16");
  EXPECT_EQ(bf16->info().distribution_size, 384);
  EXPECT_EQ(bf16->info().weight_bytes, 2 * parameters);

  const auto int8 = MakeTiny("v1_1", {.precision = Precision::kInt8});
  EXPECT_EQ(int8->info().precision, "INT8");
  EXPECT_LT(int8->info().weight_bytes, 2 * parameters);
  EXPECT_GT(int8->info().weight_bytes, parameters);
}

TEST(MakeTorchExecutor, TiedWeightsAreCountedOnce) {
  EXPECT_EQ(MakeTiny("v1_0")->info().weight_bytes, 4 * t5::ParameterCount(OpenTiny("v1_0").config()));
}

TEST(MakeTorchExecutor, RefusesADistributionBeyondTheVocabulary) {
  const auto executor = MakeTorchExecutor(OpenTiny("v1_0"), {.distribution_size = 385});
  EXPECT_EQ(executor.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(executor.status().ToString(), HasSubstr("between 0 and vocab_size, 384"));
}

TEST(CheckDevice, KnowsTheCpu) {
  EXPECT_TRUE(CheckDevice("cpu").ok());
  EXPECT_TRUE(CheckDevice("cpu:0").ok());
}

TEST(CheckDevice, ListsWhatIsHereWhereADeviceIsNot) {
  for (const char* name : {"cuda:99", "cpu:1", "mps"}) {
    const absl::Status status = CheckDevice(name);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << name;
    EXPECT_THAT(status.ToString(), HasSubstr("devices here: cpu")) << name;
    EXPECT_EQ(MakeTorchExecutor(OpenTiny("v1_0"), {.device = name}).status(), status) << name;
  }
}

TEST(CheckDevice, SaysWhatANameLooksLike) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cpu cpu"}) {
    const absl::Status status = CheckDevice(name);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(status.ToString(), HasSubstr("'cuda:N'")) << name;
  }
}

// Cache bytes per position: layers * (keys and values) * heads * d_kv * size of a value.
TEST(Footprint, BoundsSourceAndRowsInWholePages) {
  const auto executor = MakeTiny("v1_0");
  const std::int64_t position = 2 * 2 * 30 * 4;
  EXPECT_GE(executor->Footprint(1, 1, 1), position * 2);
  EXPECT_GE(executor->Footprint(100, 200, 4), position * (100 + 4 * 200));
  EXPECT_LE(executor->Footprint(100, 200, 4), position * (100 + 4 * 200) * 3 / 2);
  EXPECT_EQ(MakeTiny("v1_0", {.precision = Precision::kBf16})->Footprint(64, 64, 1) * 2,
            executor->Footprint(64, 64, 1));
}

}  // namespace
}  // namespace petit::torch_executor
