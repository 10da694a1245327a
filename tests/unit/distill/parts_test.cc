// The trainer's parts alone: sampling, schedules, kernels against LibTorch's own, the teacher's cache.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "models/distill/arm.h"
#include "models/distill/functions.h"
#include "models/distill/module.h"
#include "models/distill/sampler.h"
#include "models/distill/teacher_cache.h"
#include "models/t5/relative_position.h"

namespace petit::distill {
namespace {

using testing::ElementsAre;

TEST(Sampler, EveryPassSeesEachExampleOnceInANewOrder) {
  Sampler sampler({{.size = 50, .share = 1}}, 3);
  std::vector<std::vector<std::size_t>> passes(2);
  for (auto& pass : passes) {
    for (int i = 0; i < 50; ++i) pass.push_back(sampler.Next().index);
    EXPECT_EQ(std::set<std::size_t>(pass.begin(), pass.end()).size(), 50);
  }
  EXPECT_NE(passes[0], passes[1]);
}

TEST(Sampler, SharesHoldAtEveryMoment) {
  Sampler sampler({{.size = 10, .share = 7}, {.size = 1000, .share = 3}}, 0);
  int second = 0;
  for (int i = 1; i <= 200; ++i) {
    second += sampler.Next().set == 1 ? 1 : 0;
    EXPECT_NEAR(second, 0.3 * i, 1.0);
  }
}

TEST(Sampler, SkippingIsAsGoodAsPicking) {
  Sampler walked({{.size = 7, .share = 1}, {.size = 5, .share = 2}}, 9);
  Sampler skipped({{.size = 7, .share = 1}, {.size = 5, .share = 2}}, 9);
  for (int i = 0; i < 33; ++i) walked.Next();
  skipped.Skip(33);
  for (int i = 0; i < 20; ++i) {
    const Sampler::Pick a = walked.Next();
    const Sampler::Pick b = skipped.Next();
    EXPECT_EQ(std::pair(a.set, a.index), std::pair(b.set, b.index));
  }
}

TEST(Sampler, AnEpochSeesTheOwnSetsOnceBesideTheReplay) {
  EXPECT_EQ(EpochPicks({{.size = 100, .share = 0.8}, {.size = 9999, .share = 0.2}}, {false, true}), 125);
}

TEST(Layers, KeepsTheFirstAndTheLastEvenlySpaced) {
  EXPECT_THAT(EvenlySpaced(4, 2), ElementsAre(0, 3));
  EXPECT_THAT(EvenlySpaced(24, 4), ElementsAre(0, 8, 15, 23));
  EXPECT_THAT(EvenlySpaced(3, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(EvenlySpaced(6, 1), ElementsAre(0));
}

TEST(Schedules, WarmUpThenFall) {
  OptimizerSettings settings;
  settings.warmup_steps = 10;
  EXPECT_DOUBLE_EQ(ScheduleFactor(settings, 0, 110), 0.1);
  EXPECT_DOUBLE_EQ(ScheduleFactor(settings, 9, 110), 1);
  EXPECT_DOUBLE_EQ(ScheduleFactor(settings, 60, 110), 0.5);
  settings.schedule = Schedule::kCosine;
  EXPECT_NEAR(ScheduleFactor(settings, 60, 110), 0.5, 1e-12);
  settings.schedule = Schedule::kConstant;
  EXPECT_DOUBLE_EQ(ScheduleFactor(settings, 109, 110), 1);
}

TEST(Dropout, KeepsTheMeanAndIsAFunctionOfItsKey) {
  const at::Tensor x = at::ones({200, 500});
  DropoutKeys one(5);
  DropoutKeys again(5);
  DropoutKeys other(6);
  const at::Tensor a = Dropout(x, 0.1, &one);
  EXPECT_TRUE(at::equal(a, Dropout(x, 0.1, &again)));
  EXPECT_FALSE(at::equal(a, Dropout(x, 0.1, &other)));
  EXPECT_NEAR(a.mean().item<double>(), 1, 0.01);
  EXPECT_NEAR((a == 0).to(at::kFloat).mean().item<double>(), 0.1, 0.005);
  // Neighbouring rows and columns do not share their fate.
  const at::Tensor dropped = (a == 0).to(at::kFloat);
  EXPECT_NEAR((dropped.narrow(1, 0, 499) * dropped.narrow(1, 1, 499)).mean().item<double>(), 0.01, 0.002);
  EXPECT_NEAR((dropped.narrow(0, 0, 199) * dropped.narrow(0, 1, 199)).mean().item<double>(), 0.01, 0.002);
}

TEST(Attention, DropoutOfTheKernelIsUnbiasedAndItsGradientIsOfTheSameMask) {
  const std::vector<int> lengths = {3, 7};
  const at::Tensor qkv = at::randn({10, 3 * 16}).set_requires_grad(true);
  const auto run = [&](double dropout, std::uint64_t key) {
    return Attention({.queries = qkv,
                      .memory = at::Tensor(),
                      .query_lengths = lengths,
                      .key_lengths = lengths,
                      .heads = 2,
                      .head_width = 8,
                      .causal = true,
                      .bias_table = at::Tensor(),
                      .dropout = dropout,
                      .dropout_key = key});
  };
  const at::Tensor plain = run(0, 0).detach();
  at::Tensor mean = at::zeros_like(plain);
  for (std::uint64_t key = 0; key < 3000; ++key) mean.add_(run(0.3, key).detach(), 1.0 / 3000);
  EXPECT_LT((mean - plain).abs().max().item<double>(), 0.08);

  // The gradient along a direction against finite differences, with one mask.
  const at::Tensor direction = at::randn_like(qkv);
  const at::Tensor weight = at::randn({10, 16});
  const at::Tensor y = run(0.3, 42);
  torch::autograd::backward({(y * weight).sum()});
  const double slope = (qkv.grad() * direction).sum().item<double>();
  const double step = 1e-2;
  const auto value = [&](double by) {
    const at::Tensor saved = qkv.detach().clone();
    qkv.detach().add_(direction, by);
    const double result = (run(0.3, 42).detach() * weight).sum().item<double>();
    qkv.detach().copy_(saved);
    return result;
  };
  EXPECT_NEAR(slope, (value(step) - value(-step)) / (2 * step), 0.02 * std::max(1.0, std::abs(slope)));
}

class TeacherCacheTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove(path_); }
  void TearDown() override { std::filesystem::remove(path_); }
  static CachedExample Example(int tokens) {
    CachedExample example;
    for (int i = 0; i < tokens; ++i) {
      example.rest.push_back(-0.5F * static_cast<float>(i));
      for (int j = 0; j < 2; ++j) {
        example.ids.push_back(10 * i + j);
        example.log_probs.push_back(-1.0F * static_cast<float>(j));
      }
    }
    return example;
  }
  const std::string path_ = testing::TempDir() + "/petit_teacher_cache_" + std::to_string(getpid());
};

TEST_F(TeacherCacheTest, GivesBackWhatWasAddedAlsoToALaterOpener) {
  {
    auto cache = TeacherCache::Open(path_, 2);
    ASSERT_TRUE(cache.ok()) << cache.status();
    ASSERT_TRUE((*cache)->Add(5, Example(3)).ok());
    ASSERT_TRUE((*cache)->Add(6, Example(1)).ok());
  }
  auto cache = TeacherCache::Open(path_, 2);
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_EQ((*cache)->size(), 2);
  const auto read = (*cache)->Read(5);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ids, Example(3).ids);
  EXPECT_EQ(read->log_probs, Example(3).log_probs);
  EXPECT_EQ(read->rest, Example(3).rest);
  EXPECT_EQ((*cache)->Read(7).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TeacherCacheTest, ARecordCutOffByACrashIsForgotten) {
  {
    auto cache = TeacherCache::Open(path_, 2);
    ASSERT_TRUE((*cache)->Add(5, Example(3)).ok());
    ASSERT_TRUE((*cache)->Add(6, Example(4)).ok());
  }
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 7);
  auto cache = TeacherCache::Open(path_, 2);
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_TRUE((*cache)->Contains(5));
  EXPECT_FALSE((*cache)->Contains(6));
  ASSERT_TRUE((*cache)->Add(6, Example(4)).ok());
  EXPECT_TRUE((*cache)->Read(6).ok());
}

TEST_F(TeacherCacheTest, ADamagedRecordIsAnErrorThatSaysWhatToDo) {
  {
    auto cache = TeacherCache::Open(path_, 2);
    ASSERT_TRUE((*cache)->Add(5, Example(3)).ok());
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(50);
    file.put('\x55');
  }
  auto cache = TeacherCache::Open(path_, 2);
  ASSERT_TRUE(cache.ok()) << cache.status();
  const absl::Status status = (*cache)->Read(5).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("remove the file"));
}

TEST_F(TeacherCacheTest, OfTwoOpenersOneWritesAndBothRead) {
  auto first = TeacherCache::Open(path_, 2);
  ASSERT_TRUE((*first)->Add(5, Example(3)).ok());
  auto second = TeacherCache::Open(path_, 2);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE((*second)->Read(5).ok());
  ASSERT_TRUE((*second)->Add(6, Example(1)).ok());
  EXPECT_TRUE((*second)->Read(6).ok());
  EXPECT_FALSE((*first)->Contains(6));
}

TEST_F(TeacherCacheTest, AnotherKIsAnotherFile) {
  { ASSERT_TRUE(TeacherCache::Open(path_, 2).ok()); }
  EXPECT_EQ(TeacherCache::Open(path_, 3).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace petit::distill
