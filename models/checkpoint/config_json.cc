#include "models/checkpoint/config_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "models/checkpoint/json.h"
#include "nlohmann/json.hpp"

namespace petit::checkpoint {
namespace {

using nlohmann::json;

// Reads optional fields of an object and keeps the first error.
class Fields {
 public:
  Fields(const json& object, const std::string& path) : object_(object), path_(path) {}

  template <typename Integer>
  void Int(const char* name, Integer& value) {
    const json* field = Find(name);
    if (field == nullptr) return;
    if (const auto integer = ToInt32(*field)) {
      value = *integer;
    } else {
      Expect(name, "a 32-bit integer");
    }
  }

  void Float(const char* name, float& value) {
    const json* field = Find(name);
    if (field == nullptr) return;
    if (field->is_number()) {
      value = static_cast<float>(field->get<double>());
    } else {
      Expect(name, "a number");
    }
  }

  bool Bool(const char* name, bool& value) {
    const json* field = Find(name);
    if (field == nullptr) return false;
    if (field->is_boolean()) {
      value = field->get<bool>();
    } else {
      Expect(name, "true or false");
    }
    return true;
  }

  bool String(const char* name, std::string& value) {
    const json* field = Find(name);
    if (field == nullptr) return false;
    if (field->is_string()) {
      value = field->get_ref<const std::string&>();
    } else {
      Expect(name, "a string");
    }
    return true;
  }

  // One id or a list of ids.
  void Ids(const char* name, std::vector<std::int32_t>& value) {
    const json* field = Find(name);
    if (field == nullptr) return;
    const json list = field->is_array() ? *field : json::array({*field});
    std::vector<std::int32_t> ids;
    for (const json& element : list) {
      const auto id = ToInt32(element);
      if (!id) return Expect(name, "a 32-bit integer or a list of them");
      ids.push_back(*id);
    }
    value = std::move(ids);
  }

  void Fail(absl::string_view problem) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(path_, ": ", problem));
  }

  const absl::Status& status() const { return status_; }

 private:
  const json* Find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  static std::optional<std::int32_t> ToInt32(const json& value) {
    if (!value.is_number_integer()) return std::nullopt;
    // An unsigned number above 2^63 would wrap when read as signed.
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<std::int32_t>::max()) {
      return std::nullopt;
    }
    const auto number = value.get<std::int64_t>();
    if (number < std::numeric_limits<std::int32_t>::min() || number > std::numeric_limits<std::int32_t>::max()) {
      return std::nullopt;
    }
    return static_cast<std::int32_t>(number);
  }

  void Expect(const char* name, absl::string_view expected) {
    Fail(absl::StrCat(name, " is ", Quote(object_.at(name).dump(-1, ' ', false, json::error_handler_t::replace)),
                      "; expected ", expected));
  }

  const json& object_;
  const std::string& path_;
  absl::Status status_;
};

std::optional<t5::Activation> ActivationOf(absl::string_view name) {
  static constexpr std::pair<absl::string_view, t5::Activation> kNames[] = {
      {"relu", t5::Activation::kRelu},
      {"gelu_new", t5::Activation::kGeluNew},
      {"gelu_pytorch_tanh", t5::Activation::kGeluNew},  // the same formula
      {"gelu_python_tanh", t5::Activation::kGeluNew},
      {"gelu", t5::Activation::kGelu},
      {"gelu_python", t5::Activation::kGelu},
      {"silu", t5::Activation::kSilu},
      {"swish", t5::Activation::kSilu},
  };
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  return std::nullopt;
}

const char* ActivationName(const t5::T5Config& config) {
  switch (config.activation) {
    case t5::Activation::kRelu:
      return "relu";
    case t5::Activation::kGeluNew:
      return "gelu_new";
    case t5::Activation::kGelu:
      // "gated-gelu" means gelu_new; this name of the exact form has no second meaning.
      return config.gated ? "gelu_python" : "gelu";
    case t5::Activation::kSilu:
      return "silu";
  }
  return "";
}

