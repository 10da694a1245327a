#include "models/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/checkpoint/json.h"
#include "models/checkpoint/safetensors_json.h"

namespace petit::checkpoint {
namespace {

// The limit of the reference implementation; a T5-XXL's header has 60 KB.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

absl::Status Invalid(const ReadableFile& file, const std::string& problem) {
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": ", problem));
}

std::string Describe(const SafetensorsEntry& entry) { return absl::StrCat("tensor ", Quote(entry.name)); }

absl::StatusOr<std::uint64_t> HeaderLength(const ReadableFile& file) {
  if (file.size() < kHeaderLengthBytes) {
    return Invalid(file, absl::StrCat("has ", file.size(), " bytes; a safetensors file begins with 8 bytes of length"));
  }
  std::array<std::byte, kHeaderLengthBytes> bytes;
  if (auto status = file.ReadAt(0, absl::MakeSpan(bytes)); !status.ok()) return status;
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  if (length > file.size() - kHeaderLengthBytes) {
    return Invalid(
        file, absl::StrCat("the header's length is ", length, " bytes, but only ", file.size() - kHeaderLengthBytes,
                           " bytes follow; the file is cut or is no "
                           "safetensors file"));
  }
  if (length > kMaxHeaderBytes) {
    return Invalid(
        file, absl::StrCat("the header's length is ", length, " bytes; at most ", kMaxHeaderBytes, " are allowed"));
  }
  return length;
}

// The byte count that dtype and shape ask for, against the one of the offsets.
absl::Status CheckSize(const ReadableFile& file, const SafetensorsEntry& entry) {
  if (entry.end < entry.begin) {
    return Invalid(file, absl::StrCat(Describe(entry), " has data_offsets [", entry.begin, ", ", entry.end,
                                      "]; the end must not be before the beginning"));
  }
  const std::string shape = absl::StrCat("[", absl::StrJoin(entry.shape, ", "), "]");
  std::uint64_t bytes = DTypeSize(entry.dtype);
  bool overflow = false;
  bool empty = false;
  for (const std::int64_t size : entry.shape) {
    empty = empty || size == 0;
    overflow = overflow || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes);
  }
  if (overflow && !empty)
    return Invalid(file, absl::StrCat(Describe(entry), " has shape ", shape, ", which overflows"));
  if (empty) bytes = 0;
  if (bytes != entry.end - entry.begin) {
    return Invalid(file, absl::StrCat(Describe(entry), " has ", entry.end - entry.begin, " bytes of data; its shape ",
                                      shape, " of ", std::string(DTypeName(entry.dtype)), " needs ", bytes));
  }
  return absl::OkStatus();
}

// Sorted entries must fill [0, data_bytes) one after the other.
absl::Status CheckLayout(const ReadableFile& file, const std::vector<SafetensorsEntry>& entries,
                         std::uint64_t data_bytes) {
  std::uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != expected) {
      return Invalid(
          file,
          absl::StrCat(Describe(entry), " begins at byte ", entry.begin, " of the data; expected ", expected,
                       entry.begin < expected ? ": it overlaps the tensor before it" : ": there is a gap before it"));
    }
    if (entry.end > data_bytes) {
      return Invalid(file, absl::StrCat(Describe(entry), " ends at byte ", entry.end, " of the data, but the file has ",
                                        data_bytes, " bytes of data"));
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    return Invalid(file, absl::StrCat("has ", data_bytes - expected, " bytes behind the last tensor; expected none"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(const ReadableFile& file) {
  const absl::StatusOr<std::uint64_t> length = HeaderLength(file);
  if (!length.ok()) return length.status();
  std::string text(*length, '\0');
  const auto text_bytes = absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size());
  if (auto status = file.ReadAt(kHeaderLengthBytes, text_bytes); !status.ok()) return status;

  absl::StatusOr<std::vector<SafetensorsEntry>> entries = ParseSafetensorsJson(text, file.path());
  if (!entries.ok()) return entries.status();
  for (const SafetensorsEntry& entry : *entries) {
    if (auto status = CheckSize(file, entry); !status.ok()) return status;
  }
  std::sort(entries->begin(), entries->end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    // By the end too: an empty tensor comes before the one that begins at the same byte.
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  const std::uint64_t data_start = kHeaderLengthBytes + *length;
  if (auto status = CheckLayout(file, *entries, file.size() - data_start); !status.ok()) return status;
  for (SafetensorsEntry& entry : *entries) {
    entry.begin += data_start;
    entry.end += data_start;
  }
  return entries;
}

}  // namespace petit::checkpoint
