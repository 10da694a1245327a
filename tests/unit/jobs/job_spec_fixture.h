// Specs of jobs against models and data made for the test.
#ifndef PETIT_TESTS_UNIT_JOBS_JOB_SPEC_FIXTURE_H_
#define PETIT_TESTS_UNIT_JOBS_JOB_SPEC_FIXTURE_H_

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/jobs/job_spec.h"

namespace petit::serving {

class SpecModelsFake final : public JobModels {
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
    std::string has = {};
  };
  void ExpectRefused(const std::vector<Mistake>& mistakes, const v1::JobSpec& good) {
    ASSERT_TRUE(Resolve(good).ok()) << Resolve(good).status();
    for (const Mistake& mistake : mistakes) {
      v1::JobSpec spec = good;
      mistake.make(&spec);
      const auto task = Resolve(spec);
      EXPECT_EQ(task.status().code(), absl::StatusCode::kInvalidArgument) << mistake.begins << ": " << task.status();
      EXPECT_THAT(std::string(task.status().message()),
                  ::testing::AllOf(::testing::StartsWith(mistake.begins + ": "), ::testing::HasSubstr(mistake.has)));
    }
  }

  std::filesystem::path base_;
  JobsSettings settings_;
  SpecModelsFake models_;
};

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_JOBS_JOB_SPEC_FIXTURE_H_
