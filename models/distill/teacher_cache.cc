#include "models/distill/teacher_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/checkpoint/file.h"
#include "models/distill/functions.h"

namespace petit::distill {
namespace {

// File: magic, k. Record: key, tokens, check (a digest of the payload); payload: ids, log_probs, rest.
constexpr std::uint64_t kMagic = 0x3130484354455050;  // "PPETCH01", little-endian
constexpr std::int64_t kFileHeader = 16;
constexpr std::int64_t kRecordHeader = 24;
constexpr std::uint64_t kMaxTokens = 1 << 20;

struct RecordHeader {
  std::uint64_t key = 0;
  std::uint64_t tokens = 0;
  std::uint64_t check = 0;
};
static_assert(sizeof(RecordHeader) == kRecordHeader);

std::int64_t PayloadBytes(std::uint64_t tokens, int k) {
  return static_cast<std::int64_t>(tokens) * (std::int64_t{8} * k + 4);
}

std::uint64_t CheckOf(const std::vector<char>& payload) {
  std::uint64_t check = payload.size();
  for (std::size_t i = 0; i + 4 <= payload.size(); i += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, payload.data() + i, 4);
    check = MixBits(check, word);
  }
  return check;
}

bool ReadFully(int descriptor, std::int64_t offset, void* out, std::size_t bytes) {
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t n = pread(descriptor, to, bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    offset += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

absl::Status WriteFully(int descriptor, const std::string& path, std::int64_t offset, const std::vector<char>& data) {
  const char* from = data.data();
  std::size_t bytes = data.size();
  while (bytes > 0) {
    const ssize_t n = pwrite(descriptor, from, bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return checkpoint::ErrnoStatus(errno, path, "write");
    from += n;
    offset += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return absl::OkStatus();
}

void Put(const void* data, std::size_t bytes, std::vector<char>* out) {
  const char* from = static_cast<const char*>(data);
  out->insert(out->end(), from, from + bytes);
}

std::vector<char> PayloadOf(const CachedExample& example) {
  std::vector<char> payload;
  Put(example.ids.data(), example.ids.size() * 4, &payload);
  Put(example.log_probs.data(), example.log_probs.size() * 4, &payload);
  Put(example.rest.data(), example.rest.size() * 4, &payload);
  return payload;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TeacherCache>> TeacherCache::Open(const std::string& path, int k) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  std::unique_ptr<TeacherCache> cache(new TeacherCache(path, k));
  cache->descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (cache->descriptor_ < 0) return checkpoint::ErrnoStatus(errno, path, "open");
  cache->writer_ = flock(cache->descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (absl::Status status = cache->Scan(); !status.ok()) return status;
  return cache;
}

TeacherCache::~TeacherCache() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::Status TeacherCache::Scan() {
  struct stat info {};
  if (fstat(descriptor_, &info) != 0) return checkpoint::ErrnoStatus(errno, path_, "stat");
  const std::int64_t size = info.st_size;
  std::array<std::uint64_t, 2> header = {kMagic, static_cast<std::uint64_t>(k_)};
  if (size < kFileHeader) {
    end_ = kFileHeader;
    if (!writer_) return absl::OkStatus();
    std::vector<char> data;
    Put(header.data(), sizeof(header), &data);
    if (ftruncate(descriptor_, 0) != 0) return checkpoint::ErrnoStatus(errno, path_, "truncate");
    return WriteFully(descriptor_, path_, 0, data);
  }
  std::array<std::uint64_t, 2> found{};
  if (!ReadFully(descriptor_, 0, found.data(), sizeof(found)) || found != header) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": not a teacher cache of top_k ", k_, "; remove it and it is made anew"));
  }
  end_ = kFileHeader;
  RecordHeader record;
  while (ReadFully(descriptor_, end_, &record, sizeof(record))) {
    if (record.tokens > kMaxTokens) break;
    const std::int64_t next = end_ + kRecordHeader + PayloadBytes(record.tokens, k_);
    if (next > size) break;
    offsets_[record.key] = end_;
    end_ = next;
  }
  if (end_ < size && writer_ && ftruncate(descriptor_, end_) != 0) {
    return checkpoint::ErrnoStatus(errno, path_, "truncate");
  }
  return absl::OkStatus();
}

absl::StatusOr<CachedExample> TeacherCache::Read(std::uint64_t key) const {
  if (const auto own = own_.find(key); own != own_.end()) return own->second;
  const auto found = offsets_.find(key);
  if (found == offsets_.end()) return absl::NotFoundError("not in the teacher cache");
  RecordHeader record;
  if (!ReadFully(descriptor_, found->second, &record, sizeof(record))) {
    return absl::DataLossError(absl::StrCat(path_, ": has become shorter"));
  }
  std::vector<char> payload(static_cast<std::size_t>(PayloadBytes(record.tokens, k_)));
  if (!ReadFully(descriptor_, found->second + kRecordHeader, payload.data(), payload.size()) ||
      CheckOf(payload) != record.check) {
    return absl::DataLossError(
        absl::StrCat(path_, ": damaged at byte ", found->second, "; remove the file and it is made anew"));
  }
  CachedExample example;
  const std::size_t entries = record.tokens * static_cast<std::size_t>(k_);
  example.ids.resize(entries);
  example.log_probs.resize(entries);
  example.rest.resize(record.tokens);
  std::memcpy(example.ids.data(), payload.data(), entries * 4);
  std::memcpy(example.log_probs.data(), payload.data() + entries * 4, entries * 4);
  std::memcpy(example.rest.data(), payload.data() + entries * 8, record.tokens * 4);
  return example;
}

absl::Status TeacherCache::Add(std::uint64_t key, const CachedExample& example) {
  if (!writer_) {
    own_[key] = example;
    return absl::OkStatus();
  }
  const std::vector<char> payload = PayloadOf(example);
  const RecordHeader record{.key = key, .tokens = example.rest.size(), .check = CheckOf(payload)};
  std::vector<char> data;
  Put(&record, sizeof(record), &data);
  data.insert(data.end(), payload.begin(), payload.end());
  if (absl::Status status = WriteFully(descriptor_, path_, end_, data); !status.ok()) return status;
  offsets_[key] = end_;
  end_ += static_cast<std::int64_t>(data.size());
  return absl::OkStatus();
}

absl::Status TeacherCache::Flush() {
  if (writer_ && fdatasync(descriptor_) != 0) return checkpoint::ErrnoStatus(errno, path_, "write");
  return absl::OkStatus();
}

}  // namespace petit::distill
