#include "server/jobs/flock_holders.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace petit::serving {
namespace {

namespace fs = std::filesystem;

// Calls visit(path) for each entry of a directory; none where it cannot be read or goes away meanwhile.
template <typename Visit>
void ForEachEntry(const fs::path& directory, Visit visit) {
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) visit(it->path());
}

// fdinfo lists the locks of the open file description: "lock:\t1: FLOCK  ADVISORY  WRITE ...".
bool HoldsFlock(const fs::path& fdinfo) {
  std::ifstream file(fdinfo);
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "lock:") && absl::StrContains(line, "FLOCK")) return true;
  }
  return false;
}

}  // namespace

std::vector<pid_t> FlockHolders(const std::string& path) {
  std::vector<pid_t> holders;
  struct stat file = {};
  if (stat(path.c_str(), &file) != 0) return holders;
  ForEachEntry("/proc", [&](const fs::path& process) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(process.filename().string(), &pid) || pid == getpid()) return;
    bool holds = false;
    ForEachEntry(process / "fd", [&](const fs::path& descriptor) {
      struct stat target = {};
      if (holds || stat(descriptor.c_str(), &target) != 0) return;
      if (target.st_dev != file.st_dev || target.st_ino != file.st_ino) return;
      holds = HoldsFlock(process / "fdinfo" / descriptor.filename());
    });
    if (holds) holders.push_back(pid);
  });
  return holders;
}

}  // namespace petit::serving
