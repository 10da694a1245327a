#include "models/tokenizer/config.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

namespace petit::tokenizer {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxExtraIds = 100'000;

// Leaves `value` alone where the field is absent or null, as Hugging Face does.
bool ReadBool(const Json& root, const char* field, bool* value, std::string* error) {
  const auto found = root.find(field);
  if (found == root.end() || found->is_null()) return true;
  if (!found->is_boolean()) {
    *error = std::string("\"") + field + "\" is " + found->type_name() + ", must be true or false";
    return false;
  }
  *value = found->get<bool>();
  return true;
}

bool ReadExtraIds(const Json& root, int* extra_ids, std::string* error) {
  const auto found = root.find("extra_ids");
  if (found == root.end() || found->is_null()) return true;
  // The comparison with the bounds is done in 64 bits; what JSON holds beyond them is a float or unsigned.
  if (!found->is_number_integer() || *found < 0 || *found > kMaxExtraIds) {
    *error = "\"extra_ids\" is " + found->dump() + ", must be an integer of 0 to " + std::to_string(kMaxExtraIds);
    return false;
  }
  *extra_ids = found->get<int>();
  return true;
}

bool Parse(std::istream& stream, Config* config, std::string* error) {
  const Json root = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded() || !root.is_object()) {
    *error = "is not a JSON object";
    return false;
  }
  return ReadExtraIds(root, &config->extra_ids, error) && ReadBool(root, "legacy", &config->legacy, error) &&
         ReadBool(root, "clean_up_tokenization_spaces", &config->clean_up_tokenization_spaces, error);
}

}  // namespace

bool ReadConfig(const std::string& directory, Config* config, std::string* error) {
  const std::filesystem::path path = std::filesystem::path(directory) / "tokenizer_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return true;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    *error = path.string() + ": cannot be read";
    return false;
  }
  std::string reason;
  if (!Parse(stream, config, &reason)) {
    *error = path.string() + ": " + reason;
    return false;
  }
  return true;
}

}  // namespace petit::tokenizer
