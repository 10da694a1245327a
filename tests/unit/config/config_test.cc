#include "server/config/config.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/config/config_fixture.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(ConfigTest, FillsInTheDefaultsThatTheProtoPromises) {
  const auto settings = ParseModel("");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->listen, "127.0.0.1:50051");
  EXPECT_EQ(settings->metrics_listen, "");
  EXPECT_EQ(settings->torch_threads, 0);
  EXPECT_EQ(settings->drain_timeout, absl::Seconds(30));
  EXPECT_EQ(settings->log_level, LogLevel::kInfo);
  EXPECT_EQ(settings->log_format, LogFormat::kText);
  EXPECT_EQ(settings->limits.max_texts_per_request, 256);
  EXPECT_EQ(settings->limits.max_text_bytes, 65536);
  EXPECT_EQ(settings->limits.max_message_bytes, 4194304);
  EXPECT_EQ(settings->limits.max_stream_texts_in_flight, 64);
  EXPECT_EQ(settings->limits.max_score_buffer_bytes, 268435456);
  ASSERT_EQ(settings->models.size(), 1U);
  const ModelSettings& model = settings->models[0];
  EXPECT_EQ(model.precision, Precision::kFp32);
  EXPECT_EQ(model.executor, ExecutorKind::kTorch);
  EXPECT_EQ(model.device, "cpu");
  EXPECT_FALSE(model.allow_cpu_fallback);
  EXPECT_FALSE(model.load_later);
  EXPECT_EQ(model.max_source_tokens, 512);
  EXPECT_EQ(model.max_new_tokens_limit, 512);
  EXPECT_EQ(model.max_beams_limit, 16);
  EXPECT_EQ(model.batching.mode, engine::BatchingMode::kContinuous);
  EXPECT_EQ(model.batching.max_rows, 64);
  EXPECT_EQ(model.batching.max_kv_bytes, 1 << 30);
  EXPECT_EQ(model.batching.max_encoder_tokens_per_step, 1024);
  EXPECT_EQ(model.batching.max_queue_length, 256);
  EXPECT_EQ(model.batching.max_queue_bytes, 16 << 20);
  EXPECT_EQ(model.batching.max_score_share, 0.5);
  EXPECT_EQ(model.batching.max_hold_back, 3);
  EXPECT_EQ(model.default_decoding.max_new_tokens, 128);
  EXPECT_EQ(model.default_decoding.num_beams, 1);
  EXPECT_EQ(model.default_decoding.length_penalty, 1);
  EXPECT_EQ(model.default_decoding.repetition_penalty, 1);
  EXPECT_EQ(model.default_decoding.no_repeat_ngram_size, 0);
}

