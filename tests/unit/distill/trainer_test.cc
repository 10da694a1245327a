#include "models/distill/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "models/checkpoint/checkpoint.h"
#include "tests/unit/distill/train_fixture.h"

namespace petit::distill {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class TrainerTest : public TrainTest {};

TEST_F(TrainerTest, EachArmBecomesACheckpointWithACard) {
  Recorder recorder;
  const auto outcome = Train(Job("job"), Score, &recorder, Never);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->stopped);
  EXPECT_EQ(outcome->step, 12);
  ASSERT_THAT(recorder.students, SizeIs(2));
  for (const std::string& student : recorder.students) {
    const auto checkpoint = checkpoint::Checkpoint::Open(student);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_THAT(ReadFile(student + "/README.md"), HasSubstr("| dev |"));
  }
  EXPECT_THAT(recorder.best, HasSubstr(outcome->best_arm));
}

TEST_F(TrainerTest, ReportsCrossEntropyAndKlSeparatelyForEachArm) {
  Recorder recorder;
  ASSERT_TRUE(Train(Job("job"), Score, &recorder, Never).ok());
  ASSERT_FALSE(recorder.progress.empty());
  const Progress& last = recorder.progress.back();
  EXPECT_EQ(last.step, 12);
  EXPECT_EQ(last.total_steps, 12);
  ASSERT_THAT(last.arms, SizeIs(2));
  for (const ArmProgress& arm : last.arms) {
    EXPECT_GT(arm.cross_entropy, 0);
    EXPECT_GT(arm.kl, 0);  // dropout sets the student apart from itself
    const double alpha = arm.arm == "low" ? 0.25 : 0.75;
    EXPECT_NEAR(arm.loss, alpha * 4 * arm.kl + (1 - alpha) * arm.cross_entropy, 1e-6);
  }
  // Before the first step, and at steps 5, 10 and 12, for both arms.
  EXPECT_THAT(recorder.scores, SizeIs(8));
  for (const DevScore& score : recorder.scores) EXPECT_TRUE(score.kl.has_value());
}

TEST_F(TrainerTest, TheTeacherRunsOncePerMicroBatchForAllArms) {
  Recorder recorder;
  Settings settings = Job("job");
  settings.dev[0].take = 1;
  ASSERT_TRUE(Train(settings, Score, &recorder, Never).ok());
  // 12 steps of 2 micro-batches; 4 evaluations of one batch, of which the last comes after the last progress.
  EXPECT_EQ(recorder.progress.back().teacher_forwards, 12 * 2 + 3);
}

TEST_F(TrainerTest, ResumesBitForBitWithDropoutOn) {
  Recorder whole;
  ASSERT_TRUE(Train(Job("whole"), Score, &whole, Never).ok());

  Settings settings = Job("parts");
  int attempt = 1;
  std::vector<std::int64_t> starts;
  for (;; ++attempt) {
    SetAttempt("parts", attempt, &settings);
    Recorder part;
    int asked = 0;
    const auto outcome = Train(settings, Score, &part, [&] { return ++asked > 20 * attempt; });
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    starts.push_back(part.starts.at(0));
    if (outcome->stopped) {
      // Usable as it is.
      EXPECT_TRUE(checkpoint::Checkpoint::Open(part.best).ok());
      ASSERT_LT(attempt, 30);
      continue;
    }
    ASSERT_EQ(part.students.size(), whole.students.size());
    for (std::size_t i = 0; i < whole.students.size(); ++i) {
      EXPECT_EQ(ReadFile(part.students[i] + "/model.safetensors"), ReadFile(whole.students[i] + "/model.safetensors"));
    }
    break;
  }
  EXPECT_GT(attempt, 2);
  EXPECT_EQ(starts[0], 0);
  EXPECT_GT(starts.back(), 0);
}

TEST_F(TrainerTest, OtherSettingsDoNotResumeAState) {
  Settings settings = Job("job");
  Recorder recorder;
  int asked = 0;
  ASSERT_TRUE(Train(settings, Score, &recorder, [&] { return ++asked > 6; }).ok());
  SetAttempt("job", 2, &settings);
  settings.seed = 8;
  const auto outcome = Train(settings, Score, &recorder, Never);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kFailedPrecondition) << outcome.status();
}

TEST_F(TrainerTest, AWarmCacheNeedsNoTeacherAndGivesTheSameStudents) {
  Settings settings = Job("cold");
  settings.teacher_cache_top_k = 16;
  Recorder cold;
  ASSERT_TRUE(Train(settings, Score, &cold, Never).ok());
  EXPECT_GT(cold.progress.back().teacher_forwards, 0);
  SetAttempt("warm", 1, &settings);
  Recorder warm;
  ASSERT_TRUE(Train(settings, Score, &warm, Never).ok());
  EXPECT_EQ(warm.progress.back().teacher_forwards, 0);
  for (std::size_t i = 0; i < cold.students.size(); ++i) {
    EXPECT_EQ(ReadFile(warm.students[i] + "/model.safetensors"), ReadFile(cold.students[i] + "/model.safetensors"));
  }
}

