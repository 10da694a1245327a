#include "server/rpc/wire_check.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::serving {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr int kMaxDepth = 100;  // Protobuf's own limit

// Reads the wire format's primitives from the front of some bytes, counting offsets from the whole message's start.
class WireReader {
 public:
  WireReader(std::string_view bytes, std::size_t offset) : bytes_(bytes), offset_(offset) {}

  bool done() const { return bytes_.empty(); }
  std::size_t offset() const { return offset_; }

  std::optional<std::uint64_t> Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<std::uint8_t>(bytes_.front());
      Skip(1);
      value |= shift < 64 ? static_cast<std::uint64_t>(byte & 0x7f) << shift : 0;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  std::optional<std::string_view> Take(std::uint64_t size) {
    if (size > bytes_.size()) return std::nullopt;
    const std::string_view taken = bytes_.substr(0, size);
    Skip(size);
    return taken;
  }

 private:
  void Skip(std::size_t size) {
    bytes_.remove_prefix(size);
    offset_ += size;
  }

  std::string_view bytes_;
  std::size_t offset_;
};

enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kStartGroup = 3, kEndGroup = 4, kFixed32 = 5 };

class Walker {
 public:
  explicit Walker(const Descriptor& type) : root_(type) {}

  // False once a problem is found.
  bool Walk(std::string_view wire, std::size_t offset, const Descriptor* type, const std::string& path, int depth);

  WireProblem problem;

 private:
  bool Value(WireReader* reader, std::uint32_t tag, const Descriptor* type, const std::string& path, int depth);
  bool Group(WireReader* reader, std::uint32_t number, const std::string& path, int depth);
  bool Delimited(std::string_view value, std::size_t offset, const FieldDescriptor& field, const std::string& path,
                 int depth);
  bool Malformed(std::size_t offset, absl::string_view what, const std::string& path) {
    problem.message = absl::StrCat("the request is not a ", root_.full_name(), ": byte ", offset,
                                   path.empty() ? "" : absl::StrCat(" (in ", path, ")"), ": ", what);
    return false;
  }

  const Descriptor& root_;
  // How many values of each repeated field have been seen, by the field's full path.
  std::map<std::string, int> seen_;
};

bool Walker::Walk(std::string_view wire, std::size_t offset, const Descriptor* type, const std::string& path,
                  int depth) {
  if (depth > kMaxDepth) return Malformed(offset, "messages are nested too deeply", path);
  WireReader reader(wire, offset);
  while (!reader.done()) {
    const std::size_t at = reader.offset();
    const std::optional<std::uint64_t> tag = reader.Varint();
    if (!tag || *tag > UINT32_MAX || (*tag >> 3) == 0) return Malformed(at, "no field starts like this", path);
    if ((*tag & 7) == kEndGroup) return Malformed(at, "a group ends that has not begun", path);
    if (!Value(&reader, static_cast<std::uint32_t>(*tag), type, path, depth)) return false;
  }
  return true;
}

bool Walker::Value(WireReader* reader, std::uint32_t tag, const Descriptor* type, const std::string& path, int depth) {
  const std::size_t at = reader->offset();
  switch (tag & 7) {
    case kVarint:
      return reader->Varint() ? true : Malformed(at, "a number does not end", path);
    case kFixed64:
      return reader->Take(8) ? true : Malformed(at, "8 bytes are wanted, and the message ends", path);
    case kFixed32:
      return reader->Take(4) ? true : Malformed(at, "4 bytes are wanted, and the message ends", path);
    case kStartGroup:
      return Group(reader, tag >> 3, path, depth + 1);
    case kLengthDelimited: {
      const std::optional<std::uint64_t> size = reader->Varint();
      if (!size) return Malformed(at, "a length does not end", path);
      const std::size_t start = reader->offset();
      const std::optional<std::string_view> value = reader->Take(*size);
      if (!value) return Malformed(at, absl::StrCat("a field of ", *size, " bytes reaches past the end"), path);
      const FieldDescriptor* field = type == nullptr ? nullptr : type->FindFieldByNumber(static_cast<int>(tag >> 3));
      return field == nullptr || Delimited(*value, start, *field, path, depth);
    }
    default:
      return Malformed(at, absl::StrCat("there is no wire type ", tag & 7), path);
  }
}

bool Walker::Group(WireReader* reader, std::uint32_t number, const std::string& path, int depth) {
  if (depth > kMaxDepth) return Malformed(reader->offset(), "groups are nested too deeply", path);
  while (!reader->done()) {
    const std::size_t at = reader->offset();
    const std::optional<std::uint64_t> tag = reader->Varint();
    if (!tag || *tag > UINT32_MAX || (*tag >> 3) == 0) return Malformed(at, "no field starts like this", path);
    if ((*tag & 7) == kEndGroup) {
      return (*tag >> 3) == number || Malformed(at, "a group ends that has not begun", path);
    }
    if (!Value(reader, static_cast<std::uint32_t>(*tag), nullptr, path, depth)) return false;
  }
  return Malformed(reader->offset(), "a group does not end", path);
}

bool Walker::Delimited(std::string_view value, std::size_t offset, const FieldDescriptor& field,
                       const std::string& path, int depth) {
  std::string name = path.empty() ? field.name() : absl::StrCat(path, ".", field.name());
  if (field.is_repeated()) absl::StrAppend(&name, "[", seen_[name]++, "]");
  if (field.type() == FieldDescriptor::TYPE_MESSAGE) {
    return Walk(value, offset, field.message_type(), name, depth + 1);
  }
  if (field.type() != FieldDescriptor::TYPE_STRING) return true;
  const std::ptrdiff_t bad = tokenizer::FirstInvalidUtf8(value);
  if (bad < 0) return true;
  problem.field = name;
  problem.message = absl::StrCat(name, ": byte ", bad, " is not valid UTF-8; ", field.name(), " must be UTF-8");
  return false;
}

}  // namespace

WireProblem FindWireProblem(std::string_view wire, const Descriptor& type) {
  Walker walker(type);
  if (walker.Walk(wire, 0, &type, "", 0)) {
    walker.problem.message = absl::StrCat("the request is not a ", type.full_name());
  }
  return walker.problem;
}

std::string WithoutField(std::string_view wire, int field_number) {
  std::string kept;
  WireReader reader(wire, 0);
  while (!reader.done()) {
    const std::size_t start = reader.offset();
    const std::uint64_t tag = reader.Varint().value_or(0);
    switch (tag & 7) {
      case kVarint:
        reader.Varint();
        break;
      case kFixed64:
        reader.Take(8);
        break;
      case kFixed32:
        reader.Take(4);
        break;
      case kLengthDelimited:
        reader.Take(reader.Varint().value_or(0));
        if (static_cast<int>(tag >> 3) == field_number) continue;
        break;
      default:
        break;  // a group's tags are kept as they come
    }
    kept.append(wire.substr(start, reader.offset() - start));
  }
  return kept;
}

}  // namespace petit::serving
