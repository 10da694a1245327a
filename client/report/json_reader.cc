#include "client/report/json_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::report {

using nlohmann::json;

void JsonReader::Fail(const char* field, const std::string& message) const {
  if (!error_->ok()) return;
  *error_ = absl::InvalidArgumentError(absl::StrCat(path_, *field == '\0' ? "" : ".", field, ": ", message));
}

void JsonReader::WrongType(const char* field, const char* wanted, const json& found) const {
  Fail(field, absl::StrCat("want ", wanted, ", not ", found.type_name()));
}

const json* JsonReader::Find(const char* field) const {
  const auto at = value_->find(field);
  return at == value_->end() || at->is_null() ? nullptr : &*at;
}

const json* JsonReader::Array(const char* field) const {
  const json* found = Find(field);
  if (found != nullptr && !found->is_array()) {
    WrongType(field, "an array", *found);
    return nullptr;
  }
  return found;
}

std::optional<double> JsonReader::Number(const char* field) const {
  const json* found = Find(field);
  if (found == nullptr) return std::nullopt;
  if (!found->is_number()) {
    WrongType(field, "a number or null", *found);
    return std::nullopt;
  }
  return found->get<double>();
}

std::optional<std::int64_t> JsonReader::Integer(const char* field) const {
  const json* found = Find(field);
  if (found == nullptr) return std::nullopt;
  const bool fits = !found->is_number_unsigned() || found->get<std::uint64_t>() <= std::uint64_t{INT64_MAX};
  if (!found->is_number_integer() || !fits) {
    WrongType(field, fits ? "an integer or null" : "an integer of 64 bits or null", *found);
    return std::nullopt;
  }
  return found->get<std::int64_t>();
}

std::optional<bool> JsonReader::Bool(const char* field) const {
  const json* found = Find(field);
  if (found == nullptr) return std::nullopt;
  if (!found->is_boolean()) {
    WrongType(field, "true or false", *found);
    return std::nullopt;
  }
  return found->get<bool>();
}

std::string JsonReader::Text(const char* field) const {
  const json* found = Find(field);
  if (found == nullptr) return "";
  if (!found->is_string()) {
    WrongType(field, "a string", *found);
    return "";
  }
  return found->get<std::string>();
}

std::string JsonReader::Name(const char* field) const {
  std::string name = Text(field);
  if (name.empty()) Fail(field, "want a string that is not empty");
  return name;
}

std::int64_t JsonReader::Position(const char* field) const {
  const std::optional<std::int64_t> position = Integer(field);
  if (!position || *position < 0) Fail(field, "want an integer that is not negative");
  return position.value_or(0);
}

void JsonReader::Object(const char* field, const std::function<void(const JsonReader&)>& read) const {
  const json* found = Find(field);
  if (found == nullptr) return;
  if (!found->is_object()) return WrongType(field, "an object or null", *found);
  read({*found, absl::StrCat(path_, ".", field), *error_});
}

void JsonReader::List(const char* field, const std::function<void(const JsonReader&)>& read, bool required) const {
  const json* found = Array(field);
  if (found == nullptr) {
    if (required) Fail(field, "want an array of objects");
    return;
  }
  for (std::size_t i = 0; i < found->size(); ++i) {
    const JsonReader element((*found)[i], absl::StrCat(path_, ".", field, "[", i, "]"), *error_);
    if (!(*found)[i].is_object()) return element.WrongType("", "an object", (*found)[i]);
    read(element);
    if (!error_->ok()) return;
  }
}

std::vector<std::string> JsonReader::Texts(const char* field) const {
  std::vector<std::string> texts;
  const json* found = Array(field);
  for (std::size_t i = 0; found != nullptr && i < found->size(); ++i) {
    if (!(*found)[i].is_string()) {
      WrongType(absl::StrCat(field, "[", i, "]").c_str(), "a string", (*found)[i]);
      break;
    }
    texts.push_back((*found)[i].get<std::string>());
  }
  return texts;
}

std::vector<double> JsonReader::Numbers(const char* field) const {
  std::vector<double> numbers;
  const json* found = Array(field);
  for (std::size_t i = 0; found != nullptr && i < found->size(); ++i) {
    if (!(*found)[i].is_number()) {
      WrongType(absl::StrCat(field, "[", i, "]").c_str(), "a number", (*found)[i]);
      break;
    }
    numbers.push_back((*found)[i].get<double>());
  }
  return numbers;
}

}  // namespace petit::report
