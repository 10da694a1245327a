// Results on disk, a line each, appended as they come: what makes a run that was interrupted go on where it was.
#ifndef PETIT_CLIENT_EVAL_JOURNAL_H_
#define PETIT_CLIENT_EVAL_JOURNAL_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::eval {

// Of one key, which says all that the results depend on. Records are texts without line breaks under numbers; of two
// with one number the later counts. Not thread-safe.
class Journal {
 public:
  // Opens DIRECTORY/STEM.HASH.journal, HASH of the key, or makes it. A record that was cut off is dropped.
  // FAILED_PRECONDITION: another process has it open. DATA_LOSS: it is not a journal of this key.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::string& directory,
                                                                     const std::string& stem, const std::string& key);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  [[nodiscard]] bool Has(std::int64_t number) const { return offsets_.contains(number); }
  [[nodiscard]] std::size_t size() const { return offsets_.size(); }
  // NOT_FOUND: there is none.
  [[nodiscard]] absl::StatusOr<std::string> Read(std::int64_t number);
  // RESOURCE_EXHAUSTED: the disk is full; the record is not there then, and those before it are.
  [[nodiscard]] absl::Status Append(std::int64_t number, const std::string& record);

  // Drops all records.
  [[nodiscard]] absl::Status Clear();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Journal(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  absl::Status Load(const std::string& key);

  const int descriptor_;
  const std::string path_;
  std::int64_t first_ = 0;                                  // where the records begin
  std::int64_t end_ = 0;                                    // of the last whole record
  std::unordered_map<std::int64_t, std::int64_t> offsets_;  // of the records' texts
};

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_JOURNAL_H_
