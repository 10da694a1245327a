#include "server/rpc/oip_parameters.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/printable.h"

namespace petit::serving {
namespace {

using inference::InferParameter;
using v1::DecodingOptions;
using v1::TranslateOptions;

// How a value reaches its option; false where its type or size is wrong.
using Setter = bool (*)(const InferParameter& value, TranslateOptions* options);

struct Parameter {
  const char* name;
  const char* wanted;
  Setter set;
};

template <void (DecodingOptions::*Set)(std::int32_t)>
bool SetInt(const InferParameter& value, TranslateOptions* options) {
  constexpr std::int64_t kLowest = std::numeric_limits<std::int32_t>::min();
  constexpr std::int64_t kHighest = std::numeric_limits<std::int32_t>::max();
  std::int64_t number = kHighest + 1;
  if (value.has_int64_param()) number = value.int64_param();
  if (value.has_uint64_param()) {
    number = static_cast<std::int64_t>(std::min<std::uint64_t>(value.uint64_param(), kHighest + 1));
  }
  if (number < kLowest || number > kHighest) return false;
  (options->mutable_decoding()->*Set)(static_cast<std::int32_t>(number));
  return true;
}

template <void (DecodingOptions::*Set)(float)>
bool SetFloat(const InferParameter& value, TranslateOptions* options) {
  if (!value.has_double_param() && !value.has_int64_param()) return false;
  const double number = value.has_double_param() ? value.double_param() : static_cast<double>(value.int64_param());
  // What no float can hold is infinite, which Translate refuses by name.
  constexpr double kHighest = std::numeric_limits<float>::max();
  const bool fits = !(number > kHighest || number < -kHighest);
  (options->mutable_decoding()->*Set)(fits ? static_cast<float>(number) : std::numeric_limits<float>::infinity());
  return true;
}

// Protobuf's setters of strings are templates, of which no pointer can be taken.
template <std::string* (TranslateOptions::*Mutable)()>
bool SetText(const InferParameter& value, TranslateOptions* options) {
  if (!value.has_string_param()) return false;
  *(options->*Mutable)() = value.string_param();
  return true;
}

bool SetSeed(const InferParameter& value, TranslateOptions* options) {
  const bool right = value.has_uint64_param() || (value.has_int64_param() && value.int64_param() >= 0);
  if (!right) return false;
  options->mutable_decoding()->set_seed(value.has_uint64_param() ? value.uint64_param()
                                                                 : static_cast<std::uint64_t>(value.int64_param()));
  return true;
}

bool SetSampling(const InferParameter& value, TranslateOptions* options) {
  if (!value.has_bool_param()) return false;
  options->mutable_decoding()->set_do_sample(value.bool_param());
  return true;
}

bool SetParagraphs(const InferParameter& value, TranslateOptions* options) {
  if (!value.has_bool_param()) return false;
  options->set_split_paragraphs(value.bool_param());
  return true;
}

bool SetEarlyStopping(const InferParameter& value, TranslateOptions* options) {
  if (value.has_string_param() && value.string_param() == "never") {
    options->mutable_decoding()->set_early_stopping(DecodingOptions::EARLY_STOPPING_NEVER);
    return true;
  }
  if (!value.has_bool_param()) return false;
  options->mutable_decoding()->set_early_stopping(value.bool_param() ? DecodingOptions::EARLY_STOPPING_TRUE
                                                                     : DecodingOptions::EARLY_STOPPING_FALSE);
  return true;
}

constexpr char kInt[] = "an int64 or uint64 of 32 bits";
constexpr char kFloat[] = "a double or an int64";
constexpr char kBool[] = "a bool";
constexpr char kString[] = "a string";

constexpr Parameter kParameters[] = {
    {"do_sample", kBool, SetSampling},
    {"early_stopping", "a bool, or the string \"never\"", SetEarlyStopping},
    {"length_penalty", kFloat, SetFloat<&DecodingOptions::set_length_penalty>},
    {"max_new_tokens", kInt, SetInt<&DecodingOptions::set_max_new_tokens>},
    {"min_new_tokens", kInt, SetInt<&DecodingOptions::set_min_new_tokens>},
    {"no_repeat_ngram_size", kInt, SetInt<&DecodingOptions::set_no_repeat_ngram_size>},
    {"num_beams", kInt, SetInt<&DecodingOptions::set_num_beams>},
    {"prompt_override", kString, SetText<&TranslateOptions::mutable_prompt_override>},
    {"repetition_penalty", kFloat, SetFloat<&DecodingOptions::set_repetition_penalty>},
    {"seed", "a uint64, or an int64 of 0 or more", SetSeed},
    {"source_language", kString, SetText<&TranslateOptions::mutable_source_language>},
    {"split_paragraphs", kBool, SetParagraphs},
    {"target_language", kString, SetText<&TranslateOptions::mutable_target_language>},
    {"temperature", kFloat, SetFloat<&DecodingOptions::set_temperature>},
    {"top_k", kInt, SetInt<&DecodingOptions::set_top_k>},
    {"top_p", kFloat, SetFloat<&DecodingOptions::set_top_p>},
};

std::string KnownNames() {
  return absl::StrJoin(kParameters, ", ", [](std::string* out, const Parameter& known) { out->append(known.name); });
}

}  // namespace

absl::Status ReadInferParameters(const inference::ModelInferRequest& request, v1::TranslateOptions* options) {
  for (const auto& [name, value] : request.parameters()) {
    const auto* known = std::find_if(std::begin(kParameters), std::end(kParameters),
                                     [&name = name](const Parameter& candidate) { return name == candidate.name; });
    if (known == std::end(kParameters)) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no parameter \"", Printable(name, 64), "\"; there are ", KnownNames()));
    }
    if (!known->set(value, options)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the parameter ", known->name, " has a value of another kind; it must be ", known->wanted));
    }
  }
  return absl::OkStatus();
}

}  // namespace petit::serving
