// The models and data of a spec.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/unit/jobs/job_spec_fixture.h"

namespace petit::serving {
namespace {

using ::testing::StartsWith;

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
    mistakes.push_back({[path = path](auto* s) { s->mutable_train(0)->set_path(path); }, "train[0].path", what});
    mistakes.push_back({[path = path](auto* s) { s->mutable_dev(0)->set_path(path); }, "dev[0].path", what});
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
