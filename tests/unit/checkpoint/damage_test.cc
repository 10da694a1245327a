// Damaged files are refused or read, but never crash. Worth most under AddressSanitizer.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "models/checkpoint/checkpoint.h"
#include "models/t5/tensors.h"
#include "tests/unit/checkpoint/test_files.h"

namespace petit::checkpoint {
namespace {

std::size_t HeaderEnd(const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  return 8 + length;
}

// Opens and, where that succeeds, touches every byte of every view.
absl::Status OpenAndTouch(const std::string& directory) {
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  std::size_t sum = 0;
  for (const t5::TensorSpec& spec : t5::RequiredTensors(checkpoint->config())) {
    const TensorView view = checkpoint->tensor(spec.name);
    EXPECT_NE(view.data, nullptr) << spec.name;
    for (std::size_t i = 0; i < view.bytes; ++i) sum += std::to_integer<std::size_t>(view.data[i]);
  }
  EXPECT_GT(sum, 0u);
  return absl::OkStatus();
}

class DamageTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteTinyCheckpoint(dir_.path(), TinyConfigText(), TinyTensors(TinyConfig())); }

  // What Open says of random damage to one file: a few bytes changed, inserted or removed in [0, end).
  void Damage(const std::string& name, std::size_t end, int rounds) {
    const std::string sound = ReadFile(dir_ / name);
    std::mt19937 random(7);
    const auto below = [&random](std::size_t limit) { return random() % limit; };
    for (int round = 0; round < rounds; ++round) {
      std::string bytes = sound;
      for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
        const std::size_t at = below(end - 2);
        switch (below(4)) {
          case 0:
            bytes[at] = static_cast<char>(below(256));
            break;
          case 1:
            bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(8));
            break;
          case 2:
            bytes.insert(at, 1, "{}[],:\"0123456789\\-e"[below(20)]);
            break;
          default:
            bytes.erase(at, 1);
        }
      }
      WriteFile(dir_ / name, bytes);
      const absl::Status status = OpenAndTouch(dir_.path());
      EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status) || absl::IsNotFound(status)) << status;
    }
    WriteFile(dir_ / name, sound);
    EXPECT_TRUE(OpenAndTouch(dir_.path()).ok());
  }

  TempDir dir_;
};

TEST_F(DamageTest, WeightsCutAnywhereInTheHeaderAreRefused) {
  const std::string sound = ReadFile(dir_ / "model.safetensors");
  const std::size_t end = HeaderEnd(sound);
  for (std::size_t size = 0; size < end + 16; ++size) {
    WriteFile(dir_ / "model.safetensors", sound.substr(0, size));
    const absl::Status status = OpenAndTouch(dir_.path());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << size << ": " << status;
  }
}

// The length field says so, too: the JSON ends early instead of the file.
TEST_F(DamageTest, HeadersCutAnywhereAreRefused) {
  const std::string sound = ReadFile(dir_ / "model.safetensors");
  const std::size_t end = HeaderEnd(sound);
  for (std::size_t size = 8; size < end; ++size) {
    WriteFile(dir_ / "model.safetensors", SafetensorsBytes(sound.substr(8, size - 8), sound.substr(end)));
    const absl::Status status = OpenAndTouch(dir_.path());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << size << ": " << status;
  }
}

TEST_F(DamageTest, ConfigCutAnywhereIsRefused) {
  const std::string sound = ReadFile(dir_ / "config.json");
  for (std::size_t size = 0; size < sound.size(); ++size) {
    WriteFile(dir_ / "config.json", sound.substr(0, size));
    EXPECT_TRUE(absl::IsInvalidArgument(OpenAndTouch(dir_.path()))) << size;
  }
}

TEST_F(DamageTest, RandomDamageToWeightsNeverCrashes) {
  Damage("model.safetensors", HeaderEnd(ReadFile(dir_ / "model.safetensors")), 2000);
}

TEST_F(DamageTest, RandomDamageToConfigNeverCrashes) {
  Damage("config.json", ReadFile(dir_ / "config.json").size(), 2000);
}

TEST_F(DamageTest, RandomDamageToTheIndexNeverCrashes) {
  WriteTinyCheckpoint(dir_.path(), TinyConfigText(), TinyTensors(TinyConfig()), 2);
  // Without the single file, which would be taken first.
  ASSERT_EQ(std::remove((dir_ / "model.safetensors").c_str()), 0);
  Damage("model.safetensors.index.json", ReadFile(dir_ / "model.safetensors.index.json").size(), 1000);
}

}  // namespace
}  // namespace petit::checkpoint