TEST_F(ConfigTest, ReadsEveryField) {
  const std::string sha(64, 'A');
  const auto settings = Parse(absl::StrCat(R"(
listen: "0.0.0.0:0"  metrics_listen: "127.0.0.1:9464"  model_root: "models"  torch_threads: 8
drain_timeout_seconds: 1.5  log_level: LOG_LEVEL_WARNING  log_format: JSON
limits { max_texts_per_request: 2 max_text_bytes: 3 max_message_bytes: 4000 max_stream_texts_in_flight: 5
         max_score_buffer_bytes: 6 }
model {
  name: "student" version_policy { specific: 7 } precision: BF16 device: "cuda:1" allow_cpu_fallback: true
  executor: TORCH load_later: true
  prompt { source: "en" target: "fr" prefix: "to French: " }
  prompt { source: "fr" target: "en" prefix: "" }
  batching { mode: STATIC max_rows: 9 max_kv_bytes: 10 max_encoder_tokens_per_step: 11 max_queue_length: 12
             max_queue_bytes: 1300 max_score_share: 1 max_hold_back: 4.5 }
  decoding { max_new_tokens: 14 num_beams: 4 length_penalty: 0.5 repetition_penalty: 1.25 no_repeat_ngram_size: 3 }
  max_source_tokens: 100 max_new_tokens_limit: 200 max_beams_limit: 8 tokenizer_sha256: ")",
                                           sha, R"("
}
model { name: "latest" version_policy { latest {} } prompt { source: "a" target: "b" } }
)"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->listen, "0.0.0.0:0");
  EXPECT_EQ(settings->metrics_listen, "127.0.0.1:9464");
  EXPECT_EQ(settings->torch_threads, 8);
  EXPECT_EQ(settings->drain_timeout, absl::Milliseconds(1500));
  EXPECT_EQ(settings->log_level, LogLevel::kWarning);
  EXPECT_EQ(settings->log_format, LogFormat::kJson);
  EXPECT_EQ(settings->limits.max_texts_per_request, 2);
  EXPECT_EQ(settings->limits.max_text_bytes, 3);
  EXPECT_EQ(settings->limits.max_message_bytes, 4000);
  EXPECT_EQ(settings->limits.max_stream_texts_in_flight, 5);
  EXPECT_EQ(settings->limits.max_score_buffer_bytes, 6);
  const ModelSettings& model = settings->models[0];
  EXPECT_EQ(model.checkpoint, "");
  EXPECT_EQ(model.versions_root, (base_ / "models" / "student").string());
  EXPECT_EQ(model.specific_version, 7);
  EXPECT_EQ(model.precision, Precision::kBf16);
  EXPECT_EQ(model.device, "cuda:1");
  EXPECT_TRUE(model.allow_cpu_fallback);
  EXPECT_TRUE(model.load_later);
  ASSERT_EQ(model.prompts.size(), 2U);
  EXPECT_EQ(model.prompts[0].prefix, "to French: ");
  EXPECT_EQ(model.prompts[1].source_language, "fr");
  EXPECT_EQ(model.prompts[1].target_language, "en");
  EXPECT_EQ(model.batching.mode, engine::BatchingMode::kStatic);
  EXPECT_EQ(model.batching.max_rows, 9);
  EXPECT_EQ(model.batching.max_kv_bytes, 10);
  EXPECT_EQ(model.batching.max_encoder_tokens_per_step, 11);
  EXPECT_EQ(model.batching.max_queue_length, 12);
  EXPECT_EQ(model.batching.max_queue_bytes, 1300);
  EXPECT_EQ(model.batching.max_score_share, 1);
  EXPECT_EQ(model.batching.max_hold_back, 4.5);
  EXPECT_EQ(model.default_decoding.max_new_tokens, 14);
  EXPECT_EQ(model.default_decoding.num_beams, 4);
  EXPECT_EQ(model.default_decoding.length_penalty, 0.5F);
  EXPECT_EQ(model.default_decoding.repetition_penalty, 1.25F);
  EXPECT_EQ(model.default_decoding.no_repeat_ngram_size, 3);
  EXPECT_EQ(model.max_source_tokens, 100);
  EXPECT_EQ(model.max_new_tokens_limit, 200);
  EXPECT_EQ(model.max_beams_limit, 8);
  EXPECT_EQ(model.tokenizer_sha256, std::string(64, 'a'));
  EXPECT_FALSE(settings->models[1].specific_version.has_value());
}

TEST_F(ConfigTest, RelativePathsBeginAtTheFilesDirectory) {
  std::ofstream(base_ / "petit.textproto") << "model { name: \"m\" checkpoint: \"./small/\" " << kPrompt << " }";
  const auto settings = LoadConfig((base_ / "petit.textproto").string());
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->models[0].checkpoint, (base_ / "small").string());

  const auto absolute =
      Parse(absl::StrCat("model { name: \"m\" checkpoint: \"", (base_ / "small").string(), "\" ", kPrompt, " }"));
  ASSERT_TRUE(absolute.ok()) << absolute.status();
  EXPECT_EQ(absolute->models[0].checkpoint, (base_ / "small").string());
}

