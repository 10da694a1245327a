#include "models/t5/config.h"

#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::t5 {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

TEST(ConfigTest, DefaultsAreValid) { EXPECT_EQ(Validate(T5Config()), std::nullopt); }

TEST(ConfigTest, InnerWidthNeedNotBeModelWidth) {
  T5Config config;  // flan-T5-small's
  config.num_heads = 6;
  config.d_kv = 64;
  EXPECT_EQ(config.inner_dim(), 384);
  EXPECT_EQ(Validate(config), std::nullopt);
}

struct BadField {
  const char* message;
  std::function<void(T5Config&)> set;
};

class ConfigBadFieldTest : public ::testing::TestWithParam<BadField> {};

TEST_P(ConfigBadFieldTest, IsNamedWithItsValueAndItsRange) {
  T5Config config;
  GetParam().set(config);
  EXPECT_THAT(Validate(config), Optional(HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, ConfigBadFieldTest,
    ::testing::Values(
        BadField{"vocab_size is 0; it must be between 1 and 16777216", [](T5Config& c) { c.vocab_size = 0; }},
        BadField{"d_model is -1; it must be between 1", [](T5Config& c) { c.d_model = -1; }},
        BadField{"d_kv is 0; it must be between 1 and 1024", [](T5Config& c) { c.d_kv = 0; }},
        BadField{"d_kv is 1025", [](T5Config& c) { c.d_kv = 1025; }},
        BadField{"d_ff is 0", [](T5Config& c) { c.d_ff = 0; }},
        BadField{"num_layers is 0", [](T5Config& c) { c.num_layers = 0; }},
        BadField{"num_decoder_layers is 2147483647",
                 [](T5Config& c) { c.num_decoder_layers = std::numeric_limits<int>::max(); }},
        BadField{"num_heads is 0", [](T5Config& c) { c.num_heads = 0; }},
        BadField{"relative_attention_num_buckets is 3", [](T5Config& c) { c.relative_attention_num_buckets = 3; }},
        BadField{"relative_attention_max_distance is 16; it must be above half of relative_attention_num_buckets, 16",
                 [](T5Config& c) { c.relative_attention_max_distance = 16; }},
        BadField{"layer_norm_epsilon is 0.0", [](T5Config& c) { c.layer_norm_epsilon = 0.0f; }},
        BadField{"layer_norm_epsilon is nan",
                 [](T5Config& c) { c.layer_norm_epsilon = std::numeric_limits<float>::quiet_NaN(); }},
        BadField{"dropout_rate is 1.0", [](T5Config& c) { c.dropout_rate = 1.0f; }},
        BadField{"decoder_start_token_id is 32128; it must be between 0 and 32127",
                 [](T5Config& c) { c.decoder_start_token_id = 32128; }},
        BadField{"pad_token_id is -1", [](T5Config& c) { c.pad_token_id = -1; }},
        BadField{"eos_token_id is empty", [](T5Config& c) { c.eos_token_ids.clear(); }},
        BadField{"eos_token_id is 40000", [](T5Config& c) {
                   c.eos_token_ids = {1, 40000};
                 }}));

}  // namespace
}  // namespace petit::t5
