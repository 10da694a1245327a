#include "models/checkpoint/safetensors_json.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "models/checkpoint/json.h"
#include "nlohmann/json.hpp"

namespace petit::checkpoint {
namespace {

constexpr std::size_t kMaxTensors = 65536;
constexpr std::size_t kMaxRank = 8;

// Called by nlohmann's parser; each call returns false to stop it.
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  const std::string& problem() const { return problem_; }
  std::vector<SafetensorsEntry> TakeEntries() { return std::move(entries_); }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(std::int64_t) override { return Unexpected("a negative number"); }
  bool number_float(double, const std::string&) override { return Unexpected("a number that is no 64-bit integer"); }
  bool binary(nlohmann::json::binary_t&) override { return Unexpected("binary data"); }

  bool number_unsigned(std::uint64_t number) override {
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return Unexpected("a number above 2^63 - 1");
    }
    if (state_ == State::kShape) {
      if (entries_.back().shape.size() == kMaxRank)
        return Fail(absl::StrCat("has more than ", kMaxRank, " dimensions"));
      entries_.back().shape.push_back(static_cast<std::int64_t>(number));
      return true;
    }
    if (state_ == State::kOffsets) {
      if (offsets_ == 2) return Fail("has more than two data_offsets; expected [begin, end]");
      (offsets_++ == 0 ? entries_.back().begin : entries_.back().end) = number;
      return true;
    }
    return Unexpected("a number");
  }

  bool string(std::string& text) override {
    if (state_ == State::kMetadata) return true;
    if (state_ != State::kEntry || field_ != Field::kDType) return Unexpected("a string");
    field_ = Field::kNone;
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      if (text == DTypeName(dtype)) {
        entries_.back().dtype = dtype;
        return true;
      }
    }
    return Fail(absl::StrCat("has dtype ", Quote(text), "; expected F32, BF16 or F16"));
  }

  bool start_object(std::size_t) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kTop;
        return true;
      case State::kTop:
        state_ = in_metadata_ ? State::kMetadata : State::kEntry;
        return true;
      default:
        return Unexpected("an object");
    }
  }

  bool key(std::string& key) override {
    if (state_ == State::kMetadata) return true;
    if (state_ == State::kEntry) return EntryKey(key);
    if (!names_.insert(key).second) return FailFile(absl::StrCat("has the tensor ", Quote(key), " twice"));
    in_metadata_ = key == "__metadata__";
    if (in_metadata_) return true;
    if (entries_.size() == kMaxTensors) return FailFile(absl::StrCat("has more than ", kMaxTensors, " tensors"));
    entries_.emplace_back().name = key;
    seen_dtype_ = seen_shape_ = seen_offsets_ = false;
    offsets_ = 0;
    return true;
  }

  bool end_object() override {
    if (state_ == State::kTop) {
      state_ = State::kEnd;
      return true;
    }
    if (state_ == State::kEntry && !(seen_dtype_ && seen_shape_ && seen_offsets_)) {
      return Fail("lacks one of dtype, shape, data_offsets");
    }
    state_ = State::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ == State::kEntry && field_ == Field::kShape) {
      state_ = State::kShape;
    } else if (state_ == State::kEntry && field_ == Field::kOffsets) {
      state_ = State::kOffsets;
    } else {
      return Unexpected("an array");
    }
    field_ = Field::kNone;
    return true;
  }

  bool end_array() override {
    if (state_ == State::kOffsets && offsets_ != 2)
      return Fail("has fewer than two data_offsets; expected [begin, end]");
    state_ = State::kEntry;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return FailFile(absl::StrCat("is not well-formed JSON at byte ", position));
  }

 private:
  enum class State { kStart, kTop, kEntry, kShape, kOffsets, kMetadata, kEnd };
  enum class Field { kNone, kDType, kShape, kOffsets };

  bool EntryKey(const std::string& key) {
    bool* seen = nullptr;
    if (key == "dtype") {
      field_ = Field::kDType;
      seen = &seen_dtype_;
    } else if (key == "shape") {
      field_ = Field::kShape;
      seen = &seen_shape_;
    } else if (key == "data_offsets") {
      field_ = Field::kOffsets;
      seen = &seen_offsets_;
    } else {
      return Fail(absl::StrCat("has the unknown field ", Quote(key), "; expected dtype, shape, data_offsets"));
    }
    if (*seen) return Fail(absl::StrCat("has the field ", Quote(key), " twice"));
    *seen = true;
    return true;
  }

  bool FailFile(std::string problem) {
    problem_ = absl::StrCat("the header ", problem);
    return false;
  }

  bool Fail(absl::string_view problem) {
    problem_ = absl::StrCat("tensor ", Quote(entries_.back().name), " ", problem);
    return false;
  }

  bool Unexpected(absl::string_view what) {
    if (state_ == State::kStart || state_ == State::kEnd) return FailFile(absl::StrCat("is ", what, ", not an object"));
    if (in_metadata_) return FailFile(absl::StrCat("has ", what, " in __metadata__; expected strings"));
    return Fail(absl::StrCat("has ", what,
                             " in a wrong place; expected {\"dtype\": string, \"shape\": [int, ...], "
                             "\"data_offsets\": [begin, end]}"));
  }

  State state_ = State::kStart;
  Field field_ = Field::kNone;  // of the entry: its key came, its value is next
  bool in_metadata_ = false;
  bool seen_dtype_ = false;
  bool seen_shape_ = false;
  bool seen_offsets_ = false;
  int offsets_ = 0;
  absl::flat_hash_set<std::string> names_;
  std::vector<SafetensorsEntry> entries_;
  std::string problem_;
};

}  // namespace

absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsJson(absl::string_view text, const std::string& path) {
  // The parser takes a NUL for the end and would not see what follows.
  if (text.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the header contains a NUL byte; expected JSON text"));
  }
  HeaderHandler handler;
  const bool ok = nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  if (!ok) return absl::InvalidArgumentError(absl::StrCat(path, ": ", handler.problem()));
  return handler.TakeEntries();
}

}  // namespace petit::checkpoint
