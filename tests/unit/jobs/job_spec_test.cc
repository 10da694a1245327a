// The fields of a spec, and their defaults.
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/unit/jobs/job_spec_fixture.h"

namespace petit::serving {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST_F(JobSpecTest, FillsInTheDefaultsThatTheProtoPromises) {
  const auto task = Resolve(Good());
  ASSERT_TRUE(task.ok()) << task.status();
  v1::JobSpec expected = Good();
  ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(R"(
    loss { temperature: 2 divergence: FORWARD_KL }
    optimizer { kind: ADAMW learning_rate: 1e-5 schedule: LINEAR weight_decay: 0.01 beta1: 0.9 beta2: 0.999
                epsilon: 1e-8 max_gradient_norm: 1 }
    training { epochs: 3 batch_size: 32 micro_batch_size: 32 max_source_tokens: 128 max_target_tokens: 128 dropout: 0.1
               precision: FP32 eval_steps: 1 checkpoint_seconds: 60 }
    resources { device: "cpu" threads: 2 tasks: 1 })",
                                                            &expected));
  expected.mutable_arms(0)->set_name("alpha-0.25");
  expected.mutable_arms(0)->set_learning_rate(1e-5);
  expected.mutable_arms(1)->set_name("alpha-0.5");
  expected.mutable_arms(1)->set_alpha(0.5);
  expected.mutable_arms(1)->set_learning_rate(1e-5);
  expected.mutable_train(0)->set_take(10);
  expected.mutable_train(0)->set_share(10);
  expected.mutable_train(0)->set_labels(v1::TrainingSet::REFERENCE);
  expected.mutable_dev(0)->set_take(4);
  google::protobuf::util::MessageDifferencer differencer;
  std::string difference;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(expected, task->spec())) << difference;
}

TEST_F(JobSpecTest, ACompleteSpecIsLeftAsItIs) {
  for (v1::JobSpec spec : {Good(), Plain()}) {
    spec.mutable_resources()->set_device("cuda");
    const auto once = Resolve(spec);
    ASSERT_TRUE(once.ok()) << once.status();
    const auto twice = Resolve(once->spec());
    ASSERT_TRUE(twice.ok()) << twice.status();
    EXPECT_EQ(once->DebugString(), twice->DebugString());
  }
}

TEST_F(JobSpecTest, DefaultsFollowTheConfiguration) {
  settings_.device = "cuda:1";
  settings_.threads = 3;
  settings_.max_memory_bytes = 1 << 30;
  const auto task = Resolve(Good());
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->device(), "cuda:1");
  EXPECT_EQ(task->threads(), 3);
  EXPECT_EQ(task->spec().resources().memory_bytes(), 1 << 30);
}

TEST_F(JobSpecTest, TheScaledOptimizerHasALearningRateOfItsOwn) {
  v1::JobSpec spec = Good();
  spec.mutable_optimizer()->set_kind(v1::OptimizerOptions::ADAMW_RMS_SCALED);
  const auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().optimizer().learning_rate(), 1e-2);
  EXPECT_EQ(task->spec().arms(0).learning_rate(), 1e-2);
}

TEST_F(JobSpecTest, ExplicitZeroesAreKept) {
  v1::JobSpec spec = Good();
  spec.mutable_optimizer()->set_weight_decay(0);
  spec.mutable_optimizer()->set_max_gradient_norm(0);
  spec.mutable_training()->set_dropout(0);
  spec.mutable_arms(0)->set_alpha(0);
  const auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().optimizer().weight_decay(), 0);
  EXPECT_EQ(task->spec().optimizer().max_gradient_norm(), 0);
  EXPECT_EQ(task->spec().training().dropout(), 0);
  EXPECT_EQ(task->spec().arms(0).alpha(), 0);
  EXPECT_EQ(task->spec().arms(0).name(), "alpha-0");
}

TEST_F(JobSpecTest, ArmsAreNamedAfterWhatDiffers) {
  v1::JobSpec spec = Good();
  spec.mutable_arms(1)->set_alpha(0.25);
  spec.mutable_arms(1)->set_learning_rate(1e-4);
  spec.add_arms()->set_name("mine");
  const auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().arms(0).name(), "alpha-0.25-lr-1e-05");
  EXPECT_EQ(task->spec().arms(1).name(), "alpha-0.25-lr-1e-04");
  EXPECT_EQ(task->spec().arms(2).name(), "mine");
}

