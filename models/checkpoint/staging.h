// A directory that appears whole or not at all. Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_STAGING_H_
#define PETIT_MODELS_CHECKPOINT_STAGING_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::checkpoint {

// Files are written into a hidden directory beside the target; Publish renames it. Without Publish the destructor
// removes it; only a crash leaves one behind, named .NAME.tmp-RANDOM.
class StagingDirectory {
 public:
  // ALREADY_EXISTS: something is at `target`. NOT_FOUND: the directory that shall hold it does not exist.
  static absl::StatusOr<StagingDirectory> Create(const std::string& target);

  StagingDirectory(StagingDirectory&& other) noexcept;
  StagingDirectory& operator=(StagingDirectory&&) = delete;
  ~StagingDirectory();

  const std::string& path() const { return path_; }

  // Makes the entries durable and gives the directory its name. The files must have been synced. ALREADY_EXISTS: the
  // target appeared meanwhile; it is left alone.
  absl::Status Publish();

 private:
  StagingDirectory(std::string parent, std::string target, std::string path)
      : parent_(std::move(parent)), target_(std::move(target)), path_(std::move(path)) {}
  std::string parent_;
  std::string target_;
  std::string path_;  // empty: published, or moved from
};

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_STAGING_H_
