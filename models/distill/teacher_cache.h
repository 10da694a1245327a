// The teacher's top-k log-probabilities on disk: one file per (teacher, tokenizer, temperature, k), shared by jobs.
//
// A record per example: its key, its tokens, and for each k ids, k log-probabilities and the rest's. Appended as they
// are computed; an unfinished record at the end, left by a crash, is cut off by the next opener. One writer at a time
// (flock); who cannot have the lock reads what is there and keeps its own records in memory.
#ifndef PETIT_MODELS_DISTILL_TEACHER_CACHE_H_
#define PETIT_MODELS_DISTILL_TEACHER_CACHE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::distill {

struct CachedExample {
  std::vector<std::int32_t> ids;  // [tokens, k]
  std::vector<float> log_probs;   // [tokens, k]
  std::vector<float> rest;        // [tokens]
};

class TeacherCache {
 public:
  // Creates the directory and the file where missing. INVALID_ARGUMENT: the file is something else, or damaged before
  // its end.
  static absl::StatusOr<std::unique_ptr<TeacherCache>> Open(const std::string& path, int k);
  ~TeacherCache();
  TeacherCache(const TeacherCache&) = delete;
  TeacherCache& operator=(const TeacherCache&) = delete;

  bool Contains(std::uint64_t key) const { return offsets_.contains(key) || own_.contains(key); }
  // NOT_FOUND: not there.
  absl::StatusOr<CachedExample> Read(std::uint64_t key) const;
  // RESOURCE_EXHAUSTED: disk full.
  absl::Status Add(std::uint64_t key, const CachedExample& example);
  absl::Status Flush();

  std::size_t size() const { return offsets_.size() + own_.size(); }

 private:
  TeacherCache(std::string path, int k) : path_(std::move(path)), k_(k) {}
  absl::Status Scan();

  std::string path_;
  int k_;
  int descriptor_ = -1;
  bool writer_ = false;
  std::int64_t end_ = 0;
  std::unordered_map<std::uint64_t, std::int64_t> offsets_;
  std::unordered_map<std::uint64_t, CachedExample> own_;  // of a cache that may not write
};

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_TEACHER_CACHE_H_