TEST_F(JobSpecTest, NumbersStayInTheirRange) {
  std::vector<Mistake> mistakes = {
      {[](auto* s) { s->mutable_training()->set_epochs(2147483648.0); }, "training.epochs", "at most 10000"},
      {[](auto* s) { s->mutable_training()->set_epochs(-1); }, "training.epochs"},
      {[](auto* s) { s->mutable_training()->set_epochs(kNan); }, "training.epochs"},
      {[](auto* s) { s->mutable_training()->set_steps(-1); }, "training.steps"},
      {[](auto* s) { s->mutable_training()->set_steps(std::int64_t{1} << 62); }, "training.steps"},
      {[](auto* s) { s->mutable_training()->set_batch_size(-1); }, "training.batch_size"},
      {[](auto* s) { s->mutable_training()->set_batch_size(1 << 30); }, "training.batch_size"},
      {[](auto* s) { s->mutable_training()->set_micro_batch_size(-1); }, "training.micro_batch_size"},
      {[](auto* s) { s->mutable_training()->set_micro_batch_size(33); }, "training.micro_batch_size", "32"},
      {[](auto* s) { s->mutable_training()->set_max_source_tokens(1); }, "training.max_source_tokens"},
      {[](auto* s) { s->mutable_training()->set_max_target_tokens(-5); }, "training.max_target_tokens"},
      {[](auto* s) { s->mutable_training()->set_dropout(1); }, "training.dropout", "below 1"},
      {[](auto* s) { s->mutable_training()->set_dropout(kNan); }, "training.dropout"},
      {[](auto* s) { s->mutable_training()->set_eval_steps(-1); }, "training.eval_steps"},
      {[](auto* s) { s->mutable_training()->set_checkpoint_seconds(-1); }, "training.checkpoint_seconds"},
      {[](auto* s) { s->mutable_training()->set_checkpoint_seconds(kInf); }, "training.checkpoint_seconds"},
      {[](auto* s) { s->mutable_optimizer()->set_warmup_steps(-1); }, "optimizer.warmup_steps"},
      {[](auto* s) { s->mutable_optimizer()->set_weight_decay(-1); }, "optimizer.weight_decay"},
      {[](auto* s) { s->mutable_optimizer()->set_beta1(1); }, "optimizer.beta1"},
      {[](auto* s) { s->mutable_optimizer()->set_beta2(kNan); }, "optimizer.beta2"},
      {[](auto* s) { s->mutable_optimizer()->set_epsilon(0); }, "optimizer.epsilon", "above 0"},
      {[](auto* s) { s->mutable_optimizer()->set_max_gradient_norm(-1); }, "optimizer.max_gradient_norm"},
      {[](auto* s) { s->mutable_loss()->set_temperature(-1); }, "loss.temperature"},
      {[](auto* s) { s->mutable_loss()->set_temperature(kInf); }, "loss.temperature"},
      {[](auto* s) { s->mutable_loss()->set_hidden_state_weight(kNan); }, "loss.hidden_state_weight"},
      {[](auto* s) { s->mutable_loss()->set_label_smoothing(1); }, "loss.label_smoothing"},
      {[](auto* s) { s->mutable_train(0)->set_share(kNan); }, "train[0].share"},
      {[](auto* s) { s->mutable_train(0)->set_share(-1); }, "train[0].share"},
      {[](auto* s) { s->mutable_train(0)->set_skip(-1); }, "train[0].skip"},
      {[](auto* s) { s->mutable_train(0)->set_take(-1); }, "train[0].take"},
      {[](auto* s) { s->mutable_dev(0)->set_skip(-1); }, "dev[0].skip"},
      {[](auto* s) { s->mutable_dev(0)->set_take(-1); }, "dev[0].take"},
      {[](auto* s) { s->mutable_resources()->set_threads(9); }, "resources.threads", "between 1 and 8"},
      {[](auto* s) { s->mutable_resources()->set_threads(-1); }, "resources.threads"},
      {[](auto* s) { s->mutable_resources()->set_memory_bytes(1000); }, "resources.memory_bytes"},
      {[](auto* s) { s->mutable_resources()->set_memory_bytes(-1); }, "resources.memory_bytes"},
      {[](auto* s) { s->mutable_resources()->set_memory_bytes(std::int64_t{1} << 60); }, "resources.memory_bytes"},
      {[](auto* s) { s->mutable_resources()->set_tasks(-1); }, "resources.tasks"},
      {[](auto* s) { s->mutable_teacher_cache()->set_top_k(-1); }, "teacher_cache.top_k"},
      {[](auto* s) { s->mutable_teacher_cache()->set_top_k(384); }, "teacher_cache.top_k", "below"}};
  for (const double alpha : {1.5, -0.1, kNan, kInf}) {
    mistakes.push_back({[=](auto* s) { s->mutable_arms(1)->set_alpha(alpha); }, "arms[1].alpha"});
  }
  for (const double rate : {-1.0, kNan, kInf, 11.0}) {
    mistakes.push_back({[=](auto* s) { s->mutable_optimizer()->set_learning_rate(rate); }, "optimizer.learning_rate"});
  }
  for (const double rate : {0.0, -1.0, kNan, kInf, 11.0}) {
    mistakes.push_back({[=](auto* s) { s->mutable_arms(0)->set_learning_rate(rate); }, "arms[0].learning_rate"});
  }
  ExpectRefused(mistakes, Good());
}

