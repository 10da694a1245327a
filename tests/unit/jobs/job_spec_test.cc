#include "server/jobs/job_spec.h"

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

class FakeModels final : public JobModels {
 public:
  absl::StatusOr<ModelForJob> Find(const std::string& model) const override {
    const auto found = models.find(model);
    if (found == models.end()) return absl::NotFoundError(absl::StrCat("there is no model '", model, "'"));
    return found->second;
  }
  absl::Status Serve(const std::string& /*model*/, std::int64_t /*version*/) override {
    return absl::UnimplementedError("resolving a spec must serve nothing");
  }

  std::map<std::string, ModelForJob> models;
};

// A data root with 10 pairs in train.tsv and 4 in dev.tsv, and models "teacher", "student" (another checkpoint of the
// same vocabulary, tokenizer and width), "versioned", "pinned" and "idle".
class JobSpecTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "petit_spec_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = std::filesystem::canonical(pattern);
    std::filesystem::create_directories(base_ / "data");
    std::string pairs;
    for (int i = 0; i < 10; ++i) pairs += absl::StrCat("source ", i, "\ttarget ", i, "\n");
    Write("train.tsv", pairs);
    Write("dev.tsv", "a\tb\nc\td\ne\tf\ng\th\n");
    settings_.root = base_ / "jobs";
    settings_.data_root = base_ / "data";
    settings_.threads = 2;
    settings_.max_threads = 8;
    const std::vector<Prompt> prompts = {{"en", "fr", "translate English to French: "}, {"fr", "en", "back: "}};
    models_.models["teacher"] = Served(Tiny("teacher", ""), prompts);
    models_.models["student"] = Served(Tiny("student", ""), {{"en", "fr", "to French: "}});
    models_.models["versioned"] = {.checkpoint = "", .prompts = prompts, .versions_root = base_ / "versions"};
    models_.models["pinned"] = {
        .checkpoint = "", .prompts = prompts, .versions_root = base_ / "versions", .version_is_pinned = true};
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  void Write(const std::string& name, absl::string_view text) {
    std::ofstream(base_ / "data" / name, std::ios::binary)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
  }

  // The part of the tiny checkpoint that specs look at, with `fields` in place of what config.json says.
  std::string Tiny(const std::string& name, absl::string_view fields, absl::string_view tokenizer_tail = "") {
    const std::filesystem::path tiny = PETIT_SOURCE_DIR "/tests/data/tiny/v1_1";
    const std::filesystem::path directory = base_ / name;
    std::filesystem::create_directories(directory);
    std::filesystem::copy_file(tiny / "spiece.model", directory / "spiece.model");
    std::ofstream(directory / "spiece.model", std::ios::app) << std::string(tokenizer_tail);
    std::ofstream(directory / "config.json")
        << (fields.empty() ? std::string(R"("vocab_size": 384, "d_model": 48)") : std::string(fields))
               .insert(0, R"({"model_type": "t5", "d_kv": 10, "d_ff": 64, "num_heads": 3, "num_layers": 3,
                           "num_decoder_layers": 2, "dropout_rate": 0.1, "feed_forward_proj": "gated-gelu", )")
        << "}";
    return directory;
  }

  static ModelForJob Served(const std::string& checkpoint, const std::vector<Prompt>& prompts) {
    ModelForJob model;
    model.checkpoint = checkpoint;
    model.prompts = prompts;
    return model;
  }

  static v1::JobSpec Good() {
    v1::JobSpec spec;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
      teacher: "teacher"  student { model: "student" }
      arms { alpha: 0.25 }  arms {}
      train { path: "train.tsv" source_language: "en" target_language: "fr" }
      dev { name: "dev" path: "dev.tsv" source_language: "en" target_language: "fr" })",
                                                              &spec));
    return spec;
  }
  static v1::JobSpec Plain() {
    v1::JobSpec spec = Good();
    spec.clear_teacher();
    spec.clear_arms();
    spec.add_arms()->set_alpha(0);
    return spec;
  }

  absl::StatusOr<worker::v1::WorkerTask> Resolve(const v1::JobSpec& spec) {
    return ResolveJobSpec(spec, settings_, models_);
  }

  struct Mistake {
    std::function<void(v1::JobSpec*)> make;
    std::string begins;  // of the message
    std::string has = "";
  };
  void ExpectRefused(const std::vector<Mistake>& mistakes, const v1::JobSpec& good) {
    ASSERT_TRUE(Resolve(good).ok()) << Resolve(good).status();
    for (const Mistake& mistake : mistakes) {
      v1::JobSpec spec = good;
      mistake.make(&spec);
      const auto task = Resolve(spec);
      EXPECT_EQ(task.status().code(), absl::StatusCode::kInvalidArgument) << mistake.begins << ": " << task.status();
      EXPECT_THAT(std::string(task.status().message()),
                  AllOf(StartsWith(mistake.begins + ": "), HasSubstr(mistake.has)));
    }
  }

  std::filesystem::path base_;
  JobsSettings settings_;
  FakeModels models_;
};

