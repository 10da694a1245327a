#include "client/data/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace petit::data {

struct Sha256Digest::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  bool good = false;
};

Sha256Digest::Sha256Digest() : state_(std::make_unique<State>()) {
  state_->good = state_->context != nullptr && EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1;
}

Sha256Digest::~Sha256Digest() = default;
Sha256Digest::Sha256Digest(Sha256Digest&&) noexcept = default;
Sha256Digest& Sha256Digest::operator=(Sha256Digest&&) noexcept = default;

void Sha256Digest::Update(std::string_view bytes) {
  if (state_->good) state_->good = EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1;
}

absl::StatusOr<std::string> Sha256Digest::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (!state_->good || EVP_DigestFinal_ex(state_->context.get(), digest.data(), &size) != 1) {
    return absl::InternalError("OpenSSL cannot compute a SHA-256");
  }
  state_->good = false;
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

}  // namespace petit::data