TEST_F(JobSpecTest, EnumsOfALaterClientAreRefused) {
  ExpectRefused({{[](auto* s) { s->mutable_loss()->set_divergence(static_cast<v1::LossOptions::Divergence>(9)); },
                  "loss.divergence", "FORWARD_KL"},
                 {[](auto* s) { s->mutable_optimizer()->set_kind(static_cast<v1::OptimizerOptions::Kind>(9)); },
                  "optimizer.kind", "ADAMW"},
                 {[](auto* s) { s->mutable_optimizer()->set_schedule(static_cast<v1::OptimizerOptions::Schedule>(9)); },
                  "optimizer.schedule", "COSINE"},
                 {[](auto* s) { s->mutable_training()->set_precision(static_cast<v1::TrainingOptions::Precision>(9)); },
                  "training.precision", "BF16"},
                 {[](auto* s) { s->mutable_train(0)->set_labels(static_cast<v1::TrainingSet::Labels>(9)); },
                  "train[0].labels", "REFERENCE"}},
                Good());
}

TEST_F(JobSpecTest, WhatMustBeThereIsAskedFor) {
  ExpectRefused({{[](auto* s) { s->clear_arms(); }, "arms", "at least one"},
                 {[](auto* s) { s->clear_train(); }, "train", "at least one"},
                 {[](auto* s) { s->clear_dev(); }, "dev", "at least one"},
                 {[](auto* s) { s->clear_student(); }, "student", "teacher_layers"},
                 {[](auto* s) { s->mutable_train(0)->clear_path(); }, "train[0].path", "missing"},
                 {[](auto* s) { s->mutable_train(0)->clear_source_language(); }, "train[0].source_language"},
                 {[](auto* s) { s->mutable_dev(0)->clear_target_language(); }, "dev[0].target_language"},
                 {[](auto* s) { s->mutable_dev(0)->clear_path(); }, "dev[0].path"},
                 {[](auto* s) { s->mutable_dev(0)->clear_name(); }, "dev[0].name"}},
                Good());
}

TEST_F(JobSpecTest, NamesDifferAndAreFitForPaths) {
  std::vector<Mistake> mistakes = {
      {[](auto* s) { s->mutable_arms(1)->set_alpha(0.25); }, "arms[1].name", "arms[0]"},
      {[](auto* s) {
         s->mutable_arms(0)->set_name("a");
         s->mutable_arms(1)->set_name("a");
       },
       "arms[1].name", "\"a\""},
      {[](auto* s) { s->mutable_arms(0)->set_name("alpha-0.5"); }, "arms[1].name", "alpha-0.5"},
      {[](auto* s) { *s->add_dev() = s->dev(0); }, "dev[1].name", "names must differ"}};
  for (const std::string& name : {std::string("a b"), std::string("../x"), std::string("."), std::string("a/b"),
                                  std::string("\303\251"), std::string(65, 'a'), std::string("a\0b", 3)}) {
    mistakes.push_back({[=](auto* s) { s->mutable_arms(0)->set_name(name); }, "arms[0].name", "64"});
    mistakes.push_back({[=](auto* s) { s->mutable_dev(0)->set_name(name); }, "dev[0].name", "64"});
  }
  ExpectRefused(mistakes, Good());
}

