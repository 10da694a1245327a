// Configurations of the server, read in a directory of their own.
#ifndef PETIT_TESTS_UNIT_CONFIG_CONFIG_FIXTURE_H_
#define PETIT_TESTS_UNIT_CONFIG_CONFIG_FIXTURE_H_

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "server/config/config.h"

namespace petit::serving {

inline constexpr absl::string_view kPrompt =
    R"(prompt { source: "en" target: "fr" prefix: "translate English to French: " })";

// A directory with a checkpoint ("small") and a model root ("models").
class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "petit_config_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    std::filesystem::create_directories(base_ / "small");
    std::filesystem::create_directories(base_ / "models");
    std::ofstream(base_ / "small" / "config.json") << "{}";
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  absl::StatusOr<ServerSettings> Parse(const std::string& text) { return ParseConfig(text, "f.textproto", base_); }

  // A model that is right but for `fields`.
  absl::StatusOr<ServerSettings> ParseModel(absl::string_view fields) {
    return Parse(absl::StrCat("model_root: \"models\"\nmodel { name: \"m\" checkpoint: \"small\" ", kPrompt, "\n",
                              fields, " }"));
  }

  // The complaints, one an element.
  static std::vector<std::string> Errors(const absl::StatusOr<ServerSettings>& settings) {
    if (settings.ok()) return {};
    EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument) << settings.status();
    return absl::StrSplit(settings.status().message(), '\n');
  }

  std::filesystem::path base_;
};

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_CONFIG_CONFIG_FIXTURE_H_
