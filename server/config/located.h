// Remembers where each field of a parsed textproto stands, and collects complaints about them.
#ifndef PETIT_SERVER_CONFIG_LOCATED_H_
#define PETIT_SERVER_CONFIG_LOCATED_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"

namespace petit::serving {

// Counted from 1, as editors do.
struct Position {
  int line = 1;
  int column = 1;
};

// The complaints about one file.
class Complaints {
 public:
  explicit Complaints(std::string file) : file_(std::move(file)) {}

  void Add(Position where, std::string what) { entries_.push_back({where, std::move(what)}); }

  // OK, or INVALID_ARGUMENT with one "FILE:LINE:COLUMN: ..." a line, in the file's order.
  absl::Status ToStatus() const;

 private:
  struct Entry {
    Position where;
    std::string what;
  };
  std::string file_;
  std::vector<Entry> entries_;
};

// A message together with the place of its fields. Borrows all that it is made of.
class Located {
 public:
  Located(const google::protobuf::Message& message, const google::protobuf::TextFormat::ParseInfoTree* tree,
          Position where, Complaints* complaints)
      : message_(&message), tree_(tree), where_(where), complaints_(complaints) {}

  // `field` is a field number (kNameFieldNumber); `index` is the element's of a repeated field. The place of a field
  // that is not written down is its message's.
  Position PositionOf(int field, int index = -1) const;
  Located Child(int field, const google::protobuf::Message& child, int index = -1) const;

  void Complain(std::string what) const { complaints_->Add(where_, std::move(what)); }
  void ComplainAbout(int field, std::string what) const { complaints_->Add(PositionOf(field), std::move(what)); }
  void ComplainAbout(int field, int index, std::string what) const {
    complaints_->Add(PositionOf(field, index), std::move(what));
  }

  // The field's number if it is in [lowest, highest]; `fallback` where it is 0, which cannot be told from absent;
  // complains and returns `fallback` otherwise.
  int Bounded(int field, int value, int fallback, int lowest, int highest) const;
  std::int64_t Bounded64(int field, std::int64_t value, std::int64_t fallback, std::int64_t lowest,
                         std::int64_t highest) const;
  // Seconds likewise, in (0, highest].
  absl::Duration BoundedSeconds(int field, double value, absl::Duration fallback, double highest) const;

 private:
  const google::protobuf::Message* message_;
  const google::protobuf::TextFormat::ParseInfoTree* tree_;  // null: unknown
  Position where_;
  Complaints* complaints_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_CONFIG_LOCATED_H_
