// Small training runs on the tiny checkpoints.
#ifndef PETIT_TESTS_UNIT_DISTILL_TRAIN_FIXTURE_H_
#define PETIT_TESTS_UNIT_DISTILL_TRAIN_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "models/distill/trainer.h"
#include "models/torch/torch_executor.h"

namespace petit::distill {

inline std::string Tiny(const std::string& version) { return PETIT_SOURCE_DIR "/tests/data/tiny/" + version; }

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Recorder : Observer {
  std::vector<std::int64_t> starts;
  std::vector<Progress> progress;
  std::vector<DevScore> scores;
  std::vector<std::string> dropped;
  std::vector<std::string> students;
  std::string best;

  void OnStarted(std::int64_t step) override { starts.push_back(step); }
  void OnProgress(const Progress& p) override { progress.push_back(p); }
  void OnDevScore(const DevScore& score) override { scores.push_back(score); }
  void OnLog(const std::string& /*text*/) override {}
  void OnArmDropped(const std::string& arm, std::int64_t /*step*/) override { dropped.push_back(arm); }
  void OnStudent(const std::string& /*arm*/, const std::string& checkpoint, bool is_best) override {
    students.push_back(checkpoint);
    if (is_best) best = checkpoint;
  }
};

class TrainTest : public testing::Test {
 protected:
  void SetUp() override {
    static const bool single_threaded = (torch_executor::SetTorchThreads(1), true);
    ASSERT_TRUE(single_threaded);
    root_ = std::filesystem::path(testing::TempDir()) / ("petit_train_" + std::to_string(getpid()) + "_" +
                                                         testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    std::ofstream(root_ / "train.tsv") << "The house is small.\tLa maison est petite.\n"
                                       << "How much does this book cost?\tCombien coûte ce livre ?\n"
                                       << "a server listens on the network\tun serveur écoute sur le réseau\n"
                                       << "x\ty\n"
                                       << "the garden is large and the wall is long\tle jardin est grand\n"
                                       << "yes\toui\n"
                                       << "no requests\taucune requête\n";
    std::ofstream(root_ / "dev.tsv") << "The book is small.\tLe livre est petit.\n"
                                     << "the network is large\tle réseau est grand\n";
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // Two arms, dropout on, three epochs.
  Settings Job(const std::string& name) const {
    Settings settings;
    settings.teacher_checkpoint = Tiny("v1_1");
    settings.student.checkpoint = Tiny("v1_1");
    settings.arms = {{.name = "low", .alpha = 0.25, .learning_rate = 1e-3},
                     {.name = "high", .alpha = 0.75, .learning_rate = 1e-3}};
    TextSet train;
    train.path = root_ / "train.tsv";
    train.prefix = "translate: ";
    settings.train = {train};
    TextSet dev;
    dev.name = "dev";
    dev.path = root_ / "dev.tsv";
    dev.prefix = "translate: ";
    settings.dev = {dev};
    settings.steps = 12;
    settings.batch_size = 3;
    settings.micro_batch_size = 2;
    settings.dropout = 0.1;
    settings.seed = 7;
    settings.max_target_tokens = 24;
    settings.eval_steps = 5;
    settings.checkpoint_seconds = 1e9;
    settings.cache_directory = root_ / "cache";
    SetAttempt(name, 1, &settings);
    settings.model_card = "# {ARM}\n{TABLE}";
    return settings;
  }

  void SetAttempt(const std::string& name, int attempt, Settings* settings) const {
    const std::filesystem::path directory = root_ / name / std::to_string(attempt);
    settings->state_directory = directory / "state";
    settings->students_directory = directory / "students";
    settings->earlier_state_directories.clear();
    for (int i = 1; i < attempt; ++i) {
      settings->earlier_state_directories.push_back(root_ / name / std::to_string(i) / "state");
    }
  }

  // As good as the number of equal characters: what counts is that it is a function of the texts.
  static TextScores Score(const std::vector<std::string>& hypotheses, const std::vector<std::string>& references) {
    double equal = 0;
    double all = 1;
    for (std::size_t i = 0; i < hypotheses.size(); ++i) {
      for (std::size_t j = 0; j < references[i].size(); ++j, ++all) {
        equal += j < hypotheses[i].size() && hypotheses[i][j] == references[i][j] ? 1 : 0;
      }
    }
    return {.bleu = 100 * equal / all, .chrf = 100 * equal / all};
  }

  static bool Never() { return false; }

  std::filesystem::path root_;
};

}  // namespace petit::distill

#endif  // PETIT_TESTS_UNIT_DISTILL_TRAIN_FIXTURE_H_
