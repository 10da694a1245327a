#include "client/data/demo_data.h"

#include <openssl/sha.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/data/apt.h"
#include "client/data/descriptions.h"

namespace petit::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kAptDirectory = ".apt";

Digest Sha256(std::string_view text) {
  Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

std::string HexSha256(std::string_view text) {
  const Digest digest = Sha256(text);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

// One file to be: its lines.
struct Content {
  std::string text;
  std::int64_t pairs = 0;

  void Add(const std::string& left, const std::string& right) {
    absl::StrAppend(&text, left, "\t", right, "\n");
    ++pairs;
  }
};

struct NamedContent {
  std::string name;
  Content content;
};

absl::StatusOr<std::string> ReadFile(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::NotFoundError(absl::StrCat(path.string(), ": cannot be read"));
  return std::string{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

absl::Status WriteByRename(const fs::path& path, std::string_view text) {
  const fs::path temporary = path.string() + ".part";
  {
    std::ofstream stream(temporary, std::ios::binary | std::ios::trunc);
    stream << text;
    stream.close();
    if (!stream) return absl::InternalError(absl::StrCat(temporary.string(), ": cannot be written"));
  }
  std::error_code failure;
  fs::rename(temporary, path, failure);
  if (failure) return absl::InternalError(absl::StrCat(path.string(), ": ", failure.message()));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Description>> ReadList(const std::string& path, const std::string& language) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::InternalError(absl::StrCat(path, ": cannot be read"));
  std::vector<Description> descriptions = ReadDescriptions(stream, language);
  if (descriptions.empty()) {
    return absl::DataLossError(absl::StrCat(path, ": holds no Description-", language));
  }
  return descriptions;
}

// Pairs of the two lists in the order of the English one, each English text once.
std::vector<TextPair> JoinLists(const std::vector<Description>& english, const std::vector<Description>& other) {
  std::unordered_map<std::string_view, const Description*> by_digest;
  for (const Description& description : other) by_digest.emplace(description.md5, &description);
  std::vector<TextPair> all;
  std::unordered_set<std::string> seen;
  for (const Description& description : english) {
    const auto found = by_digest.find(description.md5);
    if (found == by_digest.end()) continue;
    for (TextPair& pair : PairDescriptions(description, *found->second)) {
      if (seen.insert(pair.source).second) all.push_back(std::move(pair));
    }
  }
  return all;
}

std::vector<NamedContent> MakeFiles(const std::vector<TextPair>& french, const std::vector<TextPair>& korean) {
  Content train;
  Content dev;
  Content test;
  Content reversed;
  Content korean_test;
  for (const TextPair& pair : french) {
    switch (SplitOf(pair.source)) {
      case Split::kTrain:
        train.Add(pair.source, pair.target);
        break;
      case Split::kDev:
        dev.Add(pair.source, pair.target);
        break;
      case Split::kTest:
        test.Add(pair.source, pair.target);
        reversed.Add(pair.target, pair.source);
        break;
    }
  }
  for (const TextPair& pair : korean) {
    if (SplitOf(pair.source) == Split::kTest) korean_test.Add(pair.target, pair.source);
  }
  std::vector<NamedContent> files;
  files.push_back({"train.en-fr.tsv", std::move(train)});
  files.push_back({"dev.en-fr.tsv", std::move(dev)});
  files.push_back({"test.en-fr.tsv", std::move(test)});
  files.push_back({"test.fr-en.tsv", std::move(reversed)});
  files.push_back({"test.ko-en.tsv", std::move(korean_test)});
  return files;
}

std::string ManifestText(const DemoData& data) {
  Json files = Json::array();
  for (const DemoDataFile& file : data.files) {
    files.push_back({{"name", file.name}, {"pairs", file.pairs}, {"sha256", file.sha256}});
  }
  const Json manifest = {{"suite", data.suite}, {"mirror", data.mirror}, {"date", data.date}, {"files", files}};
  return manifest.dump(2) + "\n";
}

// What the manifest of an earlier run says, if every file still is as it says.
absl::StatusOr<DemoData> ReadBuilt(const fs::path& out) {
  const auto text = ReadFile(out / kManifest);
  if (!text.ok()) return text.status();
  DemoData data{.suite = {}, .mirror = {}, .date = {}, .files = {}, .reused = true};
  try {
    const Json manifest = Json::parse(*text);
    data.suite = manifest.at("suite");
    data.mirror = manifest.at("mirror");
    data.date = manifest.at("date");
    for (const Json& file : manifest.at("files")) {
      data.files.push_back({.name = file.at("name"), .pairs = file.at("pairs"), .sha256 = file.at("sha256")});
    }
  } catch (const Json::exception& exception) {
    return absl::DataLossError(absl::StrCat((out / kManifest).string(), ": ", exception.what()));
  }
  if (data.files.empty()) return absl::DataLossError("the manifest names no file");
  for (const DemoDataFile& file : data.files) {
    const auto content = ReadFile(out / file.name);
    if (!content.ok()) return content.status();
    if (HexSha256(*content) != file.sha256) return absl::DataLossError(absl::StrCat(file.name, " has changed"));
  }
  return data;
}

// The machine's source, with what the caller wants otherwise.
absl::StatusOr<AptSource> ChooseSource(const DemoDataOptions& options) {
  auto source = FindMachineSource(options.etc_apt);
  if (!source.ok()) {
    if (options.mirror.empty() || options.suite.empty()) return source.status();
    source = AptSource();
  }
  if (!options.mirror.empty()) {
    source->uri = options.mirror;
    source->trusted = false;  // said of the machine's mirror, not of this one
  }
  if (!options.suite.empty()) source->suite = options.suite;
  return source;
}

absl::StatusOr<DemoData> Build(const AptSource& source, const AptLists& lists, const fs::path& out,
                               const std::function<void(std::string_view)>& tell) {
  tell("pairing descriptions");
  const auto english = ReadList(lists.translations[0], "en");
  if (!english.ok()) return english.status();
  const auto french = ReadList(lists.translations[1], "fr");
  if (!french.ok()) return french.status();
  const auto korean = ReadList(lists.translations[2], "ko");
  if (!korean.ok()) return korean.status();

  DemoData data{.suite = source.suite, .mirror = source.uri, .date = lists.release_date, .files = {}, .reused = false};
  for (const NamedContent& file : MakeFiles(JoinLists(*english, *french), JoinLists(*english, *korean))) {
    if (auto status = WriteByRename(out / file.name, file.content.text); !status.ok()) return status;
    data.files.push_back({file.name, file.content.pairs, HexSha256(file.content.text)});
    tell(absl::StrCat(file.name, ": ", file.content.pairs, " pairs"));
  }
  if (auto status = WriteByRename(out / kManifest, ManifestText(data)); !status.ok()) return status;
  return data;
}

}  // namespace

Split SplitOf(std::string_view english) {
  const unsigned char first = Sha256(english)[0];
  if (first < 8) return Split::kTest;
  return first < 12 ? Split::kDev : Split::kTrain;
}

absl::StatusOr<DemoData> BuildDemoData(const DemoDataOptions& options,
                                       const std::function<void(std::string_view)>& progress) {
  const std::function<void(std::string_view)> tell = [&progress](std::string_view message) {
    if (progress) progress(message);
  };
  if (options.out_dir.empty()) return absl::InvalidArgumentError("no directory to write the demo data to");
  std::error_code failure;
  const fs::path out = fs::absolute(options.out_dir, failure).lexically_normal();
  if (!failure) fs::create_directories(out, failure);
  if (failure) return absl::InternalError(absl::StrCat(options.out_dir, ": ", failure.message()));

  if (!options.refresh) {
    auto built = ReadBuilt(out);
    if (built.ok() && (options.suite.empty() || options.suite == built->suite) &&
        (options.mirror.empty() || options.mirror == built->mirror)) {
      tell(absl::StrCat(out.string(), " already holds the data of ", built->suite, " (", built->date, ")"));
      return built;
    }
  }
  const auto source = ChooseSource(options);
  if (!source.ok()) return source.status();
  tell(absl::StrCat("fetching the descriptions of ", source->suite, " from ", source->uri));
  const auto lists = FetchTranslations({.program = options.apt_get,
                                        .source = *source,
                                        .directory = (out / kAptDirectory).string(),
                                        .languages = {"en", "fr", "ko"}});
  if (!lists.ok()) return lists.status();
  auto data = Build(*source, *lists, out, tell);
  // The lists were needed to go on after a failure; they are five times the data.
  if (data.ok()) fs::remove_all(out / kAptDirectory, failure);
  return data;
}

}  // namespace petit::data