TEST_F(ConfigTest, ReportsAllMistakesAtOnceWithTheirPlaces) {
  EXPECT_THAT(Errors(Parse(R"(listen: "nonsense"
model {
  name: "a"
  checkpoint: "small"
  device: "gpu"
  prompt { source: "en" target: "fr" }
}
model {
  name: "a"
  checkpoint: "small"
  prompt { source: "en" target: "fr" }
})")),
              ElementsAre(AllOf(StartsWith("f.textproto:1:1: "), HasSubstr("listen \"nonsense\"")),
                          AllOf(StartsWith("f.textproto:5:3: "), HasSubstr("device \"gpu\"")),
                          AllOf(StartsWith("f.textproto:9:3: "), HasSubstr("taken by the model at line 3"))));
}

TEST_F(ConfigTest, ReportsTheOneSyntaxErrorWithItsPlace) {
  EXPECT_THAT(Errors(Parse("listen: \"a:1\"\nmodel { name: }\nnonsense {{{")),
              ElementsAre(StartsWith("f.textproto:2:15: ")));
  EXPECT_THAT(Errors(Parse("model {")), ElementsAre(StartsWith("f.textproto:1:8: ")));
}

TEST_F(ConfigTest, ReportsUnknownFieldsAndRepeatedOnesWithTheirPlace) {
  EXPECT_THAT(Errors(Parse("\nmodel {\n  nam: \"a\"\n}")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:"), HasSubstr("\"nam\""))));
  EXPECT_THAT(Errors(Parse("listen: \"a:1\"\nlisten: \"a:2\"")),
              ElementsAre(AllOf(StartsWith("f.textproto:2:"), HasSubstr("listen"))));
  EXPECT_THAT(Errors(Parse("model { precision: FP8 }")),
              ElementsAre(AllOf(StartsWith("f.textproto:1:"), HasSubstr("FP8"))));
}

TEST_F(ConfigTest, KnowsThePlaceOfElementsOfAListInBrackets) {
  EXPECT_THAT(Errors(ParseModel("prompt: [ { source: \"en\" target: \"de\" },\n\n { source: \"en\" target: \"?\" } ]")),
              ElementsAre(AllOf(StartsWith("f.textproto:5:"), HasSubstr("target is \"?\""))));
}

TEST_F(ConfigTest, NumbersStayInTheirRange) {
  for (const absl::string_view fields :
       {"batching { max_rows: -1 }",
        "batching { max_kv_bytes: -1 }",
        "batching { max_encoder_tokens_per_step: -5 }",
        "batching { max_queue_length: -1 }",
        "batching { max_queue_bytes: -1 }",
        "batching { max_score_share: 1.5 }",
        "batching { max_score_share: -0.1 }",
        "batching { max_score_share: nan }",
        "batching { max_hold_back: 0.5 }",
        "batching { max_hold_back: 1001 }",
        "batching { max_hold_back: -2 }",
        "batching { max_hold_back: nan }",
        "batching { mode: 17 }",
        "batching { max_queue_bytes: 100 }",
        "decoding { max_new_tokens: -1 }",
        "decoding { max_new_tokens: 513 }",
        "decoding { num_beams: 17 }",
        "decoding { num_beams: -2 }",
        "decoding { length_penalty: nan }",
        "decoding { repetition_penalty: 0 }",
        "decoding { repetition_penalty: inf }",
        "decoding { no_repeat_ngram_size: -1 }",
        "max_source_tokens: -1",
        "max_source_tokens: 1",
        "max_new_tokens_limit: -1",
        "max_beams_limit: -1",
        "max_source_tokens: 2000000000",
        "max_beams_limit: 32 batching { max_rows: 16 }",
        "decoding { num_beams: 8 } batching { max_rows: 4 }",
        "tokenizer_sha256: \"abc\"",
        "tokenizer_sha256: \"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\""}) {
    EXPECT_THAT(Errors(ParseModel(fields)), ElementsAre(AllOf(StartsWith("f.textproto:3:"), HasSubstr("; "))))
        << fields;
  }
}