TEST_F(JobSpecTest, ResolvesNamesToPaths) {
  const auto task = Resolve(Good());
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->teacher_name(), "teacher");
  EXPECT_EQ(task->teacher_checkpoint(), (base_ / "teacher").string());
  EXPECT_EQ(task->student_checkpoint(), (base_ / "student").string());
  ASSERT_EQ(task->train_size(), 1);
  EXPECT_EQ(task->train(0).path(), (base_ / "data" / "train.tsv").string());
  EXPECT_EQ(task->train(0).prefix(), "translate English to French: ") << "the teacher's, not the student's";
  EXPECT_EQ(task->dev(0).path(), (base_ / "data" / "dev.tsv").string());
  EXPECT_EQ(task->device(), "cpu");
  EXPECT_EQ(task->threads(), 2);
  EXPECT_THAT(task->build(), StartsWith("petit "));
  EXPECT_EQ(task->job(), "");
  EXPECT_EQ(task->job_directory(), "");
  EXPECT_EQ(task->cache_directory(), "");
}

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

TEST_F(JobSpecTest, ModelsMayBeNamedAsResources) {
  v1::JobSpec spec = Good();
  spec.set_teacher("models/teacher");
  spec.mutable_student()->set_model("models/student");
  spec.set_publish_as("models/versioned");
  const auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().teacher(), "teacher");
  EXPECT_EQ(task->spec().student().model(), "student");
  EXPECT_EQ(task->spec().publish_as(), "versioned");
}

TEST_F(JobSpecTest, PlainTrainingTakesTheStudentsPrompts) {
  const auto task = Resolve(Plain());
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->teacher_checkpoint(), "");
  EXPECT_EQ(task->teacher_name(), "");
  EXPECT_EQ(task->train(0).prefix(), "to French: ");
}

