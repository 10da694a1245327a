// The machine's package mirror, and a private apt that fetches description lists from it.
#ifndef PETIT_CLIENT_DATA_APT_H_
#define PETIT_CLIENT_DATA_APT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace petit::data {

// A line of apt's sources: where packages come from and whose signature they carry.
struct AptSource {
  std::string uri;
  std::string suite;
  std::string signed_by;  // a path, fingerprints or a key block; empty: apt's own trusted keys
  bool trusted = false;   // the machine's administrator does without a signature
};

// The usable deb entries (enabled, component main) of one file: the one-line format, and deb822.
std::vector<AptSource> ParseOneLineSources(absl::string_view text);
std::vector<AptSource> ParseDeb822Sources(absl::string_view text);

// The distribution's own entry below `etc_apt` (/etc/apt): sources.list, then sources.list.d in order of name; those
// of the distribution's archive before third parties', release suites before -updates, -security and the like.
// NotFound where there is none.
[[nodiscard]] absl::StatusOr<AptSource> FindMachineSource(const std::string& etc_apt);

struct AptOptions {
  std::string program = "apt-get";
  AptSource source;
  std::string directory;               // absolute; apt's private state, may exist from an earlier try
  std::vector<std::string> languages;  // of the Translation lists
};

// What apt fetched, uncompressed.
struct AptLists {
  std::vector<std::string> translations;  // paths, in the order of the languages
  std::string release_date;               // the archive's own, as its Release file writes it; empty if absent
};

// Runs `apt-get update` with a state of its own below the directory: the machine's apt is neither read (but for its
// network settings) nor changed. FailedPrecondition without apt-get; Unavailable, with the end of apt's own output,
// where it fails (no network, no such suite, bad signature); InvalidArgument for a directory or source that apt's
// configuration cannot express.
[[nodiscard]] absl::StatusOr<AptLists> FetchTranslations(const AptOptions& options);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_APT_H_
