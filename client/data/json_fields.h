// Two texts out of JSON objects.
#ifndef PETIT_CLIENT_DATA_JSON_FIELDS_H_
#define PETIT_CLIENT_DATA_JSON_FIELDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace petit::data {

struct TextFields {
  std::string source;
  std::string reference;
};

// Takes the same two fields out of every line. A field is a name, or names with dots between for an object inside an
// object ("translation.en"); a name that has the dots itself goes before.
class JsonFields {
 public:
  // Of each list of names the first that the first line has counts, for all lines.
  JsonFields(std::vector<std::string> source_names, std::vector<std::string> reference_names)
      : source_names_(std::move(source_names)), reference_names_(std::move(reference_names)) {}

  // `line` is valid UTF-8. INVALID_ARGUMENT: not an object, or without the texts; the message says what would be right.
  [[nodiscard]] absl::StatusOr<TextFields> Extract(std::string_view line);

  // Known after the first line.
  [[nodiscard]] const std::vector<std::string>& source_names() const { return source_names_; }
  [[nodiscard]] const std::vector<std::string>& reference_names() const { return reference_names_; }

 private:
  std::vector<std::string> source_names_;
  std::vector<std::string> reference_names_;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_JSON_FIELDS_H_
