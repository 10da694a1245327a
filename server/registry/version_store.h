// Versions of a model on disk: versions_root/VERSION/config.json, and versions_root/SERVED_VERSION, which remembers the
// choice of SetServedVersion.
#ifndef PETIT_SERVER_REGISTRY_VERSION_STORE_H_
#define PETIT_SERVER_REGISTRY_VERSION_STORE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::serving {

inline constexpr char kServedVersionFile[] = "SERVED_VERSION";

std::string VersionDirectory(const std::string& versions_root, std::int64_t version);

// True for a directory that is named by `version` (positive, no leading zeros) and holds config.json.
bool IsVersion(const std::string& versions_root, std::int64_t version);

// All of them, ascending; none where there is no such directory.
std::vector<std::int64_t> ListVersions(const std::string& versions_root);

// NOT_FOUND: never written. DATA_LOSS: damaged (the message says how). The version may be gone by now.
absl::StatusOr<std::int64_t> ReadServedVersion(const std::string& versions_root);

// Replaces the file as a whole: after a crash it holds the old version or the new one.
absl::Status WriteServedVersion(const std::string& versions_root, std::int64_t version);

}  // namespace petit::serving

#endif  // PETIT_SERVER_REGISTRY_VERSION_STORE_H_
