// Where the teacher's word on a batch comes from: the teacher itself, or the cache on disk.
#ifndef PETIT_MODELS_DISTILL_TEACHER_SOURCE_H_
#define PETIT_MODELS_DISTILL_TEACHER_SOURCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/distill/batch.h"
#include "models/distill/teacher.h"
#include "models/distill/teacher_cache.h"

namespace petit::distill {

class TeacherSource {
 public:
  using Loader = std::function<absl::StatusOr<std::unique_ptr<Teacher>>()>;

  // The teacher is loaded when first needed. `top_k` 0: no cache; else caches below `cache_directory` for `identity`,
  // which names the teacher, its tokenizer, its precision and the device's kind.
  TeacherSource(Loader loader, int top_k, std::string cache_directory, std::string identity);

  // `tokens_of` the batch at `temperature`. A batch that the cache knows only in part is computed for the missing
  // examples alone. Hidden states are never cached.
  absl::StatusOr<TeacherOutputs> Get(const Batch& batch, double temperature, bool want_encoded);

  // Waits for the disk.
  absl::Status Flush();

  std::int64_t forwards() const { return teacher_ == nullptr ? 0 : teacher_->forwards(); }

 private:
  absl::StatusOr<Teacher*> Load();
  absl::StatusOr<TeacherCache*> CacheOf(double temperature);

  Loader loader_;
  int top_k_;
  std::string directory_;
  std::string identity_;
  std::unique_ptr<Teacher> teacher_;
  std::map<double, std::unique_ptr<TeacherCache>> caches_;  // by temperature
};

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_TEACHER_SOURCE_H_
