#include "models/checkpoint/checkpoint.h"

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/t5/tensors.h"
#include "tests/unit/checkpoint/test_files.h"

namespace petit::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void ExpectHolds(const Checkpoint& checkpoint, const std::vector<RawTensor>& tensors) {
  for (const RawTensor& tensor : tensors) {
    const TensorView view = checkpoint.tensor(tensor.name);
    EXPECT_EQ(DTypeName(view.dtype), tensor.dtype) << tensor.name;
    EXPECT_EQ(view.shape, tensor.shape) << tensor.name;
    ASSERT_EQ(view.bytes, tensor.data.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(view.data, tensor.data.data(), view.bytes), 0) << tensor.name;
  }
}

std::string DigestOf(const std::string& directory) {
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(directory);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return checkpoint.ok() ? checkpoint->digest() : "";
}

class CheckpointTest : public ::testing::Test {
 protected:
  void Write(const std::vector<RawTensor>& tensors, bool tied = true, int shards = 1) {
    WriteTinyCheckpoint(dir_.path(), TinyConfigText(tied), tensors, shards);
  }

  absl::Status OpenError() const { return Checkpoint::Open(dir_.path()).status(); }

  TempDir dir_;
};

TEST_F(CheckpointTest, GivesTheTensorsOfEveryDType) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const std::vector<RawTensor> tensors = TinyTensors(TinyConfig(), dtype);
    Write(tensors);
    const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    ExpectHolds(*checkpoint, tensors);
    EXPECT_EQ(checkpoint->parameters(), t5::ParameterCount(TinyConfig()));
    EXPECT_EQ(checkpoint->bytes_on_disk(),
              static_cast<std::int64_t>(std::filesystem::file_size(dir_ / "model.safetensors")));
    EXPECT_EQ(checkpoint->tokenizer_path(), dir_ / "spiece.model");
    EXPECT_EQ(checkpoint->directory(), dir_.path());
  }
}

TEST_F(CheckpointTest, HalfPrecisionViewsAreTheBitsOfTheFile) {
  Write(TinyTensors(TinyConfig(), DType::kBF16));
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const TensorView view = checkpoint->tensor("encoder.final_layer_norm.weight");  // the eleventh tensor: 10 + i / 64
  std::uint16_t bits[3];
  ASSERT_EQ(view.bytes, sizeof(bits));
  std::memcpy(bits, view.data, sizeof(bits));
  EXPECT_THAT(bits, ElementsAre(0x4120, ToBf16(10.0f + 1.0f / 64), ToBf16(10.0f + 2.0f / 64)));
}

TEST_F(CheckpointTest, DTypesMayDifferBetweenTensors) {
  std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  tensors[1] = TinyTensors(TinyConfig(), DType::kF16)[1];
  Write(tensors);
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  ExpectHolds(*checkpoint, tensors);
}

TEST_F(CheckpointTest, EvictedTensorsReadTheSameAgain) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  Write(tensors);
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (const RawTensor& tensor : tensors) {
    checkpoint->Evict(tensor.name);
    ExpectHolds(*checkpoint, tensors);
  }
  checkpoint->Evict("no such tensor");
}

TEST_F(CheckpointTest, AnUnknownNameGivesAnEmptyView) {
  Write(TinyTensors(TinyConfig()));
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->tensor("lm_head.weight").data, nullptr);
}

TEST_F(CheckpointTest, ViewsOutliveAMove) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  Write(tensors);
  absl::StatusOr<Checkpoint> opened = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  const std::byte* before = opened->tensor(tensors[0].name).data;
  const Checkpoint moved = *std::move(opened);
  EXPECT_EQ(moved.tensor(tensors[0].name).data, before);
  ExpectHolds(moved, tensors);
}

TEST_F(CheckpointTest, TheOpenCheckpointOutlivesTheReplacementOfItsFiles) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  Write(tensors);
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  WriteFile(dir_ / "new", "other bytes");
  std::filesystem::rename(dir_ / "new", dir_ / "model.safetensors");
  ExpectHolds(*checkpoint, tensors);
}

