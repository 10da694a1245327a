// SHA-256 of bytes as they come.
#ifndef PETIT_CLIENT_DATA_SHA256_H_
#define PETIT_CLIENT_DATA_SHA256_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace petit::data {

class Sha256Digest {
 public:
  Sha256Digest();
  ~Sha256Digest();
  Sha256Digest(Sha256Digest&&) noexcept;
  Sha256Digest& operator=(Sha256Digest&&) noexcept;

  void Update(std::string_view bytes);
  // In hexadecimal. Once.
  [[nodiscard]] absl::StatusOr<std::string> Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_SHA256_H_
