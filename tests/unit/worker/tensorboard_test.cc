#include "server/worker/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "petit/tensorboard/event.pb.h"

namespace petit::worker {
namespace {

TEST(Crc32c, IsThatOfRfc3720) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);
}

// TensorBoard's own reader is asked in tests/e2e/distillation; this is the frame byte by byte.
TEST(EventFile, RecordsAreFramedByLengthAndMaskedChecksums) {
  const std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / ("tb" + std::to_string(getpid()));
  {
    const auto file = EventFile::Create(directory);
    file->AddScalar("train/loss", 7, 1.5);
  }
  std::string bytes;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::filesystem::remove_all(directory);
  std::vector<tensorboard::Event> events;
  const auto masked = [](const std::string& data) {
    const std::uint32_t crc = Crc32c(data);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
  };
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint64_t length = 0;
    std::uint32_t check = 0;
    ASSERT_LE(at + 12, bytes.size());
    std::memcpy(&length, bytes.data() + at, 8);
    std::memcpy(&check, bytes.data() + at + 8, 4);
    EXPECT_EQ(check, masked(bytes.substr(at, 8)));
    const std::string data = bytes.substr(at + 12, length);
    std::memcpy(&check, bytes.data() + at + 12 + length, 4);
    EXPECT_EQ(check, masked(data));
    ASSERT_TRUE(events.emplace_back().ParseFromString(data));
    at += 16 + length;
  }
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].step(), 7);
  EXPECT_EQ(events[1].summary().value(0).tag(), "train/loss");
  EXPECT_EQ(events[1].summary().value(0).simple_value(), 1.5F);
}

}  // namespace
}  // namespace petit::worker
