#include "models/t5/relative_position.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace petit::t5 {

int RelativePositionBucket(int relative, bool bidirectional, int num_buckets, int max_distance) {
  int first = 0;
  std::int64_t distance = relative;  // 64 bits: the absolute value of INT_MIN is no int
  if (bidirectional) {
    num_buckets /= 2;
    if (relative > 0) first = num_buckets;
    distance = std::abs(distance);
  } else {
    distance = std::max<std::int64_t>(0, -distance);
  }

  const int exact = num_buckets / 2;
  if (distance < exact) return first + static_cast<int>(distance);

  // fp32 step by step, and the constant logarithm in double first: at powers of two the value is an exact integer,
  // and one ulp less would be another bucket.
  const float scale = static_cast<float>(std::log(static_cast<double>(max_distance) / exact));
  const float ratio = static_cast<float>(distance) / static_cast<float>(exact);
  const float position = std::log(ratio) / scale * static_cast<float>(num_buckets - exact);
  const int last = num_buckets - 1;
  // Compared as floats: a far distance may be beyond int's range.
  if (position >= static_cast<float>(last - exact)) return first + last;
  return first + exact + static_cast<int>(position);
}

std::vector<int> RelativePositionBuckets(int length, bool bidirectional, int num_buckets, int max_distance) {
  std::vector<int> buckets;
  if (length <= 0) return buckets;
  buckets.reserve(2 * static_cast<std::size_t>(length) - 1);
  for (int relative = -(length - 1); relative < length; ++relative) {
    buckets.push_back(RelativePositionBucket(relative, bidirectional, num_buckets, max_distance));
  }
  return buckets;
}

}  // namespace petit::t5
