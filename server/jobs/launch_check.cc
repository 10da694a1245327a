#include "server/jobs/launch_check.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace petit::serving {
namespace {

constexpr std::size_t kMaxIdLength = 128;

bool IsIdCharacter(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; }

absl::Status CheckDirectory(absl::string_view what, const std::string& path) {
  const bool control =
      std::any_of(path.begin(), path.end(), [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
  if (absl::StartsWith(path, "/") && !control) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " \"", absl::CEscape(path), "\": expected an absolute path without control characters"));
}

}  // namespace

absl::Status CheckLaunch(const Launch& launch) {
  const std::string& id = launch.job_id;
  if (id.empty() || id.size() > kMaxIdLength || !std::all_of(id.begin(), id.end(), IsIdCharacter)) {
    return absl::InvalidArgumentError(absl::StrCat("job id \"", absl::CEscape(id), "\": expected 1 to ", kMaxIdLength,
                                                   " letters, digits, '-' and '_'"));
  }
  if (launch.attempt < 1 || launch.threads < 1 || launch.tasks < 1 || launch.memory_bytes < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "attempt ", launch.attempt, ", ", launch.threads, " threads, ", launch.tasks, " tasks, ", launch.memory_bytes,
        " bytes of memory: expected at least 1 of the first three and no negative memory"));
  }
  if (auto status = CheckDirectory("job directory", launch.job_directory); !status.ok()) return status;
  if (auto status = CheckDirectory("attempt directory", launch.attempt_directory); !status.ok()) return status;
  for (const std::string& argument : launch.arguments) {
    if (absl::StrContains(argument, absl::string_view("\0", 1))) {
      return absl::InvalidArgumentError(
          absl::StrCat("argument \"", absl::CEscape(argument), "\": a NUL would cut it off"));
    }
  }
  return absl::OkStatus();
}

std::string AttemptFile(const Launch& launch, absl::string_view name) {
  return absl::StrCat(launch.attempt_directory, "/", name);
}

std::string DescribeLaunch(const Launch& launch) {
  return absl::StrCat("attempt ", launch.attempt, " of job ", launch.job_id);
}

}  // namespace petit::serving
