#include "models/tokenizer/charsmap.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "models/tokenizer/tokenizer.h"

namespace petit::tokenizer {
namespace {

// Fields of sentencepiece_model.proto.
constexpr std::uint64_t kNormalizerSpec = 3;       // of ModelProto
constexpr std::uint64_t kDenormalizerSpec = 5;     // of ModelProto
constexpr std::uint64_t kPrecompiledCharsmap = 2;  // of NormalizerSpec

// The results of one look-up that SentencePiece has room for.
constexpr int kMaxMatches = 32;
// Far beyond the longest rule; what is deeper is a loop.
constexpr int kMaxDepth = 256;

// One field of a serialized protocol buffer; `bytes` is empty for numbers.
struct Field {
  std::uint64_t number = 0;
  std::string_view bytes;
};

std::optional<std::uint64_t> TakeVarint(std::string_view* data) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !data->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(data->front());
    data->remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<Field> TakeField(std::string_view* data) {
  const auto tag = TakeVarint(data);
  if (!tag) return std::nullopt;
  Field field{.number = *tag >> 3, .bytes = {}};
  std::uint64_t skip = 0;
  switch (*tag & 7) {
    case 0:
      return TakeVarint(data) ? std::optional(field) : std::nullopt;
    case 1:
      skip = 8;
      break;
    case 5:
      skip = 4;
      break;
    case 2: {
      const auto length = TakeVarint(data);
      if (!length || *length > data->size()) return std::nullopt;
      field.bytes = data->substr(0, *length);
      skip = *length;
      break;
    }
    default:
      return std::nullopt;
  }
  if (skip > data->size()) return std::nullopt;
  data->remove_prefix(skip);
  return field;
}

// A double array as darts-clone lays it out: of a 32-bit unit, bits 0-7 and 31 are the label, bit 8 says that a leaf
// hangs on it, bits 10-30 are the offset to its children, times 256 where bit 9 is set. A leaf holds a 31-bit value.
class Trie {
 public:
  Trie(std::string_view units, std::string_view texts) : units_(units.size() / 4), texts_(texts) {
    std::memcpy(units_.data(), units.data(), units_.size() * 4);
    matches_.assign(units_.size(), kUnseen);
  }

  bool Check(std::string* error) {
    const int longest = Visit(0, 0, error);
    if (longest == kBroken) return false;
    if (longest > kMaxMatches) {
      *error = "has normalizer rules nested " + std::to_string(longest) + " deep, at most 32 are possible";
      return false;
    }
    return true;
  }

 private:
  static constexpr std::int16_t kUnseen = -1;
  static constexpr std::int16_t kOpen = -2;
  static constexpr int kBroken = -3;

  static std::uint32_t Label(std::uint32_t unit) { return unit & ((1U << 31) | 0xFF); }
  static std::uint32_t Offset(std::uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
  static bool HasLeaf(std::uint32_t unit) { return ((unit >> 8) & 1) == 1; }

  // The most matches that a path through `node` and below can have, or kBroken.
  int Visit(std::size_t node, int depth, std::string* error) {  // NOLINT(misc-no-recursion): bounded by kMaxDepth
    if (depth > kMaxDepth || matches_[node] == kOpen) {
      *error = "has normalizer rules without an end";
      return kBroken;
    }
    if (matches_[node] != kUnseen) return matches_[node];
    matches_[node] = kOpen;
    const std::uint32_t unit = units_[node];
    const std::size_t base = node ^ Offset(unit);
    if ((base | 0xFF) >= units_.size()) {
      *error = "has a normalizer rule that points outside its table";
      return kBroken;
    }
    int own = 0;
    if (node != 0 && HasLeaf(unit)) {
      own = 1;
      if (!CheckText(units_[base] & ((1U << 31) - 1))) {
        *error = "has a normalizer rule that points outside its texts";
        return kBroken;
      }
    }
    int deepest = 0;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const std::size_t child = base ^ byte;
      // The root is labelled 0 and is nobody's child.
      if (child == 0 || Label(units_[child]) != byte) continue;
      const int below = Visit(child, depth + 1, error);
      if (below == kBroken) return kBroken;
      deepest = below > deepest ? below : deepest;
    }
    matches_[node] = static_cast<std::int16_t>(own + deepest);
    return own + deepest;
  }

  // A replacement begins with a character, not inside one.
  bool CheckText(std::uint32_t at) const {
    return at < texts_.size() && (static_cast<unsigned char>(texts_[at]) & 0xC0) != 0x80;
  }

  std::vector<std::uint32_t> units_;
  std::string_view texts_;
  std::vector<std::int16_t> matches_;  // by node: Visit's answer
};

// <trie bytes: 4, little endian><trie><texts, each ended by NUL>
bool CheckCharsmap(std::string_view blob, std::string* error) {
  if (blob.empty()) return true;
  std::uint32_t bytes = 0;
  if (blob.size() < sizeof(bytes)) {
    *error = "has normalizer rules that are cut short";
    return false;
  }
  std::memcpy(&bytes, blob.data(), sizeof(bytes));
  blob.remove_prefix(sizeof(bytes));
  // Units of 4 bytes in blocks of 256.
  if (bytes == 0 || bytes % 1024 != 0 || bytes >= blob.size()) {
    *error = "has normalizer rules of " + std::to_string(bytes) + " bytes, must be a multiple of 1024 below " +
             std::to_string(blob.size());
    return false;
  }
  const std::string_view texts = blob.substr(bytes);
  if (texts.back() != '\0' || FirstInvalidUtf8(texts) >= 0) {
    *error = "has normalizer texts that are not UTF-8";
    return false;
  }
  return Trie(blob.substr(0, bytes), texts).Check(error);
}

bool CheckSpec(std::string_view spec, std::string* error) {
  while (!spec.empty()) {
    const auto field = TakeField(&spec);
    if (!field) {
      *error = "has a broken normalizer";
      return false;
    }
    if (field->number == kPrecompiledCharsmap && !CheckCharsmap(field->bytes, error)) return false;
  }
  return true;
}

}  // namespace

bool CheckCharsmaps(std::string_view model, std::string* error) {
  while (!model.empty()) {
    const auto field = TakeField(&model);
    if (!field) {
      *error = "is not a SentencePiece model: not a protocol buffer";
      return false;
    }
    if ((field->number == kNormalizerSpec || field->number == kDenormalizerSpec) && !CheckSpec(field->bytes, error)) {
      return false;
    }
  }
  return true;
}

}  // namespace petit::tokenizer
