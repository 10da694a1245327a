#include <signal.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/checkpoint/checkpoint.h"
#include "models/checkpoint/file.h"
#include "nlohmann/json.hpp"
#include "tests/unit/checkpoint/test_files.h"

namespace petit::checkpoint {
namespace {

using ::testing::AllOf;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::set<std::string> FilesIn(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

WriteOptions MaxShardBytes(std::int64_t bytes) {
  WriteOptions options;
  options.max_shard_bytes = bytes;
  return options;
}

class WriteTest : public ::testing::Test {
 protected:
  absl::Status WriteTo(const std::string& name, const WriteOptions& options = {}) {
    return Write(dir_ / name, config_, generation_, ToWrite(tensors_), options);
  }

  // A refusal leaves nothing behind.
  absl::Status Refusal(const WriteOptions& options = {}) {
    const absl::Status status = WriteTo("m", options);
    EXPECT_THAT(FilesIn(dir_.path()), IsEmpty());
    return status;
  }

  TempDir dir_;
  t5::T5Config config_ = TinyConfig(false);
  GenerationConfig generation_;
  std::vector<RawTensor> tensors_ = TinyTensors(config_);
};

TEST_F(WriteTest, WhatIsWrittenOpensEqual) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const std::string name(DTypeName(dtype));
    tensors_ = TinyTensors(config_, dtype);
    generation_ = {.decoder_start_token_id = 2, .pad_token_id = 3, .eos_token_ids = {1, 4}};
    ASSERT_TRUE(WriteTo(name).ok());
    const absl::StatusOr<Checkpoint> read = Checkpoint::Open(dir_ / name);
    ASSERT_TRUE(read.ok()) << read.status();
    for (const RawTensor& tensor : tensors_) {
      const TensorView view = read->tensor(tensor.name);
      EXPECT_EQ(view.dtype, dtype);
      EXPECT_EQ(view.shape, tensor.shape);
      ASSERT_EQ(view.bytes, tensor.data.size());
      EXPECT_EQ(std::memcmp(view.data, tensor.data.data(), view.bytes), 0) << tensor.name;
    }
    EXPECT_EQ(read->generation_config().decoder_start_token_id, 2);
    EXPECT_EQ(read->generation_config().pad_token_id, 3);
    EXPECT_THAT(read->generation_config().eos_token_ids, ElementsAre(1, 4));
    EXPECT_FALSE(read->config().tie_word_embeddings);
  }
}

TEST_F(WriteTest, ShardsKeepTheDigest) {
  ASSERT_TRUE(WriteTo("single").ok());
  ASSERT_TRUE(WriteTo("sharded", MaxShardBytes(200)).ok());
  EXPECT_EQ(FilesIn(dir_ / "single"),
            (std::set<std::string>{"config.json", "generation_config.json", "model.safetensors"}));
  EXPECT_TRUE(FilesIn(dir_ / "sharded").count("model.safetensors.index.json"));
  const absl::StatusOr<Checkpoint> single = Checkpoint::Open(dir_ / "single");
  const absl::StatusOr<Checkpoint> sharded = Checkpoint::Open(dir_ / "sharded");
  ASSERT_TRUE(single.ok()) << single.status();
  ASSERT_TRUE(sharded.ok()) << sharded.status();
  EXPECT_EQ(single->digest(), sharded->digest());
}

TEST_F(WriteTest, NoShardIsAboveTheLimitUnlessOneTensorIs) {
  ASSERT_TRUE(WriteTo("m", MaxShardBytes(100)).ok());
  const auto index = nlohmann::json::parse(ReadFile(dir_ / "m" + "/model.safetensors.index.json"));
  std::size_t total = 0;
  std::map<std::string, std::vector<std::size_t>> sizes;
  for (const RawTensor& tensor : tensors_) {
    sizes[index["weight_map"][tensor.name]].push_back(tensor.data.size());
    total += tensor.data.size();
  }
  EXPECT_EQ(index["metadata"]["total_size"], total);
  EXPECT_EQ(index["metadata"]["total_parameters"], total / 4);
  for (const auto& [shard, tensors] : sizes) {
    std::size_t bytes = 0;
    for (const std::size_t size : tensors) bytes += size;
    EXPECT_TRUE(bytes <= 100 || tensors.size() == 1) << shard;
  }
}

TEST_F(WriteTest, DataIsAlignedEvenWhereDTypesAreMixed) {
  tensors_[0] = TinyTensors(config_, DType::kBF16)[0];  // 21 elements: an odd count of 2 bytes
  ASSERT_TRUE(WriteTo("m").ok());
  const absl::StatusOr<Checkpoint> read = Checkpoint::Open(dir_ / "m");
  ASSERT_TRUE(read.ok()) << read.status();
  for (const RawTensor& tensor : tensors_) {
    const TensorView view = read->tensor(tensor.name);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % DTypeSize(view.dtype), 0u) << tensor.name;
  }
  const std::string file = ReadFile(dir_ / "m" + "/model.safetensors");
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(nlohmann::json::parse(file.substr(8, length))["__metadata__"]["format"], "pt");
}

TEST_F(WriteTest, CopiesFilesBesideTheWeights) {
  const TempDir other;
  WriteFile(other / "spiece.model", std::string(1 << 20, 'x') + "y");
  WriteFile(other / "tokenizer_config.json", "{}");
  ASSERT_TRUE(WriteTo("m", {.files_to_copy = {other / "spiece.model", other / "tokenizer_config.json"}}).ok());
  EXPECT_EQ(ReadFile(dir_ / "m" + "/spiece.model"), ReadFile(other / "spiece.model"));
  EXPECT_EQ(ReadFile(dir_ / "m" + "/tokenizer_config.json"), "{}");
}

