#include "models/checkpoint/config_json.h"

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// config.json of model_type t5 with these fields.
absl::StatusOr<t5::T5Config> Parse(const std::string& fields) {
  return ParseConfig(absl::StrCat(R"({"model_type": "t5")", fields.empty() ? "" : ", ", fields, "}"), "config.json");
}

std::string Error(const std::string& fields) {
  const absl::Status status = Parse(fields).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), StartsWith("config.json: "));
  return std::string(status.message());
}

TEST(ConfigJsonTest, MissingFieldsHaveHuggingFacesDefaults) {
  const absl::StatusOr<t5::T5Config> config = Parse("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->vocab_size, 32128);
  EXPECT_EQ(config->d_model, 512);
  EXPECT_EQ(config->num_decoder_layers, 6);
  EXPECT_EQ(config->activation, t5::Activation::kRelu);
  EXPECT_FALSE(config->gated);
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_EQ(config->decoder_start_token_id, 0);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(1));
}

TEST(ConfigJsonTest, ReadsFlanT5SmallAsPublished) {
  const absl::StatusOr<t5::T5Config> config = Parse(
      R"("d_ff": 1024, "d_kv": 64, "d_model": 512, "decoder_start_token_id": 0, "dense_act_fn": "gelu_new",
         "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "is_gated_act": true,
         "layer_norm_epsilon": 1e-06, "num_decoder_layers": 8, "num_heads": 6, "num_layers": 8, "pad_token_id": 0,
         "task_specific_params": {"translation_en_to_fr": {"num_beams": 4}}, "tie_word_embeddings": false,
         "vocab_size": 32128)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->d_ff, 1024);
  EXPECT_EQ(config->num_heads, 6);
  EXPECT_EQ(config->inner_dim(), 384);
  EXPECT_EQ(config->activation, t5::Activation::kGeluNew);
  EXPECT_TRUE(config->gated);
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_EQ(config->layer_norm_epsilon, 1e-6f);
}

TEST(ConfigJsonTest, NullCountsAsMissing) {
  const absl::StatusOr<t5::T5Config> config =
      Parse(R"("num_layers": 3, "num_decoder_layers": null, "eos_token_id": null, "tie_word_embeddings": null)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->num_decoder_layers, 3);
  EXPECT_TRUE(config->tie_word_embeddings);
}

TEST(ConfigJsonTest, TheDecoderHasAsManyLayersAsTheEncoderUnlessItSays) {
  EXPECT_EQ(Parse(R"("num_layers": 4)")->num_decoder_layers, 4);
  EXPECT_EQ(Parse(R"("num_layers": 4, "num_decoder_layers": 2)")->num_decoder_layers, 2);
}

TEST(ConfigJsonTest, EosIsOneIdOrAList) {
  EXPECT_THAT(Parse(R"("eos_token_id": 5)")->eos_token_ids, ElementsAre(5));
  EXPECT_THAT(Parse(R"("eos_token_id": [1, 5])")->eos_token_ids, ElementsAre(1, 5));
}

TEST(ConfigJsonTest, TheDecoderStartsWithPadUnlessItSays) {
  EXPECT_EQ(Parse(R"("pad_token_id": 3)")->decoder_start_token_id, 3);
  EXPECT_EQ(Parse(R"("pad_token_id": 3, "decoder_start_token_id": 4)")->decoder_start_token_id, 4);
}

TEST(ConfigJsonTest, Mt5HasDefaultsOfItsOwn) {
  const absl::StatusOr<t5::T5Config> config = ParseConfig(R"({"model_type": "mt5"})", "config.json");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->vocab_size, 250112);
  EXPECT_EQ(config->num_decoder_layers, 8);
  EXPECT_EQ(config->activation, t5::Activation::kGeluNew);
  EXPECT_TRUE(config->gated);
  EXPECT_FALSE(config->tie_word_embeddings);
}

TEST(ConfigJsonTest, ScaleDecoderOutputsTellsTheVersionsApartWhereItIsSet) {
  EXPECT_FALSE(Parse(R"("tie_word_embeddings": true, "scale_decoder_outputs": false)")->tie_word_embeddings);
  EXPECT_TRUE(Parse(R"("tie_word_embeddings": true, "scale_decoder_outputs": true)")->tie_word_embeddings);
}

struct FeedForward {
  const char* fields;
  t5::Activation activation;
  bool gated;
};

class FeedForwardTest : public ::testing::TestWithParam<FeedForward> {};

TEST_P(FeedForwardTest, IsReadAsHuggingFaceReadsIt) {
  const absl::StatusOr<t5::T5Config> config = Parse(GetParam().fields);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->activation, GetParam().activation);
  EXPECT_EQ(config->gated, GetParam().gated);
}

