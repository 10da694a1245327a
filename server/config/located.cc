#include "server/config/located.h"

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"

namespace petit::serving {

using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;

absl::Status Complaints::ToStatus() const {
  if (entries_.empty()) return absl::OkStatus();
  std::vector<Entry> sorted = entries_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.where.line, a.where.column) < std::tie(b.where.line, b.where.column);
  });
  return absl::InvalidArgumentError(absl::StrJoin(sorted, "\n", [this](std::string* out, const Entry& entry) {
    absl::StrAppend(out, file_, ":", entry.where.line, ":", entry.where.column, ": ", entry.what);
  }));
}

Position Located::PositionOf(int field, int index) const {
  if (tree_ == nullptr) return where_;
  const FieldDescriptor* descriptor = message_->GetDescriptor()->FindFieldByNumber(field);
  if (descriptor->is_repeated() && index < 0) index = 0;
  TextFormat::ParseLocation location = tree_->GetLocation(descriptor, index);
  // Of a list in brackets only the first element's place is recorded.
  if (location.line < 0 && index > 0) location = tree_->GetLocation(descriptor, 0);
  if (location.line < 0) return where_;
  return {location.line + 1, location.column + 1};
}

Located Located::Child(int field, const google::protobuf::Message& child, int index) const {
  const FieldDescriptor* descriptor = message_->GetDescriptor()->FindFieldByNumber(field);
  const TextFormat::ParseInfoTree* tree = tree_ == nullptr ? nullptr : tree_->GetTreeForNested(descriptor, index);
  return {child, tree, PositionOf(field, index), complaints_};
}

int Located::Bounded(int field, int value, int fallback, int lowest, int highest) const {
  return static_cast<int>(Bounded64(field, value, fallback, lowest, highest));
}

std::int64_t Located::Bounded64(int field, std::int64_t value, std::int64_t fallback, std::int64_t lowest,
                                std::int64_t highest) const {
  if (value == 0) return fallback;
  if (value >= lowest && value <= highest) return value;
  ComplainAbout(field, absl::StrCat(message_->GetDescriptor()->FindFieldByNumber(field)->name(), " is ", value,
                                    "; it must be between ", lowest, " and ", highest,
                                    fallback == 0 ? "" : absl::StrCat(", or absent for ", fallback)));
  return fallback;
}

absl::Duration Located::BoundedSeconds(int field, double value, absl::Duration fallback, double highest) const {
  if (value == 0) return fallback;
  if (value > 0 && value <= highest) return absl::Seconds(value);  // NaN is neither
  ComplainAbout(field, absl::StrCat(message_->GetDescriptor()->FindFieldByNumber(field)->name(), " is ", value,
                                    "; it must be above 0 and at most ", highest, ", or absent for ",
                                    absl::ToDoubleSeconds(fallback)));
  return fallback;
}

}  // namespace petit::serving