std::string FeedForwardProj(const t5::T5Config& config) {
  if (!config.gated) return std::string(ActivationName(config));
  if (config.activation == t5::Activation::kGeluNew) return "gated-gelu";
  return absl::StrCat("gated-", ActivationName(config));
}

// feed_forward_proj gives the default; dense_act_fn and is_gated_act overrule it where they are set, as in
// T5Config.
void ParseFeedForward(Fields& fields, std::string projection, t5::T5Config& config) {
  fields.String("feed_forward_proj", projection);
  absl::string_view rest = projection;
  config.gated = absl::ConsumePrefix(&rest, "gated-");
  std::string activation = projection == "gated-gelu" ? "gelu_new" : std::string(rest);
  const bool overruled = fields.String("dense_act_fn", activation);
  fields.Bool("is_gated_act", config.gated);
  if (const auto known = ActivationOf(activation)) {
    config.activation = *known;
  } else {
    fields.Fail(absl::StrCat(overruled ? "dense_act_fn" : "feed_forward_proj", " is ",
                             Quote(overruled ? activation : projection),
                             "; expected relu, gelu, gelu_new or silu (feed_forward_proj: also with gated- in front)"));
  }
}

// The shortest decimal number that reads as this float: 1e-06, not 9.999999974752427e-07.
double ShortestDecimal(float value) {
  std::array<char, 64> text;
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  double decimal = value;
  std::from_chars(text.data(), result.ptr, decimal);
  return decimal;
}

json IdsJson(const std::vector<std::int32_t>& ids) { return ids.size() == 1 ? json(ids.front()) : json(ids); }

const char* TorchDType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kBF16:
      return "bfloat16";
    case DType::kF16:
      return "float16";
  }
  return "";
}

}  // namespace

absl::StatusOr<t5::T5Config> ParseConfig(absl::string_view text, const std::string& path) {
  const absl::StatusOr<json> object = ParseJsonObject(text, path);
  if (!object.ok()) return object.status();
  Fields fields(*object, path);

  t5::T5Config config;
  std::string model_type;
  fields.String("model_type", model_type);
  const bool mt5 = model_type == "mt5";
  if (fields.status().ok() && model_type != "t5" && !mt5) {
    fields.Fail(absl::StrCat("model_type is ", Quote(model_type), "; expected t5 or mt5"));
  }
  if (mt5) {
    config.vocab_size = 250112;
    config.d_ff = 1024;
    config.num_layers = 8;
    config.num_heads = 6;
    config.tie_word_embeddings = false;
  }

  fields.Int("vocab_size", config.vocab_size);
  fields.Int("d_model", config.d_model);
  fields.Int("d_kv", config.d_kv);
  fields.Int("d_ff", config.d_ff);
  fields.Int("num_layers", config.num_layers);
  config.num_decoder_layers = config.num_layers;
  fields.Int("num_decoder_layers", config.num_decoder_layers);
  fields.Int("num_heads", config.num_heads);
  fields.Int("relative_attention_num_buckets", config.relative_attention_num_buckets);
  fields.Int("relative_attention_max_distance", config.relative_attention_max_distance);
  fields.Float("layer_norm_epsilon", config.layer_norm_epsilon);
  fields.Float("dropout_rate", config.dropout_rate);
  ParseFeedForward(fields, mt5 ? "gated-gelu" : "relu", config);
  fields.Bool("tie_word_embeddings", config.tie_word_embeddings);
  // Files of transformers 5 always say tied; whether the decoder's output is scaled, which is what tells T5 v1.0
  // from v1.1, has a field of its own there.
  fields.Bool("scale_decoder_outputs", config.tie_word_embeddings);
  fields.Int("pad_token_id", config.pad_token_id);
  config.decoder_start_token_id = config.pad_token_id;
  fields.Int("decoder_start_token_id", config.decoder_start_token_id);
  fields.Ids("eos_token_id", config.eos_token_ids);

  if (fields.status().ok()) {
    if (const auto problem = t5::Validate(config)) fields.Fail(*problem);
  }
  if (!fields.status().ok()) return fields.status();
  return config;
}

