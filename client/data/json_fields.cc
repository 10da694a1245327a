#include "client/data/json_fields.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace petit::data {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxFieldsNamed = 12;

// Null where there is none.
const Json* Find(const Json& object, const std::string& name) {
  const auto found = object.find(name);
  if (found != object.end()) return &*found;
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos) return nullptr;
  const auto outer = object.find(name.substr(0, dot));
  return outer == object.end() || !outer->is_object() ? nullptr : Find(*outer, name.substr(dot + 1));
}

std::string Quoted(const std::vector<std::string>& names) {
  return absl::StrCat("\"", absl::StrJoin(names, "\", \""), "\"");
}

// "translation.en" and the like, as one would ask for them.
void AddFieldNames(const Json& object, const std::string& prefix, std::vector<std::string>* names) {
  for (const auto& [name, value] : object.items()) {
    if (names->size() == kMaxFieldsNamed) return;
    if (value.is_object() && prefix.empty()) {
      AddFieldNames(value, name + ".", names);
    } else {
      names->push_back(prefix + name);
    }
  }
}

absl::StatusOr<std::string> Take(const Json& object, std::vector<std::string>* names, const char* what) {
  for (const std::string& name : *names) {
    const Json* value = Find(object, name);
    if (value == nullptr) continue;
    if (!value->is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the field \"", name, "\" is of type ", value->type_name(), "; a string is wanted"));
    }
    std::string text = value->get<std::string>();
    *names = {name};
    return text;
  }
  std::vector<std::string> there;
  AddFieldNames(object, "", &there);
  return absl::InvalidArgumentError(absl::StrCat("the object has no field ", names->size() == 1 ? "" : "of ",
                                                 Quoted(*names), " for the ", what, "; it has ",
                                                 there.empty() ? "none" : Quoted(there)));
}

}  // namespace

absl::StatusOr<TextFields> JsonFields::Extract(std::string_view line) {
  Json object;
  try {
    object = Json::parse(line);
  } catch (const Json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("the line is not JSON from byte ", error.byte, " on; one object a line is wanted (JSON Lines)"));
  } catch (const Json::exception& error) {  // a number beyond all bounds
    return absl::InvalidArgumentError(absl::StrCat("the line is not JSON: ", error.what()));
  }
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the line is of type ", object.type_name(), "; one JSON object a line is wanted"));
  }
  absl::StatusOr<std::string> source = Take(object, &source_names_, "source");
  if (!source.ok()) return source.status();
  absl::StatusOr<std::string> reference = Take(object, &reference_names_, "reference");
  if (!reference.ok()) return reference.status();
  return TextFields{.source = *std::move(source), .reference = *std::move(reference)};
}

}  // namespace petit::data
