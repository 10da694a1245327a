#include "server/worker/tensorboard.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "petit/tensorboard/event.pb.h"

namespace petit::worker {
namespace {

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::array<std::uint32_t, 256> MakeTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}

// As the format asks: so that a CRC of data that holds CRCs is not weak.
std::uint32_t Masked(std::string_view data) {
  const std::uint32_t crc = Crc32c(data);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

template <typename T>
std::string Bytes(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

}  // namespace

std::uint32_t Crc32c(std::string_view data) {
  static const std::array<std::uint32_t, 256> table = MakeTable();
  std::uint32_t crc = ~0U;
  for (const char c : data) crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xffU];
  return ~crc;
}

std::unique_ptr<EventFile> EventFile::Create(const std::string& directory) {
  std::error_code ignored;
  std::filesystem::create_directories(directory, ignored);
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return std::unique_ptr<EventFile>(new EventFile(
      absl::StrCat(directory, "/events.out.tfevents.", static_cast<std::int64_t>(Now()), ".", host.data())));
}

EventFile::EventFile(const std::string& path) : file_(path, std::ios::binary) {
  tensorboard::Event event;
  event.set_wall_time(Now());
  event.set_file_version("brain.Event:2");
  AddRecord(event.SerializeAsString());
}

void EventFile::AddScalar(const std::string& tag, std::int64_t step, double value) {
  tensorboard::Event event;
  event.set_wall_time(Now());
  event.set_step(step);
  tensorboard::Summary::Value& scalar = *event.mutable_summary()->add_value();
  scalar.set_tag(tag);
  scalar.set_simple_value(static_cast<float>(value));
  AddRecord(event.SerializeAsString());
}

void EventFile::AddRecord(const std::string& data) {
  const std::string length = Bytes(static_cast<std::uint64_t>(data.size()));
  file_ << length << Bytes(Masked(length)) << data << Bytes(Masked(data)) << std::flush;
}

}  // namespace petit::worker