TEST_F(CheckpointTest, EitherCopyOfTheEmbeddingStandsForSharedWeight) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  for (const char* alias : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}) {
    std::vector<RawTensor> renamed = tensors;
    renamed[0].name = alias;
    Write(renamed);
    const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    ExpectHolds(*checkpoint, tensors);
  }
}

TEST_F(CheckpointTest, TheHeadOfAnUntiedModelIsNoCopyOfTheEmbedding) {
  std::vector<RawTensor> tensors = TinyTensors(TinyConfig(false));
  tensors.erase(tensors.begin());
  Write(tensors, /*tied=*/false);
  EXPECT_THAT(OpenError().message(), HasSubstr("the first is 'shared.weight' of shape [7, 3]"));
}

TEST_F(CheckpointTest, IgnoresCopiesOfTheEmbeddingBesideIt) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig(false));
  std::vector<RawTensor> more = tensors;
  more.push_back(tensors[0]);
  more.back().name = "encoder.embed_tokens.weight";
  more.push_back({.name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
                  .shape = {1},
                  .data = std::string(4, '\0')});
  Write(tensors, /*tied=*/false);
  const std::string digest = DigestOf(dir_.path());
  Write(more, /*tied=*/false);
  EXPECT_EQ(DigestOf(dir_.path()), digest);
}

TEST_F(CheckpointTest, ReadsShardsAsOneFile) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig(false));
  Write(tensors, /*tied=*/false, /*shards=*/3);
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  ExpectHolds(*checkpoint, tensors);
}

TEST_F(CheckpointTest, TheDigestIsTheModelsAndNotItsFiles) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig(false));
  Write(tensors, /*tied=*/false, /*shards=*/3);
  const std::string digest = DigestOf(dir_.path());
  EXPECT_EQ(digest.size(), 64u);

  TempDir single;
  const std::vector<RawTensor> reversed(tensors.rbegin(), tensors.rend());
  std::string config = TinyConfigText(false);
  config.insert(1, "\n\"transformers_version\": \"4\",  \"dropout_rate\": 0.5, ");
  WriteTinyCheckpoint(single.path(), config, reversed);
  EXPECT_EQ(DigestOf(single.path()), digest);
}

TEST_F(CheckpointTest, TheDigestChangesWithEverythingThatChangesResults) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  Write(tensors);
  std::vector<std::string> digests = {DigestOf(dir_.path())};

  std::vector<RawTensor> other = tensors;
  other.back().data[0] ^= 1;
  Write(other);
  digests.push_back(DigestOf(dir_.path()));
  Write(TinyTensors(TinyConfig(), DType::kBF16));
  digests.push_back(DigestOf(dir_.path()));
  WriteTinyCheckpoint(dir_.path(), "{\"layer_norm_epsilon\": 1e-5," + TinyConfigText().substr(1), tensors);
  digests.push_back(DigestOf(dir_.path()));
  Write(tensors);
  WriteFile(dir_ / "generation_config.json", R"({"eos_token_id": [1, 2]})");
  digests.push_back(DigestOf(dir_.path()));
  std::filesystem::remove(dir_ / "generation_config.json");
  WriteFile(dir_ / "spiece.model", "");
  digests.push_back(DigestOf(dir_.path()));
  WriteFile(dir_ / "spiece.model", "pieces");
  digests.push_back(DigestOf(dir_.path()));

  for (std::size_t i = 0; i < digests.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(digests[i], digests[j]) << i << " and " << j;
  }
}

TEST_F(CheckpointTest, GenerationConfigOverridesConfig) {
  Write(TinyTensors(TinyConfig()));
  WriteFile(dir_ / "generation_config.json", R"({"eos_token_id": [1, 4], "decoder_start_token_id": 2})");
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(checkpoint->generation_config().eos_token_ids, ElementsAre(1, 4));
  EXPECT_EQ(checkpoint->generation_config().decoder_start_token_id, 2);
  EXPECT_EQ(checkpoint->generation_config().pad_token_id, 0);
  EXPECT_THAT(checkpoint->config().eos_token_ids, ElementsAre(1));
}

