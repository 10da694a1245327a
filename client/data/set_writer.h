// The sets that a corpus is split into: train, test, the test reversed, dev, and a manifest.
#ifndef PETIT_CLIENT_DATA_SET_WRITER_H_
#define PETIT_CLIENT_DATA_SET_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::data {

// How many pairs go where: the first to train, the next to test, then to dev as many as there are, the rest nowhere.
struct SplitRule {
  std::int64_t train = 10000;
  std::int64_t test = 2000;
  std::int64_t dev = 500;
};

struct SetFile {
  std::string name;
  std::int64_t pairs = 0;
  std::string sha256;  // hexadecimal
};

// What the manifest says of where the pairs are from.
struct SetSource {
  std::string name;                                          // the file's own name
  std::string url;                                           // empty: a local file
  std::string sha256;                                        // of the file, hexadecimal
  std::string order;                                         // in words: which split the first pairs are
  std::vector<std::pair<std::string, std::string>> options;  // that decided what is in the sets
};

struct SetCounts {
  std::int64_t there = 0;  // pairs in the source
  std::int64_t empty = 0;  // of these dropped: a side was empty
  std::int64_t unused = 0;
};

struct WrittenSets {
  std::vector<SetFile> files;
  SetCounts counts;
};

// Takes pairs in the source's order and writes train.en-fr.tsv, test.en-fr.tsv (English TAB French), test.fr-en.tsv,
// dev.en-fr.tsv and manifest.json. All of them are written beside their final names (.part) and renamed in Finish, the
// manifest last; without it they vanish.
class SetWriter {
 public:
  // INVALID_ARGUMENT: a rule that cannot be meant. Else the directory or a file in it cannot be made.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SetWriter>> Open(const std::string& directory,
                                                                       const SplitRule& rule);
  ~SetWriter();
  SetWriter(const SetWriter&) = delete;
  SetWriter& operator=(const SetWriter&) = delete;

  // Runs of tabs, line breaks and NULs in a text become a space, and the spaces around it go. A pair with a side
  // that is empty then is dropped, and counted. Both are valid UTF-8.
  [[nodiscard]] absl::Status Add(std::string english, std::string french);

  // FAILED_PRECONDITION: fewer pairs than the rule wants to train and to test; then the old files are left as they are.
  [[nodiscard]] absl::StatusOr<WrittenSets> Finish(const SetSource& source);

 private:
  class Part;

  SetWriter(std::string directory, const SplitRule& rule);
  [[nodiscard]] std::string Manifest(const SetSource& source, const std::vector<SetFile>& files) const;

  const std::string directory_;
  const SplitRule rule_;
  SetCounts counts_;
  std::int64_t kept_ = 0;
  std::vector<std::unique_ptr<Part>> parts_;  // train, test, test reversed, dev
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_SET_WRITER_H_
