#include "models/t5/tensors.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::t5 {
namespace {

using ::testing::ElementsAre;

T5Config FlanSmall() {
  T5Config config;
  config.d_ff = 1024;
  config.num_heads = 6;
  config.num_layers = 8;
  config.num_decoder_layers = 8;
  config.activation = Activation::kGeluNew;
  config.gated = true;
  config.tie_word_embeddings = false;
  return config;
}

T5Config FlanLarge() {
  T5Config config = FlanSmall();
  config.d_model = 1024;
  config.d_ff = 2816;
  config.num_heads = 16;
  config.num_layers = 24;
  config.num_decoder_layers = 24;
  return config;
}

std::vector<std::string> Names(const T5Config& config) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : RequiredTensors(config)) names.push_back(spec.name);
  return names;
}

std::vector<std::int64_t> ShapeOf(const T5Config& config, const std::string& name) {
  for (const TensorSpec& spec : RequiredTensors(config)) {
    if (spec.name == name) return spec.shape;
  }
  ADD_FAILURE() << name << " is not required";
  return {};
}

TEST(TensorsTest, OneBlockEachIsListedInOrder) {
  T5Config config;
  config.num_layers = 1;
  config.num_decoder_layers = 1;
  EXPECT_THAT(
      Names(config),
      ElementsAre(
          "shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight",
          "encoder.block.0.layer.0.SelfAttention.k.weight", "encoder.block.0.layer.0.SelfAttention.v.weight",
          "encoder.block.0.layer.0.SelfAttention.o.weight",
          "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
          "encoder.block.0.layer.0.layer_norm.weight", "encoder.block.0.layer.1.DenseReluDense.wi.weight",
          "encoder.block.0.layer.1.DenseReluDense.wo.weight", "encoder.block.0.layer.1.layer_norm.weight",
          "encoder.final_layer_norm.weight", "decoder.block.0.layer.0.SelfAttention.q.weight",
          "decoder.block.0.layer.0.SelfAttention.k.weight", "decoder.block.0.layer.0.SelfAttention.v.weight",
          "decoder.block.0.layer.0.SelfAttention.o.weight",
          "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
          "decoder.block.0.layer.0.layer_norm.weight", "decoder.block.0.layer.1.EncDecAttention.q.weight",
          "decoder.block.0.layer.1.EncDecAttention.k.weight", "decoder.block.0.layer.1.EncDecAttention.v.weight",
          "decoder.block.0.layer.1.EncDecAttention.o.weight", "decoder.block.0.layer.1.layer_norm.weight",
          "decoder.block.0.layer.2.DenseReluDense.wi.weight", "decoder.block.0.layer.2.DenseReluDense.wo.weight",
          "decoder.block.0.layer.2.layer_norm.weight", "decoder.final_layer_norm.weight"));
}

TEST(TensorsTest, NamesAreUnique) {
  const std::vector<std::string> names = Names(FlanLarge());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(TensorsTest, ShapesAreOutByInAndFollowTheHeadsNotTheModelWidth) {
  const T5Config config = FlanSmall();
  EXPECT_THAT(ShapeOf(config, "shared.weight"), ElementsAre(32128, 512));
  EXPECT_THAT(ShapeOf(config, "lm_head.weight"), ElementsAre(32128, 512));
  EXPECT_THAT(ShapeOf(config, SelfAttentionPrefix(Stack::kEncoder, 7) + "q.weight"), ElementsAre(384, 512));
  EXPECT_THAT(ShapeOf(config, CrossAttentionPrefix(7) + "o.weight"), ElementsAre(512, 384));
  EXPECT_THAT(ShapeOf(config, RelativeBiasName(Stack::kDecoder)), ElementsAre(32, 6));
  EXPECT_THAT(ShapeOf(config, FeedForwardPrefix(Stack::kDecoder, 0) + "wi_1.weight"), ElementsAre(1024, 512));
  EXPECT_THAT(ShapeOf(config, FeedForwardPrefix(Stack::kEncoder, 0) + "wo.weight"), ElementsAre(512, 1024));
  EXPECT_THAT(ShapeOf(config, LayerNormName(Stack::kDecoder, 3, Sublayer::kFeedForward)), ElementsAre(512));
}

TEST(TensorsTest, TiedModelsHaveNoHeadOfTheirOwn) {
  T5Config config = FlanSmall();
  config.tie_word_embeddings = true;
  const std::vector<std::string> names = Names(config);
  EXPECT_EQ(std::count(names.begin(), names.end(), kLmHead), 0);
}

TEST(TensorsTest, CountsTheParametersOfThePublishedModels) {
  EXPECT_EQ(ParameterCount(FlanSmall()), 76961152);
  EXPECT_EQ(ParameterCount(FlanLarge()), 783150080);
  EXPECT_EQ(ParameterCount(T5Config()), 60506624);  // T5 v1.0 small
}

TEST(TensorsTest, IgnoresCopiesOfTheEmbeddingAndNothingElse) {
  const T5Config untied = FlanSmall();
  T5Config tied = untied;
  tied.tie_word_embeddings = true;
  EXPECT_TRUE(IsIgnoredTensor("encoder.embed_tokens.weight", untied));
  EXPECT_TRUE(IsIgnoredTensor("decoder.embed_tokens.weight", untied));
  EXPECT_TRUE(IsIgnoredTensor("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", untied));
  EXPECT_TRUE(IsIgnoredTensor("lm_head.weight", tied));
  EXPECT_FALSE(IsIgnoredTensor("lm_head.weight", untied));
  EXPECT_FALSE(IsIgnoredTensor("decoder.block.1.layer.1.EncDecAttention.relative_attention_bias.weight", untied));
  EXPECT_FALSE(IsIgnoredTensor("shared.weight", untied));
  EXPECT_FALSE(IsIgnoredTensor("", untied));
}

}  // namespace
}  // namespace petit::t5