TEST_F(CheckpointTest, SaysWhatIsNotThere) {
  EXPECT_EQ(Checkpoint::Open(dir_ / "none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(OpenError().message(), HasSubstr("config.json: cannot open: No such file"));
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kNotFound);
  WriteFile(dir_ / "config.json", TinyConfigText());
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(OpenError().message(), HasSubstr("has neither model.safetensors nor model.safetensors.index.json"));
}

TEST_F(CheckpointTest, RefusesWhatIsNoDirectoryOrNoFile) {
  WriteFile(dir_ / "file", "");
  EXPECT_EQ(Checkpoint::Open(dir_ / "file").status().code(), absl::StatusCode::kInvalidArgument);
  WriteFile(dir_ / "config.json", TinyConfigText());
  ASSERT_EQ(mkfifo((dir_ / "model.safetensors").c_str(), 0600), 0);
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(OpenError().message(), HasSubstr("is not a regular file"));
}

TEST_F(CheckpointTest, NamesTheMissingTensorAndItsShape) {
  std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  tensors.erase(tensors.begin() + 3, tensors.begin() + 5);
  Write(tensors);
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(OpenError().message(),
              HasSubstr("model.safetensors: lacks 2 of the tensors that config.json asks for; the first is "
                        "'encoder.block.0.layer.0.SelfAttention.v.weight' of shape [4, 3]"));
}

TEST_F(CheckpointTest, UntiedModelsNeedTheirHead) {
  Write(TinyTensors(TinyConfig(true)), /*tied=*/false);
  EXPECT_THAT(OpenError().message(), HasSubstr("'lm_head.weight' of shape [7, 3]"));
}

TEST_F(CheckpointTest, NamesTheUnexpectedTensor) {
  std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  tensors.push_back({.name = "encoder.block.1.layer_norm.weight", .shape = {1}, .data = std::string(4, '\0')});
  Write(tensors);
  EXPECT_THAT(OpenError().message(), HasSubstr("has the unexpected tensor 'encoder.block.1.layer_norm.weight'"));
}

TEST_F(CheckpointTest, NamesTheTensorOfAnotherShape) {
  std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  tensors[0].shape = {3, 7};
  Write(tensors);
  EXPECT_THAT(OpenError().message(), HasSubstr("tensor 'shared.weight' has shape [3, 7]; config.json asks for [7, 3]"));
}

TEST_F(CheckpointTest, FindsEveryNonFiniteNumber) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  const float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig(false));
  for (const std::size_t index : {std::size_t{0}, tensors.size() / 2, tensors.size() - 1}) {
    for (const auto& [value, name] : {std::pair(kInfinity, "+Inf"), {-kInfinity, "-Inf"}, {kNan, "NaN"}}) {
      std::vector<RawTensor> bad = tensors;
      std::memcpy(bad[index].data.data() + 8, &value, 4);
      Write(bad, /*tied=*/false);
      const absl::Status status = OpenError();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(status.message(), AllOf(HasSubstr(tensors[index].name), HasSubstr(name), HasSubstr("at element 2")));
    }
  }
}

TEST_F(CheckpointTest, FindsNonFiniteNumbersOfHalfPrecision) {
  for (const auto& [dtype, bits] : {std::pair(DType::kBF16, 0x7f80), {DType::kF16, 0x7c00}}) {
    std::vector<RawTensor> tensors = TinyTensors(TinyConfig(), dtype);
    tensors[4].data[2] = static_cast<char>(bits & 0xff);
    tensors[4].data[3] = static_cast<char>(bits >> 8);
    Write(tensors);
    EXPECT_THAT(OpenError().message(), AllOf(HasSubstr(tensors[4].name), HasSubstr("+Inf at element 1")));
  }
}

