#include "client/eval/text_proto.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/data/text.h"

namespace petit::eval {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

class Errors final : public google::protobuf::io::ErrorCollector {
 public:
  explicit Errors(const std::string& name) : name_(name) {}

  void AddError(int line, int column, const std::string& message) override {
    absl::StrAppend(&text_, text_.empty() ? "" : "\n", name_, ":");
    if (line >= 0) absl::StrAppend(&text_, line + 1, ":", column + 1, ":");  // -1: of the file as a whole
    absl::StrAppend(&text_, " ", message);
  }
  void AddWarning(int /*line*/, int /*column*/, const std::string& /*message*/) override {}

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  const std::string& name_;
  std::string text_;
};

}  // namespace

absl::StatusOr<std::string> ReadDocument(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is longer than ", kMaxBytes, " bytes"));
  }
  return text;
}

absl::Status ParseDocument(const std::string& text, const std::string& name, google::protobuf::Message& message) {
  Errors errors(name);
  if (const std::optional<std::size_t> bad = data::FindInvalidUtf8(text)) {
    const std::string before = text.substr(0, *bad);
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    errors.AddError(static_cast<int>(std::count(before.begin(), before.end(), '\n')),
                    static_cast<int>(*bad - line_start), "this byte is not valid UTF-8");
    return absl::InvalidArgumentError(errors.text());
  }
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  if (!parser.ParseFromString(text, &message)) return absl::InvalidArgumentError(errors.text());
  return absl::OkStatus();
}

}  // namespace petit::eval