TEST_F(ConfigTest, ServerNumbersStayInTheirRange) {
  const std::string model = absl::StrCat("model { name: \"m\" checkpoint: \"small\" ", kPrompt, " }\n");
  for (const absl::string_view fields :
       {"torch_threads: -1", "drain_timeout_seconds: -1", "drain_timeout_seconds: nan", "drain_timeout_seconds: inf",
        "limits { max_texts_per_request: -1 }", "limits { max_text_bytes: -1 }", "limits { max_message_bytes: 5 }",
        "limits { max_stream_texts_in_flight: -1 }", "limits { max_score_buffer_bytes: -1 }", "log_level: 9",
        "log_format: 9", "limits { max_text_bytes: 8000000 }"}) {
    const auto errors = Errors(Parse(model + std::string(fields)));
    EXPECT_THAT(errors, ElementsAre(StartsWith("f.textproto:2:"))) << fields;
  }
}

TEST_F(ConfigTest, AddressesAreHostAndPort) {
  const std::string model = absl::StrCat("model { name: \"m\" checkpoint: \"small\" ", kPrompt, " }\n");
  for (const absl::string_view good : {"localhost:1", "[::]:0", "my-host.example:65535", "0.0.0.0:80"}) {
    EXPECT_TRUE(Parse(absl::StrCat(model, "listen: \"", good, "\"")).ok()) << good;
  }
  for (const absl::string_view bad :
       {"localhost", ":80", "a:", "a:65536", "a:-1", "a:x", "::1:80", "a b:1", "[]:1", "unix:/tmp/socket", "a:+1"}) {
    EXPECT_THAT(Errors(Parse(absl::StrCat(model, "listen: \"", bad, "\""))),
                ElementsAre(AllOf(StartsWith("f.textproto:2:1: "), HasSubstr("must be"))))
        << bad;
    EXPECT_THAT(Errors(Parse(absl::StrCat(model, "metrics_listen: \"", bad, "\""))),
                ElementsAre(StartsWith("f.textproto:2:1: ")))
        << bad;
  }
  EXPECT_THAT(Errors(Parse(absl::StrCat(model, "listen: \"a:1\" metrics_listen: \"a:1\""))),
              ElementsAre(HasSubstr("same as listen")));
  EXPECT_THAT(Errors(Parse(absl::StrCat(model, "metrics_listen: \"[::1]:1\""))), ElementsAre(HasSubstr("IPv6")));
  EXPECT_TRUE(Parse(absl::StrCat(model, "listen: \"a:0\" metrics_listen: \"a:0\"")).ok());
}

TEST_F(ConfigTest, AServerNeedsAModel) {
  EXPECT_THAT(Errors(Parse("")), ElementsAre(AllOf(StartsWith("f.textproto:1:1: "), HasSubstr("no model"))));
}

TEST_F(ConfigTest, FewRowsLowerTheDefaultLimitOfBeams) {
  const auto settings = ParseModel("batching { max_rows: 4 }");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->models[0].max_beams_limit, 4);
}

TEST_F(ConfigTest, ALowLimitLowersTheDefaultLength) {
  const auto settings = ParseModel("max_new_tokens_limit: 32");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->models[0].default_decoding.max_new_tokens, 32);
}

TEST_F(ConfigTest, AMissingFileIsNotFound) {
  EXPECT_EQ(LoadConfig((base_ / "no.textproto").string()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadConfig(base_.string()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ConfigTest, AnEmptyFileIsAConfigurationWithoutModels) {
  std::ofstream(base_ / "empty.textproto").flush();
  EXPECT_THAT(Errors(LoadConfig((base_ / "empty.textproto").string())), ElementsAre(HasSubstr("no model")));
}

}  // namespace
}  // namespace petit::serving