TEST_F(TrainerTest, HalvingLeavesOneArmForTheLastPart) {
  Settings settings = Job("job");
  settings.halving = true;
  settings.arms = {{.name = "a", .alpha = 0, .learning_rate = 1e-3},
                   {.name = "b", .alpha = 0.5, .learning_rate = 1e-4},
                   {.name = "c", .alpha = 1, .learning_rate = 1e-2},
                   {.name = "d", .alpha = 1, .learning_rate = 1e-3}};
  Recorder recorder;
  const auto outcome = Train(settings, Score, &recorder, Never);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(recorder.dropped, SizeIs(3));
  EXPECT_THAT(recorder.students, SizeIs(1));
  EXPECT_THAT(recorder.progress.back().arms, SizeIs(1));
}

TEST_F(TrainerTest, TheTeachersTranslationsCanBeTheLabels) {
  Settings settings = Job("job");
  settings.arms = {{.name = "greedy", .alpha = 0, .learning_rate = 1e-3}};
  settings.train[0].labels = Labels::kTeacherGreedy;
  Recorder recorder;
  ASSERT_TRUE(Train(settings, Score, &recorder, Never).ok());
  // Learned from its own words: nearer to them than to the references.
  Settings reference = Job("reference");
  reference.arms = settings.arms;
  Recorder other;
  ASSERT_TRUE(Train(reference, Score, &other, Never).ok());
  EXPECT_LT(recorder.progress[0].arms[0].cross_entropy, other.progress[0].arms[0].cross_entropy);
}

TEST_F(TrainerTest, StartsFromLayersOfTheTeacherAndFromRandom) {
  Settings settings = Job("layers");
  settings.student.kind = StudentKind::kTeacherLayers;
  settings.student.checkpoint.clear();
  settings.student.decoder_layers = 1;
  Recorder layers;
  ASSERT_TRUE(Train(settings, Score, &layers, Never).ok());
  const auto student = checkpoint::Checkpoint::Open(layers.best);
  ASSERT_TRUE(student.ok()) << student.status();
  EXPECT_EQ(student->config().num_decoder_layers, 1);

  Settings random = Job("random");
  random.student = {.kind = StudentKind::kRandom,
                    .checkpoint = "",
                    .encoder_layers = 1,
                    .decoder_layers = 1,
                    .d_model = 16,
                    .d_kv = 8,
                    .d_ff = 32,
                    .num_heads = 2};
  random.optimizer.kind = OptimizerKind::kAdamWRmsScaled;
  random.arms = {{.name = "one", .alpha = 0.5, .learning_rate = 1e-2}};
  Recorder recorder;
  const auto outcome = Train(random, Score, &recorder, Never);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const auto tiny = checkpoint::Checkpoint::Open(recorder.best);
  ASSERT_TRUE(tiny.ok()) << tiny.status();
  EXPECT_EQ(tiny->config().d_model, 16);
  // From random the first losses are about the logarithm of the vocabulary's size, and fall.
  EXPECT_LT(recorder.scores.back().cross_entropy, recorder.scores.front().cross_entropy);
}

TEST_F(TrainerTest, PlainTrainingNeedsNoTeacher) {
  Settings settings = Job("job");
  settings.teacher_checkpoint.clear();
  settings.arms = {{.name = "plain", .alpha = 0, .learning_rate = 1e-3}};
  Recorder recorder;
  ASSERT_TRUE(Train(settings, Score, &recorder, Never).ok());
  EXPECT_FALSE(recorder.scores[0].kl.has_value());
  EXPECT_LT(recorder.scores.back().cross_entropy, recorder.scores.front().cross_entropy);
}

TEST_F(TrainerTest, Bf16LearnsToo) {
  Settings settings = Job("job");
  settings.precision = TrainingPrecision::kBf16;
  Recorder recorder;
  const auto outcome = Train(settings, Score, &recorder, Never);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_LT(recorder.scores.back().cross_entropy, recorder.scores.front().cross_entropy);
}

TEST_F(TrainerTest, AGradientThatIsNotFiniteFailsTheRunAndSaysWhatWouldBeRight) {
  Settings settings = Job("job");
  settings.arms[0].learning_rate = 1e30;
  Recorder recorder;
  const auto outcome = Train(settings, Score, &recorder, Never);
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("learning_rate"));
}

TEST_F(TrainerTest, BadDataNamesFileAndLine) {
  std::ofstream(root_ / "train.tsv") << "a\tb\n"
                                     << "no tab here\n";
  Recorder recorder;
  const auto outcome = Train(Job("job"), Score, &recorder, Never);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("train.tsv:2:"));
}

}  // namespace
}  // namespace petit::distill
