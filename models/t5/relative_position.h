// T5's relative position buckets. std only.
//
// Source of the formula: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.1, and
// Hugging Face's `T5Attention._relative_position_bucket`, whose fp32 rounding this reproduces bucket by bucket.
#ifndef PETIT_MODELS_T5_RELATIVE_POSITION_H_
#define PETIT_MODELS_T5_RELATIVE_POSITION_H_

#include <vector>

namespace petit::t5 {

// The bucket of `relative` = key position - query position, in [0, num_buckets).
// Bidirectional (encoder): half of the buckets are for keys to the right. Otherwise (decoder): keys to the right
// share bucket 0 with the query's own position.
int RelativePositionBucket(int relative, bool bidirectional, int num_buckets, int max_distance);

// Buckets of all relative positions in [-(length - 1), length - 1]; index = relative + length - 1.
std::vector<int> RelativePositionBuckets(int length, bool bidirectional, int num_buckets, int max_distance);

}  // namespace petit::t5

#endif  // PETIT_MODELS_T5_RELATIVE_POSITION_H_
