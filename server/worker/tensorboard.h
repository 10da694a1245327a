// TensorBoard's event files: TFRecords of Event messages.
#ifndef PETIT_SERVER_WORKER_TENSORBOARD_H_
#define PETIT_SERVER_WORKER_TENSORBOARD_H_

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

namespace petit::worker {

// CRC-32C (Castagnoli), reflected, as RFC 3720 appendix B.4.
std::uint32_t Crc32c(std::string_view data);

// A file that cannot be written loses its curves and nothing else: training goes on.
class EventFile {
 public:
  // DIRECTORY/events.out.tfevents.SECONDS.HOST; the directory is made where missing.
  static std::unique_ptr<EventFile> Create(const std::string& directory);

  void AddScalar(const std::string& tag, std::int64_t step, double value);

 private:
  explicit EventFile(const std::string& path);
  // length (8 bytes), masked CRC of it (4), data, masked CRC of the data (4); little-endian.
  void AddRecord(const std::string& data);

  std::ofstream file_;
};

}  // namespace petit::worker

#endif  // PETIT_SERVER_WORKER_TENSORBOARD_H_
