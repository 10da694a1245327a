#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/tokenizer.h"
#include "server/config/checks.h"

namespace petit::serving {
namespace {

// Keeps the first error: what follows a syntax error is noise.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (!message_.empty()) return;
    where_ = {std::max(line, 0) + 1, std::max(column, 0) + 1};
    message_ = message.empty() ? "syntax error" : message;
  }
  void AddWarning(int /*line*/, int /*column*/, const std::string& /*message*/) override {}

  Position where() const { return where_; }
  const std::string& message() const { return message_; }

 private:
  Position where_;
  std::string message_;
};

}  // namespace

std::string ResolvePath(std::string_view base_directory, std::string_view path) {
  std::filesystem::path full = (std::filesystem::path(base_directory) / path).lexically_normal();
  if (!full.has_filename() && full.has_relative_path()) full = full.parent_path();
  return full.string();
}

bool ParseText(std::string_view text, google::protobuf::Message* message,
               google::protobuf::TextFormat::ParseInfoTree* tree, Complaints* complaints) {
  FirstError syntax_error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&syntax_error);
  parser.WriteLocationsTo(tree);
  if (parser.ParseFromString(std::string(text), message)) return true;
  complaints->Add(syntax_error.where(),
                  absl::StrCat(syntax_error.message(), "; the file must be a ", message->GetDescriptor()->full_name(),
                               " in Protobuf's text format"));
  return false;
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, std::string_view what) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": there is no such ", std::string(what)));
  }
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory; name the ", std::string(what), " in it"));
  }
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  if (!stream || !(text << stream.rdbuf() || stream.peek() == std::ifstream::traits_type::eof()) || stream.bad()) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": cannot be read: ", std::generic_category().message(errno)));
  }
  return text.str();
}

}  // namespace petit::serving
