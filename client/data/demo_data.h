// The demo's data sets, rebuilt from the package descriptions of a Debian or Ubuntu archive and their translations.
#ifndef PETIT_CLIENT_DATA_DEMO_DATA_H_
#define PETIT_CLIENT_DATA_DEMO_DATA_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace petit::data {

struct DemoDataOptions {
  std::string out_dir;
  std::string suite;     // bookworm, noble ...; empty: the machine's own
  std::string mirror;    // http://HOST/debian; empty: the machine's own
  bool refresh = false;  // rebuild even where out_dir already holds what its manifest says
  std::string apt_get = "apt-get";
  std::string etc_apt = "/etc/apt";  // where the machine's mirror is read from
};

struct DemoDataFile {
  std::string name;
  std::int64_t pairs = 0;
  std::string sha256;  // hexadecimal, of the file
};

struct DemoData {
  std::string suite;
  std::string mirror;
  std::string date;  // the archive's release date, so that equal manifests mean equal data
  std::vector<DemoDataFile> files;
  bool reused = false;  // everything was there already
};

enum class Split { kTrain, kDev, kTest };

// By the first byte of SHA-256 of the English text: 0-7 test, 8-11 dev, else train. No sentence changes sides, from
// whichever package or language it comes.
Split SplitOf(std::string_view english);

// Writes into out_dir train.en-fr.tsv, dev.en-fr.tsv, test.en-fr.tsv (English TAB French), test.fr-en.tsv (the same
// pairs reversed), test.ko-en.tsv (Korean TAB English) and, last, manifest.json. Pairs are in the order of the
// archive's English list, each English text once, the first counts. Files appear by rename; a run that was cut off
// goes on where it was. `progress` is told in words what happens; may be null.
// Errors: as FetchTranslations; InvalidArgument without out_dir; Internal where a file cannot be written.
[[nodiscard]] absl::StatusOr<DemoData> BuildDemoData(const DemoDataOptions& options,
                                                     const std::function<void(std::string_view)>& progress);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_DEMO_DATA_H_