TEST_F(WriteTest, RefusesToCopyWhatIsNotThereOrWouldOverwrite) {
  const TempDir other;
  EXPECT_EQ(Refusal({.files_to_copy = {other / "none"}}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Refusal({.files_to_copy = {other.path()}}).code(), absl::StatusCode::kInvalidArgument);
  WriteFile(other / "config.json", "{}");
  const absl::Status status = Refusal({.files_to_copy = {other / "config.json"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("the checkpoint has a file of that name already"));
}

TEST_F(WriteTest, NeverOverwrites) {
  ASSERT_TRUE(WriteTo("m").ok());
  EXPECT_EQ(WriteTo("m").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(WriteTo("m/").code(), absl::StatusCode::kAlreadyExists);
  std::filesystem::create_directory(dir_ / "empty");
  EXPECT_EQ(WriteTo("empty").code(), absl::StatusCode::kAlreadyExists);
  WriteFile(dir_ / "file", "");
  EXPECT_EQ(WriteTo("file").code(), absl::StatusCode::kAlreadyExists);
  std::filesystem::create_symlink("nowhere", dir_ / "link");
  EXPECT_EQ(WriteTo("link").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(FilesIn(dir_.path()), (std::set<std::string>{"m", "empty", "file", "link"}));
}

TEST_F(WriteTest, ATrailingSlashNamesTheSameDirectory) {
  ASSERT_TRUE(WriteTo("m/").ok());
  EXPECT_TRUE(Checkpoint::Open(dir_ / "m").ok());
  EXPECT_EQ(FilesIn(dir_.path()), (std::set<std::string>{"m"}));
}

TEST_F(WriteTest, SaysThatTheParentIsNotThere) {
  const absl::Status status = WriteTo("none/m");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("cannot create the directory: No such file or directory"));
  EXPECT_EQ(Write("", config_, generation_, ToWrite(tensors_)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Write("/", config_, generation_, ToWrite(tensors_)).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(WriteTest, RefusesTensorsThatAreNotTheConfigurations) {
  const std::vector<RawTensor> all = tensors_;
  tensors_.erase(tensors_.begin() + 2);
  EXPECT_THAT(Refusal().message(),
              HasSubstr("'encoder.block.0.layer.0.SelfAttention.k.weight' of shape [4, 3] is missing"));
  tensors_ = all;
  tensors_.push_back({.name = "more", .shape = {1}, .data = std::string(4, '\0')});
  EXPECT_THAT(Refusal().message(), HasSubstr("tensor 'more' is unexpected"));
  tensors_ = all;
  tensors_.push_back(all[3]);
  EXPECT_THAT(Refusal().message(), HasSubstr("is given twice"));
  tensors_ = all;
  tensors_[0].shape = {3, 7};
  EXPECT_THAT(Refusal().message(), HasSubstr("has shape [3, 7]; the configuration asks for [7, 3]"));
  tensors_ = all;
  tensors_[0].data.pop_back();
  EXPECT_THAT(Refusal().message(), HasSubstr("has 83 bytes of data; shape [7, 3] of F32 needs 84"));
}

TEST_F(WriteTest, RefusesNumbersThatOpenWouldRefuse) {
  const float kNan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(tensors_[5].data.data() + 4, &kNan, 4);
  const absl::Status status = Refusal();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(tensors_[5].name), HasSubstr("has NaN at element 1")));
}

TEST_F(WriteTest, RefusesConfigurationsThatOpenWouldRefuse) {
  EXPECT_THAT(Refusal(MaxShardBytes(0)).message(), HasSubstr("max_shard_bytes is 0"));
  generation_.eos_token_ids = {7};
  EXPECT_THAT(Refusal().message(), HasSubstr("eos_token_id is 7; it must be between 0 and 6"));
  config_.d_kv = 0;
  EXPECT_THAT(Refusal().message(), HasSubstr("d_kv is 0"));
}

// Stands in for a full disk, which a test cannot make: writes fail in the same places.
TEST_F(WriteTest, ALimitReachedWhileWritingLeavesNothingBehind) {
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto signal_before = signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t limit : {rlim_t{10}, rlim_t{1000}, rlim_t{2500}}) {
    const struct rlimit low = {.rlim_cur = limit, .rlim_max = before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    const absl::Status status = Refusal();
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(status.message(), HasSubstr("cannot write: File too large"));
  }
  signal(SIGXFSZ, signal_before);
  EXPECT_TRUE(WriteTo("m").ok());
}

TEST(ErrnoStatusTest, AFullDiskIsAnExhaustedResource) {
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) {
    EXPECT_EQ(ErrnoStatus(error, "f", "write").code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(ErrnoStatus(ENOSPC, "d/f", "write").message(), "d/f: cannot write: No space left on device");
  EXPECT_EQ(ErrnoStatus(EACCES, "f", "open").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoStatus(EIO, "f", "read").code(), absl::StatusCode::kUnknown);
}

TEST(ReadableFileTest, SaysThatAFileWasCutWhileItWasRead) {
  const TempDir dir;
  WriteFile(dir / "f", "0123456789");
  const absl::StatusOr<ReadableFile> file = ReadableFile::Open(dir / "f");
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::resize_file(dir / "f", 4);
  std::vector<std::byte> bytes(10);
  const absl::Status status = file->ReadAt(0, absl::MakeSpan(bytes));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("ends at byte 4; it had 10 bytes when it was opened"));
}

}  // namespace
}  // namespace petit::checkpoint
