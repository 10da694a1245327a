// Reads fields of a JSON document, remembering where it is and the first thing that was wrong.
#ifndef PETIT_CLIENT_REPORT_JSON_READER_H_
#define PETIT_CLIENT_REPORT_JSON_READER_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace petit::report {

// A value of the document with its path. All readers of one document share an error: after the first, what is read is
// of no use, and the document is refused.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& value, std::string path, absl::Status& error)
      : value_(&value), path_(std::move(path)), error_(&error) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  // Notes an error: "PATH.FIELD: MESSAGE".
  void Fail(const char* field, const std::string& message) const;

  // A field that may be null or missing. Wrong types are errors.
  [[nodiscard]] std::optional<double> Number(const char* field) const;
  [[nodiscard]] std::optional<std::int64_t> Integer(const char* field) const;
  [[nodiscard]] std::optional<bool> Bool(const char* field) const;
  [[nodiscard]] std::string Text(const char* field) const;  // empty where there is none
  // A field that must be there, and a text not empty.
  [[nodiscard]] std::string Name(const char* field) const;
  [[nodiscard]] std::int64_t Position(const char* field) const;  // an integer from 0
  // Calls `read` with the object; not where it is null or missing.
  void Object(const char* field, const std::function<void(const JsonReader&)>& read) const;
  // Calls `read` with each object of a list.
  void List(const char* field, const std::function<void(const JsonReader&)>& read, bool required = false) const;
  [[nodiscard]] std::vector<std::string> Texts(const char* field) const;
  [[nodiscard]] std::vector<double> Numbers(const char* field) const;

 private:
  // The field, or null where it is JSON's null or missing.
  [[nodiscard]] const nlohmann::json* Find(const char* field) const;
  [[nodiscard]] const nlohmann::json* Array(const char* field) const;
  void WrongType(const char* field, const char* wanted, const nlohmann::json& found) const;

  const nlohmann::json* value_;
  std::string path_;
  absl::Status* error_;
};

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_JSON_READER_H_
