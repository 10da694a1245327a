// English-French corpora, made into sets to train and to test with.
#ifndef PETIT_CLIENT_DATA_CORPUS_H_
#define PETIT_CLIENT_DATA_CORPUS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/data/download.h"
#include "client/data/set_writer.h"

namespace petit::data {

// kAuto: by the file's name below its compression's suffix.
enum class CorpusFormat { kAuto, kJsonl, kCsv };

struct ImportOptions {
  std::string file;  // may be compressed with gzip, xz or zstd
  std::string out_dir;
  CorpusFormat format = CorpusFormat::kAuto;
  // Fields of JSON Lines (nested ones with dots), columns of CSV. Empty: "en" and "fr", or in JSON Lines
  // "translation.en" and "translation.fr" where they are there.
  std::string source_field;
  std::string target_field;
  SplitRule split;
  int interrupt_fd = -1;  // readable: CANCELLED, and nothing is written
};

// An export of Nicolas-BZRD/Parallel_Global_Voices_English_French, in whose order the report split it. Reads the file
// once. INVALID_ARGUMENT: options or a line of the file (named) that cannot be meant. FAILED_PRECONDITION: too few
// pairs. Else errors of reading and writing. Writes all files or none, see SetWriter.
[[nodiscard]] absl::StatusOr<WrittenSets> ImportCorpus(const ImportOptions& options);

inline constexpr char kOpusServer[] = "https://object.pouta.csc.fi";
inline constexpr char kOpusPath[] = "/OPUS-GlobalVoices/v2018q4/moses/en-fr.txt.zip";

struct OpusOptions {
  std::string out_dir;
  std::string url;     // empty: kOpusPath of the mirror
  std::string mirror;  // empty: kOpusServer
  std::string sha256;  // hexadecimal; empty: any
  SplitRule split;
  DownloadPatience patience;
  int interrupt_fd = -1;
  DownloadProgress progress;                        // may be null
  std::function<void(std::string_view what)> tell;  // in words what happens; may be null
};

struct OpusSets {
  WrittenSets sets;
  std::string url;     // without a password
  std::string sha256;  // of the archive
};

// Fetches OPUS' GlobalVoices and makes the same files of it. The order is OPUS', so the split is not the report's. The
// archive lies in out_dir/.opus until the sets are there, so that a run that was cut off goes on where it was.
// Errors: as FetchFile; as ImportCorpus; DATA_LOSS, NOT_FOUND: the archive is damaged or lacks a side.
[[nodiscard]] absl::StatusOr<OpusSets> FetchOpus(const OpusOptions& options);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_CORPUS_H_
