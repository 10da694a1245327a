#include "client/cli/eval_run.h"

#include <cstdlib>
#include <ostream>

#include "absl/strings/str_cat.h"

namespace petit::cli {

eval::Surroundings EvalDisplay::Surroundings() {
  return {.cancellation = io_.cancellation,
          .interrupt_fd = io_.interrupt_fd,
          .note = [this](const std::string& line) { Note(line); },
          .progress = [this](const std::string& what, std::int64_t done,
                             std::int64_t total) { Update(what, done, total); }};
}

void EvalDisplay::Note(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (progress_ != nullptr) progress_->Wipe();
  *io_.err << "petit: " << line << std::endl;
}

void EvalDisplay::Update(const std::string& what, std::int64_t done, std::int64_t total) {
  const std::lock_guard lock(mutex_);
  if (what != what_) {
    progress_ = std::make_unique<Progress>(
        *io_.err,
        Progress::Options{.label = what, .unit = "done", .total = total, .enabled = io_.err_is_terminal && !quiet_});
    what_ = what;
  }
  progress_->Update(done, done);
  if (done < total) return;
  progress_ = nullptr;
  what_.clear();
}

int FailEvaluation(const Io& io, const absl::Status& status, const std::string& kept_in) {
  const bool interrupted = io.cancellation != nullptr && io.cancellation->cancelled();
  if (interrupted || absl::IsCancelled(status)) {
    *io.err << "petit: what was done is kept in " << kept_in << "; the same command goes on\n";
    return Fail(io, absl::CancelledError(""));
  }
  return Fail(io, status);
}

int CodeFor(const report::Results& results) {
  for (const report::Result& result : results.results) {
    if (!result.failures.empty()) return kExitTextsFailed;
  }
  return kExitOk;
}

std::string CacheDirectory(const std::string& name) {
  const char* cache = std::getenv("XDG_CACHE_HOME");  // NOLINT(concurrency-mt-unsafe)
  if (cache != nullptr && *cache != '\0') return absl::StrCat(cache, "/petit/", name);
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  return absl::StrCat(home == nullptr ? "." : home, "/.cache/petit/", name);
}

}  // namespace petit::cli
