#include "models/checkpoint/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace petit::checkpoint {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  bool ok = context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1;

  State() = default;
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;

void Sha256::Update(absl::Span<const std::byte> data) {
  state_->ok = state_->ok && EVP_DigestUpdate(state_->context, data.data(), data.size()) == 1;
}

void Sha256::UpdateField(absl::string_view text) {
  UpdateNumber(text.size());
  Update(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

void Sha256::UpdateNumber(std::uint64_t number) {
  std::array<std::byte, 8> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(number >> (8 * i));
  Update(bytes);
}

absl::StatusOr<std::string> Sha256::HexDigest() {
  std::array<unsigned char, 32> digest;
  state_->ok = state_->ok && EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) == 1;
  if (!state_->ok) return absl::InternalError("libcrypto could not compute a SHA-256 digest");
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace petit::checkpoint