std::optional<std::string> ValidateGeneration(const GenerationConfig& generation, int vocab_size) {
  const auto outside = [vocab_size](std::int32_t id) { return id < 0 || id >= vocab_size; };
  const auto describe = [vocab_size](absl::string_view field, std::int32_t id) {
    return absl::StrCat(field, " is ", id, "; it must be between 0 and ", vocab_size - 1);
  };
  if (outside(generation.decoder_start_token_id)) {
    return describe("decoder_start_token_id", generation.decoder_start_token_id);
  }
  if (outside(generation.pad_token_id)) return describe("pad_token_id", generation.pad_token_id);
  if (generation.eos_token_ids.empty()) return "eos_token_id is empty; it must name at least one token";
  const auto bad = std::find_if(generation.eos_token_ids.begin(), generation.eos_token_ids.end(), outside);
  if (bad != generation.eos_token_ids.end()) return describe("eos_token_id", *bad);
  return std::nullopt;
}

absl::StatusOr<GenerationConfig> ParseGenerationConfig(absl::string_view text, const std::string& path,
                                                       const t5::T5Config& config) {
  const absl::StatusOr<json> object = ParseJsonObject(text, path);
  if (!object.ok()) return object.status();
  Fields fields(*object, path);
  GenerationConfig generation = {.decoder_start_token_id = config.decoder_start_token_id,
                                 .pad_token_id = config.pad_token_id,
                                 .eos_token_ids = config.eos_token_ids};
  fields.Int("decoder_start_token_id", generation.decoder_start_token_id);
  fields.Int("pad_token_id", generation.pad_token_id);
  fields.Ids("eos_token_id", generation.eos_token_ids);
  if (fields.status().ok()) {
    if (const auto problem = ValidateGeneration(generation, config.vocab_size)) fields.Fail(*problem);
  }
  if (!fields.status().ok()) return fields.status();
  return generation;
}

std::string ConfigText(const t5::T5Config& config, DType dtype) {
  nlohmann::ordered_json object;
  object["architectures"] = {"T5ForConditionalGeneration"};
  object["model_type"] = "t5";
  object["is_encoder_decoder"] = true;
  object["vocab_size"] = config.vocab_size;
  object["d_model"] = config.d_model;
  object["d_kv"] = config.d_kv;
  object["d_ff"] = config.d_ff;
  object["num_layers"] = config.num_layers;
  object["num_decoder_layers"] = config.num_decoder_layers;
  object["num_heads"] = config.num_heads;
  object["relative_attention_num_buckets"] = config.relative_attention_num_buckets;
  object["relative_attention_max_distance"] = config.relative_attention_max_distance;
  object["layer_norm_epsilon"] = ShortestDecimal(config.layer_norm_epsilon);
  object["dropout_rate"] = ShortestDecimal(config.dropout_rate);
  object["classifier_dropout"] = 0.0;
  object["initializer_factor"] = 1.0;
  object["feed_forward_proj"] = FeedForwardProj(config);
  object["dense_act_fn"] = ActivationName(config);
  object["is_gated_act"] = config.gated;
  object["tie_word_embeddings"] = config.tie_word_embeddings;
  object["decoder_start_token_id"] = config.decoder_start_token_id;
  object["pad_token_id"] = config.pad_token_id;
  object["eos_token_id"] = IdsJson(config.eos_token_ids);
  object["torch_dtype"] = TorchDType(dtype);
  object["use_cache"] = true;
  return object.dump(2) + "\n";
}

std::string GenerationConfigText(const GenerationConfig& generation) {
  nlohmann::ordered_json object;
  object["decoder_start_token_id"] = generation.decoder_start_token_id;
  object["pad_token_id"] = generation.pad_token_id;
  object["eos_token_id"] = IdsJson(generation.eos_token_ids);
  return object.dump(2) + "\n";
}

}  // namespace petit::checkpoint
