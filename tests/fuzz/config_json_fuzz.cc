// config.json and generation_config.json.
#include "models/checkpoint/config_json.h"
#include "tests/fuzz/fuzz.h"

using petit::fuzz::Check;

namespace {

void CheckRefusal(const absl::Status& status) {
  Check(absl::IsInvalidArgument(status) && !status.message().empty(), "bad JSON is INVALID_ARGUMENT and says why",
        status.ToString());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using petit::checkpoint::ConfigText;
  using petit::checkpoint::GenerationConfigText;
  const std::string input(petit::fuzz::Text(data, size));
  const auto config = petit::checkpoint::ParseConfig(input, "config.json");
  if (config.ok()) {
    const std::string text = ConfigText(*config, petit::checkpoint::DType::kF32);
    const auto again = petit::checkpoint::ParseConfig(text, "config.json");
    Check(again.ok(), "what is written can be read", text + "\n" + again.status().ToString());
    Check(ConfigText(*again, petit::checkpoint::DType::kF32) == text, "reading and writing changes nothing", text);
  } else {
    CheckRefusal(config.status());
  }
  const petit::t5::T5Config& model = config.ok() ? *config : petit::t5::T5Config();
  const auto generation = petit::checkpoint::ParseGenerationConfig(input, "generation_config.json", model);
  if (!generation.ok()) {
    CheckRefusal(generation.status());
    return 0;
  }
  Check(!petit::checkpoint::ValidateGeneration(*generation, model.vocab_size), "ids lie in the vocabulary");
  const std::string text = GenerationConfigText(*generation);
  const auto again = petit::checkpoint::ParseGenerationConfig(text, "generation_config.json", model);
  Check(again.ok(), "what is written can be read", text + "\n" + again.status().ToString());
  Check(GenerationConfigText(*again) == text, "reading and writing changes nothing", text);
  return 0;
}
