#include "server/worker/task_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "google/protobuf/text_format.h"
#include "server/worker/model_card.h"

namespace petit::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::WorkerTask Task(const std::string& text) {
  v1::WorkerTask task;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &task));
  return task;
}

TEST(TaskSettings, TakeOverWhatTheSpecSays) {
  const distill::Settings settings = SettingsOfTask(
      Task(R"pb(
        spec {
          arms { name: "a" alpha: 0.25 }
          arms { name: "b" alpha: 0.75 learning_rate: 0.5 }
          train { swap_columns: true skip: 3 take: 4 share: 0.5 labels: TEACHER_BEAM replay: true }
          dev { name: "d" out_of_domain: true }
          loss { temperature: 3 divergence: REVERSE_KL label_smoothing: 0.1 hidden_state_weight: 2 }
          optimizer { kind: ADAMW_RMS_SCALED schedule: COSINE warmup_steps: 9 weight_decay: 0 max_gradient_norm: 0 }
          training { steps: 7 batch_size: 5 micro_batch_size: 2 dropout: 0 seed: 11 precision: BF16 eval_steps: 3 }
          teacher_cache { top_k: 16 }
          halving { enabled: true }
        }
        teacher_checkpoint: "/t"
        student_checkpoint: "/s"
        train { path: "/data/train.tsv" prefix: "p: " }
        dev { path: "/data/dev.tsv" prefix: "q: " }
        job_directory: "/jobs/x"
        cache_directory: "/cache"
        device: "cuda:1"
      )pb"),
      3);
  ASSERT_EQ(settings.arms.size(), 2);
  EXPECT_EQ(settings.arms[0].learning_rate, 1e-2);  // the scaled optimizer's default
  EXPECT_EQ(settings.arms[1].learning_rate, 0.5);
  EXPECT_EQ(settings.arms[1].alpha, 0.75);
  const distill::TextSet& train = settings.train.at(0);
  EXPECT_EQ(train.path, "/data/train.tsv");
  EXPECT_EQ(train.prefix, "p: ");
  EXPECT_TRUE(train.swap_columns);
  EXPECT_EQ(train.skip, 3);
  EXPECT_EQ(train.take, 4);
  EXPECT_EQ(train.labels, distill::Labels::kTeacherBeam);
  EXPECT_TRUE(train.replay);
  EXPECT_EQ(settings.dev.at(0).take, 500);
  EXPECT_TRUE(settings.dev.at(0).out_of_domain);
  EXPECT_EQ(settings.loss.temperature, 3);
  EXPECT_EQ(settings.loss.divergence, distill::Divergence::kReverseKl);
  EXPECT_EQ(settings.optimizer.schedule, distill::Schedule::kCosine);
  EXPECT_EQ(settings.optimizer.weight_decay, 0);
  EXPECT_EQ(settings.optimizer.max_gradient_norm, 0);
  EXPECT_EQ(settings.dropout, 0.0);
  EXPECT_EQ(settings.precision, distill::TrainingPrecision::kBf16);
  EXPECT_EQ(settings.teacher_cache_top_k, 16);
  EXPECT_TRUE(settings.halving);
  EXPECT_EQ(settings.device, "cuda:1");
  EXPECT_THAT(settings.earlier_state_directories, ElementsAre("/jobs/x/attempts/1/state", "/jobs/x/attempts/2/state"));
  EXPECT_EQ(settings.students_directory, "/jobs/x/attempts/3/students");
}

TEST(TaskSettings, ADamagedTaskNamesLineAndColumn) {
  const std::string path = testing::TempDir() + "/petit_task_" + std::to_string(getpid());
  std::ofstream(path) << "job: \"x\"\nnonsense: 1\n";
  const absl::Status status = ReadTask(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path + ":2:"));
  std::filesystem::remove(path);
}

TEST(ModelCard, NamesDataRevisionAndSpec) {
  const std::string path = testing::TempDir() + "/petit_card_" + std::to_string(getpid()) + ".tsv";
  std::ofstream(path) << "a\tb\n";
  v1::WorkerTask task = Task("job: 'jobs/x' build: 'petit 9' teacher_name: 'big' spec { train {} dev { name: 'd' } }");
  task.add_train()->set_path(path);
  task.add_dev()->set_path(path);
  const absl::StatusOr<std::string> card = ModelCard(task);
  ASSERT_TRUE(card.ok()) << card.status();
  EXPECT_THAT(*card, HasSubstr("Trained by petit 9, sources "));
  EXPECT_THAT(*card, HasSubstr("Distilled from `big`"));
  EXPECT_THAT(*card, HasSubstr("{TABLE}"));
  EXPECT_THAT(*card,
              HasSubstr("5dd1197866f479824d9b483e1b7ae9ad3e518f3b4fd447c6b92d127dda6178c5"));  // sha256sum of "a\tb\n"
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace petit::worker