TEST_F(JobSpecTest, WithoutATeacherNothingMayWantOne) {
  ExpectRefused(
      {{[](auto* s) { s->mutable_arms(0)->set_alpha(0.5); }, "arms[0].alpha", "set teacher"},
       {[](auto* s) { s->mutable_arms(0)->clear_alpha(); }, "arms[0].alpha", "default is 0.5"},
       {[](auto* s) { s->mutable_loss()->set_hidden_state_weight(1); }, "loss.hidden_state_weight"},
       {[](auto* s) { s->mutable_train(0)->set_labels(v1::TrainingSet::TEACHER_GREEDY); }, "train[0].labels"},
       {[](auto* s) { s->mutable_train(0)->set_labels(v1::TrainingSet::TEACHER_BEAM); }, "train[0].labels"},
       {[](auto* s) { s->mutable_teacher_cache()->set_top_k(8); }, "teacher_cache.top_k"},
       {[](auto* s) { s->mutable_student()->mutable_teacher_layers(); }, "student.teacher_layers", "student.model"},
       {[](auto* s) { s->mutable_student()->mutable_random()->set_d_model(8); }, "student.random", "set teacher"}},
      Plain());
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

TEST_F(JobSpecTest, ModelsMustBeServed) {
  for (const auto& [make, begins] : std::vector<std::pair<std::function<void(v1::JobSpec*)>, std::string>>{
           {[](auto* s) { s->set_teacher("nobody"); }, "teacher: there is no model 'nobody'"},
           {[](auto* s) { s->mutable_student()->set_model("nobody"); }, "student.model: there is no model 'nobody'"},
           {[](auto* s) { s->mutable_student()->set_model(""); }, "student.model: there is no model ''"},
           {[](auto* s) { s->set_teacher("models/"); }, "teacher: there is no model 'models/'"},
           {[](auto* s) { s->set_publish_as("nobody"); }, "publish_as: there is no model 'nobody'"}}) {
    v1::JobSpec spec = Good();
    make(&spec);
    const auto task = Resolve(spec);
    EXPECT_EQ(task.status().code(), absl::StatusCode::kNotFound) << task.status();
    EXPECT_THAT(std::string(task.status().message()), StartsWith(begins));
  }
  v1::JobSpec spec = Good();
  spec.set_teacher("versioned");
  const auto task = Resolve(spec);
  EXPECT_EQ(task.status().code(), absl::StatusCode::kUnavailable) << task.status();
  EXPECT_THAT(std::string(task.status().message()), StartsWith("teacher: model 'versioned' serves no version"));
}

TEST_F(JobSpecTest, TeacherAndStudentShareVocabularyAndTokenizer) {
  models_.models["wide"] = Served(Tiny("wide", R"("vocab_size": 400, "d_model": 48)"), {});
  models_.models["foreign"] = Served(Tiny("foreign", "", "x"), {});
  models_.models["bare"] = Served(Tiny("bare", ""), {});
  std::filesystem::remove(base_ / "bare" / "spiece.model");
  models_.models["broken"] = Served(Tiny("broken", R"("vocab_size": "many")"), {});
  ExpectRefused({{[](auto* s) { s->mutable_student()->set_model("wide"); }, "student.model", "400 ids"},
                 {[](auto* s) { s->mutable_student()->set_model("foreign"); }, "student.model", "different tokenizers"},
                 {[](auto* s) { s->mutable_student()->set_model("bare"); }, "student.model", "spiece.model"},
                 {[](auto* s) { s->mutable_student()->set_model("broken"); }, "student.model", "vocab_size"}},
                Good());
  v1::JobSpec itself = Good();
  itself.mutable_student()->set_model("teacher");
  EXPECT_TRUE(Resolve(itself).ok());
}

TEST_F(JobSpecTest, HiddenStatesAreComparedAtOneWidth) {
  models_.models["narrow"] = Served(Tiny("narrow", R"("vocab_size": 384, "d_model": 32)"), {});
  v1::JobSpec spec = Good();
  spec.mutable_loss()->set_hidden_state_weight(0.5);
  ExpectRefused({{[](auto* s) { s->mutable_student()->set_model("narrow"); }, "loss.hidden_state_weight", "48"},
                 {[](auto* s) { s->mutable_teacher_cache()->set_top_k(8); }, "teacher_cache.top_k", "hidden states"}},
                spec);
  v1::StudentInit::Random* random = spec.mutable_student()->mutable_random();
  for (auto set :
       {&v1::StudentInit::Random::set_d_kv, &v1::StudentInit::Random::set_d_ff, &v1::StudentInit::Random::set_num_heads,
        &v1::StudentInit::Random::set_encoder_layers, &v1::StudentInit::Random::set_decoder_layers}) {
    (random->*set)(4);
  }
  random->set_d_model(48);
  ExpectRefused(
      {{[](auto* s) { s->mutable_student()->mutable_random()->set_d_model(16); }, "loss.hidden_state_weight", "16"}},
      spec);
}

TEST_F(JobSpecTest, TeacherLayersAreSomeOfTheTeachers) {
  v1::JobSpec spec = Good();
  spec.mutable_student()->mutable_teacher_layers()->set_encoder_layers(1);
  const auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->student_checkpoint(), "");
  EXPECT_EQ(task->spec().student().teacher_layers().encoder_layers(), 1);
  EXPECT_EQ(task->spec().student().teacher_layers().decoder_layers(), 2);
  ExpectRefused({{[](auto* s) { s->mutable_student()->mutable_teacher_layers()->set_encoder_layers(4); },
                  "student.teacher_layers.encoder_layers", "between 1 and 3"},
                 {[](auto* s) { s->mutable_student()->mutable_teacher_layers()->set_decoder_layers(-1); },
                  "student.teacher_layers.decoder_layers"}},
                spec);
}

TEST_F(JobSpecTest, RandomStudentsHaveEverySizeGiven) {
  v1::JobSpec spec = Good();
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "random { d_model: 16 d_kv: 8 d_ff: 32 num_heads: 2 encoder_layers: 1 decoder_layers: 2 }",
      spec.mutable_student()));
  ExpectRefused(
      {{[](auto* s) { s->mutable_student()->mutable_random()->clear_d_model(); }, "student.random.d_model"},
       {[](auto* s) { s->mutable_student()->mutable_random()->clear_d_kv(); }, "student.random.d_kv"},
       {[](auto* s) { s->mutable_student()->mutable_random()->set_d_ff(-1); }, "student.random.d_ff"},
       {[](auto* s) { s->mutable_student()->mutable_random()->clear_num_heads(); }, "student.random.num_heads"},
       {[](auto* s) { s->mutable_student()->mutable_random()->clear_encoder_layers(); },
        "student.random.encoder_layers"},
       {[](auto* s) { s->mutable_student()->mutable_random()->clear_decoder_layers(); },
        "student.random.decoder_layers"},
       {[](auto* s) { s->mutable_student()->mutable_random()->set_d_model(1 << 30); }, "student.random", "d_model"}},
      spec);
}

