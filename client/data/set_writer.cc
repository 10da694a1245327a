#include "client/data/set_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/data/sha256.h"

namespace petit::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr char kManifest[] = "manifest.json";
constexpr std::size_t kBufferBytes = 1 << 16;

// A run of white space with anything but spaces in it becomes one.
std::string OneLine(std::string_view text) {
  constexpr std::string_view kBlanks(" \t\n\r\v\f\0", 7);
  std::string line;
  while (true) {
    const std::size_t word = text.find_first_not_of(kBlanks);
    if (word == std::string_view::npos) return line;
    const std::string_view run = text.substr(0, word);
    if (!line.empty()) line += run.find_first_not_of(' ') == std::string_view::npos ? run : std::string_view(" ");
    text.remove_prefix(word);
    const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
    line += text.substr(0, end);
    text.remove_prefix(end);
  }
}

}  // namespace

// A file to be, under its name with ".part" until it is renamed.
class SetWriter::Part {
 public:
  Part(const std::string& directory, std::string name)
      : name_(std::move(name)), final_(directory + "/" + name_), temporary_(final_ + ".part") {}
  ~Part() {
    if (fd_ >= 0) close(fd_);
    if (!renamed_) unlink(temporary_.c_str());
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  absl::Status Open() {
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd_ >= 0 ? absl::OkStatus() : Failed();
  }

  absl::Status Add(std::string_view text) {
    buffer_.append(text);
    return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
  }

  absl::Status AddPair(const std::string& left, const std::string& right) {
    ++pairs_;
    return Add(absl::StrCat(left, "\t", right, "\n"));
  }

  // On disk for certain, but not under its name.
  absl::Status Close() {
    if (absl::Status status = Flush(); !status.ok()) return status;
    if (fsync(fd_) != 0 && errno != EINVAL) return Failed();
    const int closed = close(fd_);
    fd_ = -1;
    return closed == 0 ? absl::OkStatus() : Failed();
  }

  absl::Status Rename() {
    if (std::rename(temporary_.c_str(), final_.c_str()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot rename ", temporary_));
    }
    renamed_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<SetFile> Describe() {
    absl::StatusOr<std::string> sha256 = digest_.Finish();
    if (!sha256.ok()) return sha256.status();
    return SetFile{.name = name_, .pairs = pairs_, .sha256 = *std::move(sha256)};
  }

 private:
  [[nodiscard]] absl::Status Failed() const {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", temporary_));
  }

  absl::Status Flush() {
    digest_.Update(buffer_);
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      const ssize_t count = write(fd_, rest.data(), rest.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Failed();
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
    buffer_.clear();
    return absl::OkStatus();
  }

  const std::string name_;
  const std::string final_;
  const std::string temporary_;
  int fd_ = -1;
  bool renamed_ = false;
  std::string buffer_;
  std::int64_t pairs_ = 0;
  Sha256Digest digest_;
};

SetWriter::SetWriter(std::string directory, const SplitRule& rule) : directory_(std::move(directory)), rule_(rule) {
  for (const char* name : {"train.en-fr.tsv", "test.en-fr.tsv", "test.fr-en.tsv", "dev.en-fr.tsv"}) {
    parts_.push_back(std::make_unique<Part>(directory_, name));
  }
}

SetWriter::~SetWriter() = default;

absl::StatusOr<std::unique_ptr<SetWriter>> SetWriter::Open(const std::string& directory, const SplitRule& rule) {
  if (rule.train < 1 || rule.test < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("train is ", rule.train, " pairs and test ", rule.test, "; at least one of each is wanted"));
  }
  if (rule.dev < 0) return absl::InvalidArgumentError(absl::StrCat("dev is ", rule.dev, " pairs; want 0 or more"));
  std::error_code failure;
  fs::create_directories(directory, failure);
  if (failure) return absl::ErrnoToStatus(failure.value(), absl::StrCat("cannot make ", directory));
  std::unique_ptr<SetWriter> writer(new SetWriter(directory, rule));
  for (const auto& part : writer->parts_) {
    if (absl::Status status = part->Open(); !status.ok()) return status;
  }
  return writer;
}

absl::Status SetWriter::Add(std::string english, std::string french) {
  ++counts_.there;
  english = OneLine(english);
  french = OneLine(french);
  if (english.empty() || french.empty()) {
    ++counts_.empty;
    return absl::OkStatus();
  }
  const std::int64_t number = kept_++;
  if (number < rule_.train) return parts_[0]->AddPair(english, french);
  if (number - rule_.train < rule_.test) {
    if (absl::Status status = parts_[1]->AddPair(english, french); !status.ok()) return status;
    return parts_[2]->AddPair(french, english);
  }
  if (number - rule_.train - rule_.test < rule_.dev) return parts_[3]->AddPair(english, french);
  ++counts_.unused;
  return absl::OkStatus();
}

std::string SetWriter::Manifest(const SetSource& source, const std::vector<SetFile>& files) const {
  Json manifest;
  manifest["source"] = {{"name", source.name}, {"sha256", source.sha256}};
  if (!source.url.empty()) manifest["source"]["url"] = source.url;
  manifest["order"] = source.order;
  manifest["split"] = {{"rule", absl::StrCat("of the pairs without an empty side, in the source's order: the first ",
                                             rule_.train, " are train, the next ", rule_.test, " are test, up to ",
                                             rule_.dev, " after them are dev")},
                       {"train", rule_.train},
                       {"test", rule_.test},
                       {"dev", rule_.dev}};
  manifest["options"] = Json::object();
  for (const auto& [name, value] : source.options) manifest["options"][name] = value;
  manifest["counts"] = {{"pairs_there", counts_.there}, {"dropped_empty", counts_.empty}, {"unused", counts_.unused}};
  manifest["files"] = Json::array();
  for (const SetFile& file : files) {
    manifest["files"].push_back({{"name", file.name}, {"pairs", file.pairs}, {"sha256", file.sha256}});
  }
  return manifest.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<WrittenSets> SetWriter::Finish(const SetSource& source) {
  if (kept_ < rule_.train || kept_ - rule_.train < rule_.test) {
    return absl::FailedPreconditionError(absl::StrCat(source.name, " holds ", kept_, " pairs without an empty side; ",
                                                      rule_.train, " to train and ", rule_.test,
                                                      " to test are wanted"));
  }
  WrittenSets sets{.files = {}, .counts = counts_};
  for (const auto& part : parts_) {
    if (absl::Status status = part->Close(); !status.ok()) return status;
    absl::StatusOr<SetFile> file = part->Describe();
    if (!file.ok()) return file.status();
    sets.files.push_back(*std::move(file));
  }
  Part manifest(directory_, kManifest);
  absl::Status status = manifest.Open();
  if (status.ok()) status = manifest.Add(Manifest(source, sets.files));
  if (status.ok()) status = manifest.Close();
  if (!status.ok()) return status;
  // A manifest never stands beside files that it does not describe.
  const std::string old_manifest = directory_ + "/" + kManifest;
  if (unlink(old_manifest.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot replace ", old_manifest));
  }
  for (const auto& part : parts_) {
    if (status = part->Rename(); !status.ok()) return status;
  }
  if (status = manifest.Rename(); !status.ok()) return status;
  return sets;
}

}  // namespace petit::data