INSTANTIATE_TEST_SUITE_P(
    Variants, FeedForwardTest,
    ::testing::Values(FeedForward{R"("feed_forward_proj": "relu")", t5::Activation::kRelu, false},
                      FeedForward{R"("feed_forward_proj": "gated-relu")", t5::Activation::kRelu, true},
                      FeedForward{R"("feed_forward_proj": "gated-gelu")", t5::Activation::kGeluNew, true},
                      FeedForward{R"("feed_forward_proj": "gelu")", t5::Activation::kGelu, false},
                      FeedForward{R"("feed_forward_proj": "gelu_new")", t5::Activation::kGeluNew, false},
                      FeedForward{R"("feed_forward_proj": "gated-gelu_python")", t5::Activation::kGelu, true},
                      FeedForward{R"("feed_forward_proj": "gated-silu")", t5::Activation::kSilu, true},
                      FeedForward{R"("feed_forward_proj": "swish")", t5::Activation::kSilu, false},
                      FeedForward{R"("feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu")", t5::Activation::kGelu,
                                  true},
                      FeedForward{R"("dense_act_fn": "silu", "is_gated_act": true)", t5::Activation::kSilu, true}));

TEST(ConfigJsonTest, RefusesOtherArchitectures) {
  EXPECT_THAT(std::string(ParseConfig(R"({"model_type": "bart"})", "c").status().message()),
              HasSubstr("c: model_type is 'bart'; expected t5 or mt5"));
  EXPECT_FALSE(ParseConfig("{}", "c").ok());
  EXPECT_THAT(Error(R"("feed_forward_proj": "gated-tanh")"),
              HasSubstr("feed_forward_proj is 'gated-tanh'; expected relu, gelu, gelu_new or silu"));
  EXPECT_THAT(Error(R"("dense_act_fn": "mish")"), HasSubstr("dense_act_fn is 'mish'; expected"));
}

TEST(ConfigJsonTest, RefusesFieldsOfAWrongType) {
  EXPECT_THAT(Error(R"("d_model": "512")"), HasSubstr("d_model is '\\\"512\\\"'; expected a 32-bit integer"));
  EXPECT_THAT(Error(R"("d_model": 512.0)"), HasSubstr("d_model is '512.0'; expected a 32-bit integer"));
  EXPECT_THAT(Error(R"("d_model": 4294967808)"), HasSubstr("expected a 32-bit integer"));
  EXPECT_THAT(Error(R"("d_model": 18446744073709551615)"), HasSubstr("expected a 32-bit integer"));
  EXPECT_THAT(Error(R"("d_model": -9223372036854775808)"), HasSubstr("expected a 32-bit integer"));
  EXPECT_THAT(Error(R"("layer_norm_epsilon": true)"), HasSubstr("layer_norm_epsilon is 'true'; expected a number"));
  EXPECT_THAT(Error(R"("tie_word_embeddings": 0)"), HasSubstr("expected true or false"));
  EXPECT_THAT(Error(R"("feed_forward_proj": 3)"), HasSubstr("feed_forward_proj is '3'; expected a string"));
  EXPECT_THAT(Error(R"("eos_token_id": [1, "2"])"), HasSubstr("expected a 32-bit integer or a list of them"));
  EXPECT_THAT(Error(R"("eos_token_id": {})"), HasSubstr("expected a 32-bit integer or a list of them"));
}

TEST(ConfigJsonTest, RefusesValuesOutOfRange) {
  EXPECT_THAT(Error(R"("d_kv": 0)"), HasSubstr("d_kv is 0; it must be between 1 and 1024"));
  EXPECT_THAT(Error(R"("eos_token_id": [])"), HasSubstr("eos_token_id is empty"));
  EXPECT_THAT(Error(R"("vocab_size": 10, "eos_token_id": 10)"), HasSubstr("eos_token_id is 10"));
}

TEST(ConfigJsonTest, RefusesBrokenJson) {
  for (const std::string text : {"", "{", "[]", "null", "{\"a\": 1,}", "{\"a\": 1} x", "{\"\xff\": 1}"}) {
    EXPECT_THAT(std::string(ParseConfig(text, "c").status().message()), HasSubstr("is not well-formed JSON")) << text;
  }
  EXPECT_THAT(std::string(ParseConfig(std::string("{}\0", 3), "c").status().message()), HasSubstr("NUL"));
}

