// Collects what is wrong with a job's spec; internal to the folder.
#ifndef PETIT_SERVER_JOBS_SPEC_CHECK_H_
#define PETIT_SERVER_JOBS_SPEC_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace petit::serving {

// INVALID_ARGUMENT "FIELD: what".
inline absl::Status FieldError(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

// `status` with the field in front of its message.
inline absl::Status FieldError(absl::string_view field, const absl::Status& status) {
  return {status.code(), absl::StrCat(field, ": ", status.message())};
}

// A range of numbers, for checks and for telling of it. NaN is in none.
struct Range {
  double low = 0;
  double high = 0;
  bool above_low = false;   // low itself is outside
  bool below_high = false;  // high itself is outside

  bool Contains(double value) const {
    return (above_low ? value > low : value >= low) && (below_high ? value < high : value <= high);
  }
};

// Keeps the first problem; what follows from it is noise.
class SpecCheck {
 public:
  const absl::Status& status() const { return status_; }

  void Add(absl::string_view field, absl::string_view what) {
    if (status_.ok()) status_ = FieldError(field, what);
  }

  void InRange(absl::string_view field, double value, const Range& range) {
    if (range.Contains(value)) return;
    Add(field, absl::StrCat("is ", value, "; it must be ", range.above_low ? "above " : "at least ", range.low, " and ",
                            range.below_high ? "below " : "at most ", range.high));
  }
  void InRange(absl::string_view field, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value >= low && value <= high) return;
    Add(field, absl::StrCat("is ", value, "; it must be between ", low, " and ", high));
  }

 private:
  absl::Status status_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_SPEC_CHECK_H_