TEST_F(CheckpointTest, FindsNonFiniteNumbersInIgnoredTensorsToo) {
  std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  tensors.push_back(tensors[0]);
  tensors.back().name = "decoder.embed_tokens.weight";
  tensors.back().data.replace(0, 4, std::string("\0\0\xc0\x7f", 4));
  Write(tensors);
  EXPECT_THAT(OpenError().message(), HasSubstr("'decoder.embed_tokens.weight' has NaN at element 0"));
}

class ShardsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteTinyCheckpoint(dir_.path(), TinyConfigText(), TinyTensors(TinyConfig()), 2);
    index_ = ReadFile(dir_ / "model.safetensors.index.json");
  }

  // The error after `from` in the index has become `to`.
  absl::Status ErrorWith(const std::string& from, const std::string& to) {
    std::string index = index_;
    const std::size_t at = index.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    index.replace(at, from.size(), to);
    WriteFile(dir_ / "model.safetensors.index.json", index);
    return Checkpoint::Open(dir_.path()).status();
  }

  TempDir dir_;
  std::string index_;
};

TEST_F(ShardsTest, NamesTheShardThatIsNotThere) {
  const absl::Status status = ErrorWith("shard-1.safetensors", "shard-9.safetensors");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("shard-9.safetensors"), HasSubstr("index.json names this shard")));
}

TEST_F(ShardsTest, NamesTheTensorThatTheShardLacks) {
  const absl::Status status = ErrorWith("\"shared.weight\": \"shard-0", "\"shared.weight\": \"shard-1");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("shard-1.safetensors: lacks the tensor 'shared.weight'"));
  EXPECT_THAT(ErrorWith("\"weight_map\": {", "\"weight_map\": {\"more\": \"shard-0.safetensors\", ").message(),
              HasSubstr("shard-0.safetensors: lacks the tensor 'more'"));
}

TEST_F(ShardsTest, NamesTheTensorThatTheIndexLacks) {
  EXPECT_THAT(ErrorWith(", \"shared.weight\": \"shard-0.safetensors\"", "").message(),
              HasSubstr("has the tensor 'shared.weight', which"));
}

TEST_F(ShardsTest, RefusesATensorInTwoShards) {
  const std::vector<RawTensor> tensors = TinyTensors(TinyConfig());
  std::vector<RawTensor> second;
  for (std::size_t i = 1; i < tensors.size(); i += 2) second.push_back(tensors[i]);
  second.push_back(tensors[0]);
  WriteFile(dir_ / "shard-1.safetensors", SafetensorsBytes(second));
  EXPECT_THAT(Checkpoint::Open(dir_.path()).status().message(),
              AllOf(HasSubstr("tensor 'shared.weight' is in"), HasSubstr("shard-0.safetensors already")));
}

TEST_F(ShardsTest, ShardsAreFilesOfTheSameDirectory) {
  for (const char* name :
       {"../shard-0.safetensors", "/etc/passwd", "a/../shard-0.safetensors", "..", ".", "", "a\\u0000"}) {
    const absl::Status status = ErrorWith("\"shard-0.safetensors\"", "\"" + std::string(name) + "\"");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(status.message(), HasSubstr("expected the name of a file in the same directory")) << name;
  }
  EXPECT_THAT(ErrorWith("\"shard-0.safetensors\"", "7").message(), HasSubstr("expected the name of a file"));
}

TEST_F(ShardsTest, RefusesABrokenIndex) {
  EXPECT_THAT(ErrorWith("weight_map", "weights").message(), HasSubstr("lacks weight_map"));
  EXPECT_THAT(ErrorWith("{\"metadata\"", "[\"metadata\"").message(), HasSubstr("is not well-formed JSON"));
  EXPECT_THAT(ErrorWith("\"weight_map\": {", "\"weight_map\": {\"shared.weight\": \"shard-0.safetensors\", ").message(),
              HasSubstr("has the key 'shared.weight' twice"));
}

}  // namespace
}  // namespace petit::checkpoint