TEST(ConfigJsonTest, RefusesAKeyGivenTwice) {
  EXPECT_THAT(Error(R"("d_ff": 1, "d_ff": 2)"), HasSubstr("has the key 'd_ff' twice"));
  EXPECT_THAT(Error(R"("x": [{"y": {"z": 1, "z": 1}}])"), HasSubstr("has the key 'z' twice"));
  EXPECT_TRUE(Parse(R"("x": {"a": 1}, "y": [{"a": 1}, {"a": 1}])").ok());
}

TEST(ConfigJsonTest, RefusesDeepNesting) {
  EXPECT_THAT(Error("\"x\": " + std::string(100000, '[')), HasSubstr("is nested deeper than 16 levels"));
  EXPECT_THAT(Error("\"x\": " + std::string(16, '[') + std::string(16, ']')), HasSubstr("deeper than 16"));
  EXPECT_TRUE(Parse("\"x\": " + std::string(15, '[') + std::string(15, ']')).ok());
}

TEST(GenerationConfigJsonTest, FillsWhatIsMissingFromConfig) {
  t5::T5Config config;
  config.decoder_start_token_id = 3;
  config.pad_token_id = 4;
  config.eos_token_ids = {5, 6};
  const absl::StatusOr<GenerationConfig> generation = ParseGenerationConfig(R"({"pad_token_id": 7})", "g", config);
  ASSERT_TRUE(generation.ok()) << generation.status();
  EXPECT_EQ(generation->decoder_start_token_id, 3);
  EXPECT_EQ(generation->pad_token_id, 7);
  EXPECT_THAT(generation->eos_token_ids, ElementsAre(5, 6));
}

TEST(GenerationConfigJsonTest, RefusesIdsOutsideTheVocabulary) {
  const t5::T5Config config;
  const auto error = [&config](const std::string& text) {
    return std::string(ParseGenerationConfig(text, "g", config).status().message());
  };
  EXPECT_THAT(error(R"({"pad_token_id": 32128})"),
              HasSubstr("g: pad_token_id is 32128; it must be between 0 and 32127"));
  EXPECT_THAT(error(R"({"decoder_start_token_id": -1})"), HasSubstr("decoder_start_token_id is -1"));
  EXPECT_THAT(error(R"({"eos_token_id": [1, 99999]})"), HasSubstr("eos_token_id is 99999"));
  EXPECT_THAT(error(R"({"eos_token_id": []})"), HasSubstr("eos_token_id is empty"));
  EXPECT_THAT(error("7"), HasSubstr("is not well-formed JSON"));
}

TEST(ConfigTextTest, ReadsBackEqual) {
  for (const t5::Activation activation :
       {t5::Activation::kRelu, t5::Activation::kGeluNew, t5::Activation::kGelu, t5::Activation::kSilu}) {
    for (const bool gated : {false, true}) {
      t5::T5Config config;
      config.vocab_size = 100;
      config.d_kv = 3;
      config.num_decoder_layers = 2;
      config.layer_norm_epsilon = 1e-5f;
      config.dropout_rate = 0.3f;
      config.activation = activation;
      config.gated = gated;
      config.tie_word_embeddings = gated;
      config.decoder_start_token_id = 2;
      config.eos_token_ids = {1, 9};
      const absl::StatusOr<t5::T5Config> read = ParseConfig(ConfigText(config, DType::kBF16), "config.json");
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->vocab_size, config.vocab_size);
      EXPECT_EQ(read->d_kv, config.d_kv);
      EXPECT_EQ(read->num_layers, config.num_layers);
      EXPECT_EQ(read->num_decoder_layers, config.num_decoder_layers);
      EXPECT_EQ(read->layer_norm_epsilon, config.layer_norm_epsilon);
      EXPECT_EQ(read->dropout_rate, config.dropout_rate);
      EXPECT_EQ(read->activation, config.activation);
      EXPECT_EQ(read->gated, config.gated);
      EXPECT_EQ(read->tie_word_embeddings, config.tie_word_embeddings);
      EXPECT_EQ(read->decoder_start_token_id, config.decoder_start_token_id);
      EXPECT_EQ(read->eos_token_ids, config.eos_token_ids);
    }
  }
}

TEST(ConfigTextTest, WritesNumbersAsPeopleDo) {
  const std::string text = ConfigText(t5::T5Config(), DType::kF32);
  EXPECT_THAT(text, HasSubstr("\"layer_norm_epsilon\": 1e-06,"));
  EXPECT_THAT(text, HasSubstr("\"dropout_rate\": 0.1,"));
  EXPECT_THAT(text, HasSubstr("\"eos_token_id\": 1,"));
  EXPECT_THAT(text, HasSubstr("\"torch_dtype\": \"float32\""));
}

}  // namespace
}  // namespace petit::checkpoint
