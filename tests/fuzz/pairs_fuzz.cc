// Files of sentence pairs. The first byte says how the others are to be read.
#include "client/data/pair_reader.h"
#include "client/data/text.h"
#include "tests/fuzz/fuzz.h"

using petit::fuzz::Check;

namespace {

enum Way : std::uint8_t { kTsv, kSwapped, kJsonl, kJsonlOfLanguages, kTwoFiles, kWays };

void CheckPair(const petit::data::Pair& pair) {
  Check(!petit::data::FindInvalidUtf8(pair.reference), "a reference is UTF-8");
  Check(!pair.problem.ok() || !petit::data::FindInvalidUtf8(pair.source), "a good source is UTF-8");
  Check(!pair.problem.ok() || !petit::data::IsBlank(pair.source), "a good source is not blank");
  Check(pair.source.find('\0') == std::string::npos && pair.reference.find('\0') == std::string::npos,
        "a text holds no NUL");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static petit::fuzz::MemoryFile& first = *new petit::fuzz::MemoryFile;
  static petit::fuzz::MemoryFile& second = *new petit::fuzz::MemoryFile;
  if (size == 0) return 0;
  const auto way = static_cast<Way>(data[0] % kWays);
  const std::string_view bytes = petit::fuzz::Text(data + 1, size - 1);
  petit::data::PairFiles files;
  if (way == kTwoFiles) {
    first.Write(bytes.substr(0, bytes.size() / 2));
    second.Write(bytes.substr(bytes.size() / 2));
    files.source = first.path();
    files.reference = second.path();
  } else {
    first.Write(bytes);
    files.pairs = first.path();
    files.format = way == kTsv || way == kSwapped ? petit::data::PairFormat::kTsv : petit::data::PairFormat::kJsonl;
    files.swap_columns = way == kSwapped;
    if (way == kJsonlOfLanguages) files.source_language = "en", files.target_language = "fr";
  }
  std::int64_t pairs = 0;
  absl::Status end;
  auto reader = petit::data::PairReader::Open(files);
  end = reader.status();
  while (end.ok()) {
    const auto pair = reader->Next();
    end = pair.status();
    if (!end.ok() || !*pair) break;
    CheckPair(**pair);
    Check((*pair)->line > pairs, "lines are counted from 1, upwards");
    ++pairs;
  }
  Check(end.ok() || end.message().find("/proc/self/fd/") != end.message().npos, "an error names the file",
        end.ToString());
  const auto inspected = petit::data::InspectPairs(files);
  Check(!inspected.ok() || (end.ok() && inspected->pairs_there == pairs), "inspection finds what reading finds",
        end.ToString());
  Check(inspected.ok() || !end.ok() || pairs == 0, "inspection refuses only what reading refuses, and empty sets",
        inspected.status().ToString());
  return 0;
}