TEST_F(JobSpecTest, CountsAreBounded) {
  ExpectRefused({{[](auto* s) {
                    for (int i = 0; i < 100; ++i) s->add_arms()->set_alpha(i / 128.0);
                  },
                  "arms", "at most 64"},
                 {[](auto* s) {
                    for (int i = 0; i < 100; ++i) *s->add_train() = s->train(0);
                  },
                  "train", "64"},
                 {[](auto* s) {
                    for (int i = 0; i < 100; ++i) {
                      *s->add_dev() = s->dev(0);
                      s->mutable_dev(i + 1)->set_name(absl::StrCat("dev", i));
                    }
                  },
                  "dev", "64"}},
                Good());
}

TEST_F(JobSpecTest, ARunIsAsLongAsOneFieldSays) {
  ExpectRefused(
      {{[](auto* s) {
          s->mutable_training()->set_epochs(1);
          s->mutable_training()->set_steps(10);
        },
        "training.steps", "epochs"},
       // 10 pairs, 3 times, in batches of 32: one step.
       {[](auto* s) { s->mutable_optimizer()->set_warmup_steps(1); }, "optimizer.warmup_steps", "has 1 steps"},
       {[](auto* s) {
          s->mutable_training()->set_steps(10);
          s->mutable_optimizer()->set_warmup_steps(10);
        },
        "optimizer.warmup_steps", "has 10 steps"}},
      Good());
}

TEST_F(JobSpecTest, EvaluatesTenTimesInARun) {
  v1::JobSpec spec = Good();
  spec.mutable_training()->set_epochs(10);
  spec.mutable_training()->set_batch_size(1);
  auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().training().eval_steps(), 10);
  spec.mutable_training()->clear_epochs();
  spec.mutable_training()->set_steps(57);
  task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().training().eval_steps(), 5);
  EXPECT_EQ(task->spec().training().epochs(), 0);
}

TEST_F(JobSpecTest, DevicesHaveTheSyntaxOfTorch) {
  for (const auto& [device, name] : std::map<std::string, std::string>{
           {"cpu", "cpu"}, {"cuda", "cuda:0"}, {"cuda:0", "cuda:0"}, {"cuda:3", "cuda:3"}}) {
    v1::JobSpec spec = Good();
    spec.mutable_resources()->set_device(device);
    const auto task = Resolve(spec);
    ASSERT_TRUE(task.ok()) << task.status();
    EXPECT_EQ(task->device(), name);
  }
  for (const char* device : {"gpu", "CPU", "cuda:", "cuda:-1", "cuda:01", "cpu:0", "cuda:0 "}) {
    ExpectRefused({{[=](auto* s) { s->mutable_resources()->set_device(device); }, "resources.device", "cuda:0"}},
                  Good());
  }
}

TEST_F(JobSpecTest, SeveralTasksNeedSlurm) {
  ExpectRefused({{[](auto* s) { s->mutable_resources()->set_tasks(2); }, "resources.tasks", "SLURM"}}, Good());
  settings_.launcher = LauncherKind::kSlurm;
  v1::JobSpec spec = Good();
  spec.mutable_resources()->set_tasks(4);
  const auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().training().micro_batch_size(), 8);
  ExpectRefused({{[](auto* s) { s->mutable_resources()->set_tasks(3); }, "training.batch_size", "multiple"}}, Good());
}

TEST_F(JobSpecTest, HalvingNeedsArmsToDrop) {
  v1::JobSpec spec = Good();
  spec.mutable_halving()->set_enabled(true);
  ExpectRefused({{[](auto* s) { s->mutable_arms()->RemoveLast(); }, "halving.enabled", "more arms"}}, spec);
}

}  // namespace
}  // namespace petit::serving
