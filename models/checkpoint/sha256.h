// SHA-256 (FIPS 180-4). Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_SHA256_H_
#define PETIT_MODELS_CHECKPOINT_SHA256_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace petit::checkpoint {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(absl::Span<const std::byte> data);

  // With the length in front (8 bytes, little-endian): neighbouring fields cannot pass for one another.
  void UpdateField(absl::string_view text);
  void UpdateNumber(std::uint64_t number);

  // Lower-case hex. Once. INTERNAL: the library's SHA-256 failed.
  absl::StatusOr<std::string> HexDigest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_SHA256_H_
