#include "server/rpc/host_info.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace petit::serving {
namespace {

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// What follows KEY and the separator in the first line "KEY: VALUE" or "KEY=VALUE", without spaces around it.
std::string ValueOf(const std::string& text, absl::string_view key, char separator) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(separator, 1));
    if (parts.size() == 2 && absl::StripAsciiWhitespace(parts[0]) == key) {
      return std::string(absl::StripAsciiWhitespace(parts[1]));
    }
  }
  return "";
}

// A shell's word, as os-release(5) has them: bare, or in quotes with backslashes before special characters.
std::string Unquoted(absl::string_view word) {
  if (word.size() < 2 || (word.front() != '"' && word.front() != '\'') || word.back() != word.front()) {
    return std::string(word);
  }
  const bool escapes = word.front() == '"';
  word = word.substr(1, word.size() - 2);
  std::string text;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (escapes && word[i] == '\\' && i + 1 < word.size()) ++i;
    text += word[i];
  }
  return text;
}

int LogicalCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(0L, sysconf(_SC_NPROCESSORS_ONLN)));  // more of them than a cpu_set_t holds
}

// The lowest limit in FILE of the group's directory below `mount` and of those above it. A container may see its own
// group as the mount itself: what is not there limits nothing.
std::int64_t LowestLimit(const std::string& mount, std::string group, const std::string& file) {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
  while (true) {
    std::int64_t limit = 0;
    const std::string text = ReadFile(absl::StrCat(mount, group, "/", file));
    if (absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &limit) && limit > 0) lowest = std::min(lowest, limit);
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos) return lowest;
    group.resize(slash);
  }
}

// Of /proc/self/cgroup's lines "NUMBER:CONTROLLERS:PATH"; those of v2 have no controllers.
std::int64_t MemoryLimit(const std::string& root) {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
  const std::string groups = ReadFile(root + "/proc/self/cgroup");
  for (const absl::string_view line : absl::StrSplit(groups, '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::string group(absl::StripSuffix(parts[2], "/"));
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    if (parts[1].empty()) {
      lowest = std::min(lowest, LowestLimit(root + "/sys/fs/cgroup", group, "memory.max"));
    } else if (std::find(controllers.begin(), controllers.end(), "memory") != controllers.end()) {
      lowest = std::min(lowest, LowestLimit(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return lowest;
}

std::int64_t MemoryBytes(const std::string& root) {
  const std::string total = ValueOf(ReadFile(root + "/proc/meminfo"), "MemTotal", ':');
  std::int64_t kibibytes = 0;
  if (!absl::SimpleAtoi(absl::StripSuffix(total, " kB"), &kibibytes)) return 0;
  return std::min(kibibytes * 1024, MemoryLimit(root));
}

}  // namespace

HostInfo ReadHostInfo(const std::string& root) {
  std::string release = ReadFile(root + "/etc/os-release");
  if (release.empty()) release = ReadFile(root + "/usr/lib/os-release");
  return {.cpu = ValueOf(ReadFile(root + "/proc/cpuinfo"), "model name", ':'),
          .logical_cpus = LogicalCpus(),
          .memory_bytes = MemoryBytes(root),
          .os = Unquoted(ValueOf(release, "PRETTY_NAME", '='))};
}

}  // namespace petit::serving