TEST_F(JobSpecTest, StudentsArePublishedWhereVersionsMaySwitch) {
  models_.models["idle"] = Served("", {});
  ExpectRefused({{[](auto* s) { s->set_publish_as("teacher"); }, "publish_as", "fixed checkpoint"},
                 {[](auto* s) { s->set_publish_as("pinned"); }, "publish_as", "pinned"},
                 {[](auto* s) { s->set_publish_as("idle"); }, "publish_as", "fixed checkpoint"}},
                Good());
  v1::JobSpec spec = Good();
  spec.set_publish_as("versioned");  // which has no version yet
  EXPECT_TRUE(Resolve(spec).ok()) << Resolve(spec).status();
}

TEST_F(JobSpecTest, LanguagePairsNeedAPrompt) {
  ExpectRefused(
      {{[](auto* s) { s->mutable_train(0)->set_target_language("de"); }, "train[0].target_language",
        "it has: en-fr, fr-en"},
       {[](auto* s) { s->mutable_dev(0)->set_source_language("ko"); }, "dev[0].source_language", "model 'teacher'"}},
      Good());
  ExpectRefused({{[](auto* s) {
                    s->mutable_train(0)->set_source_language("fr");
                    s->mutable_train(0)->set_target_language("en");
                  },
                  "train[0].source_language", "model 'student'"}},
                Plain());
}

TEST_F(JobSpecTest, HalvingNeedsArmsToDrop) {
  v1::JobSpec spec = Good();
  spec.mutable_halving()->set_enabled(true);
  ExpectRefused({{[](auto* s) { s->mutable_arms()->RemoveLast(); }, "halving.enabled", "more arms"}}, spec);
}

TEST_F(JobSpecTest, DataMustBeThereAndBelowTheRoot) {
  std::ofstream(base_ / "secret.tsv") << "a\tb\n";
  std::filesystem::create_symlink(base_ / "secret.tsv", base_ / "data" / "link.tsv");
  std::filesystem::create_directories(base_ / "data" / "sub");
  std::vector<Mistake> mistakes;
  for (const auto& [path, what] : std::map<std::string, std::string>{{"gone.tsv", "No such file"},
                                                                     {"sub", "is a directory"},
                                                                     {"/etc/passwd", "is absolute"},
                                                                     {"../secret.tsv", "leads out"},
                                                                     {"link.tsv", "symbolic link"}}) {
    mistakes.push_back({[=](auto* s) { s->mutable_train(0)->set_path(path); }, "train[0].path", what});
    mistakes.push_back({[=](auto* s) { s->mutable_dev(0)->set_path(path); }, "dev[0].path", what});
  }
  ExpectRefused(mistakes, Good());
}

TEST_F(JobSpecTest, MalformedDataIsNamedByFileAndLine) {
  Write("bad.tsv", "a\tb\nc\n");
  Write("empty.tsv", "");
  ExpectRefused({{[](auto* s) { s->mutable_train(0)->set_path("bad.tsv"); }, "train[0].path", "bad.tsv:2: "},
                 {[](auto* s) { s->mutable_dev(0)->set_path("bad.tsv"); }, "dev[0].path", "bad.tsv:2: "},
                 // Also where only the good part is asked for.
                 {[](auto* s) {
                    s->mutable_train(0)->set_path("bad.tsv");
                    s->mutable_train(0)->set_take(1);
                  },
                  "train[0].path", "bad.tsv:2: "},
                 {[](auto* s) { s->mutable_train(0)->set_path("empty.tsv"); }, "train[0].path", "is empty"}},
                Good());
}

TEST_F(JobSpecTest, SkipsAndTakesWhatThereIs) {
  ExpectRefused({{[](auto* s) { s->mutable_train(0)->set_skip(10); }, "train[0].skip", "has 10 pairs"},
                 {[](auto* s) { s->mutable_dev(0)->set_skip(100); }, "dev[0].skip", "has 4 pairs"}},
                Good());
  v1::JobSpec spec = Good();
  spec.mutable_train(0)->set_skip(7);
  spec.mutable_train(0)->set_take(5);
  *spec.add_train() = Good().train(0);
  spec.mutable_train(1)->set_take(2);
  spec.mutable_train(1)->set_share(40);
  spec.mutable_train(1)->set_source_language("fr");
  spec.mutable_train(1)->set_target_language("en");
  spec.mutable_train(1)->set_swap_columns(true);
  spec.mutable_dev(0)->set_take(3);
  const auto task = Resolve(spec);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->spec().train(0).take(), 3);
  EXPECT_EQ(task->spec().train(0).share(), 3);
  EXPECT_EQ(task->spec().train(1).take(), 2);
  EXPECT_EQ(task->spec().train(1).share(), 40);
  EXPECT_EQ(task->train(1).prefix(), "back: ");
  EXPECT_EQ(task->spec().dev(0).take(), 3);
}

}  // namespace
}  // namespace petit::serving
