#include "server/security/tls_files.h"

#include <cerrno>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "openssl/bio.h"
#include "openssl/bn.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/pem.h"
#include "openssl/x509.h"

namespace petit::serving {
namespace {

template <auto kFree>
struct Freer {
  template <class T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;

absl::Status Bad(const std::string& path, absl::string_view what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

absl::StatusOr<std::string> Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const int error = errno;
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file && text.empty()) {
    return Bad(path, absl::StrCat("cannot be read: ", std::generic_category().message(error)));
  }
  return text;
}

Bio Wrap(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// The first certificate of a PEM, all of which must be good.
absl::StatusOr<Certificate> ReadCertificates(const std::string& path, const std::string& pem) {
  const Bio bio = Wrap(pem);
  Certificate first;
  while (true) {
    Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    if (first == nullptr) first = std::move(certificate);
  }
  // The file's end shows as the error that no further PEM begins.
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (first == nullptr) return Bad(path, "has no certificate; PEM is wanted, -----BEGIN CERTIFICATE----- ...");
  if (!ended) return Bad(path, "has a damaged certificate after the first");
  ERR_clear_error();
  return first;
}

absl::StatusOr<Key> ReadKey(const std::string& path, const std::string& pem) {
  const Bio bio = Wrap(pem);
  bool asked = false;
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, &asked));
  if (key != nullptr) return key;
  if (asked) return Bad(path, "wants a passphrase; the server has none to give: store the key without one");
  return Bad(path, "has no private key; PEM is wanted, -----BEGIN PRIVATE KEY----- ...");
}

std::string Serial(const X509& certificate) {
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
  if (number == nullptr) return "";
  char* const hex = BN_bn2hex(number.get());
  std::string serial(hex == nullptr ? "" : hex);
  OPENSSL_free(hex);
  return serial;
}

absl::Time NotAfter(const X509& certificate) {
  std::tm time = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &time) != 1) return absl::InfiniteFuture();
  return absl::FromTM(time, absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<TlsFiles> LoadTlsFiles(const TlsSettings& settings) {
  TlsFiles files;
  for (const auto& [path, text] :
       {std::pair{&settings.certificate, &files.certificate_chain}, std::pair{&settings.key, &files.key},
        std::pair{&settings.client_ca, &files.client_ca}}) {
    if (path->empty()) continue;
    absl::StatusOr<std::string> read = Read(*path);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  const absl::StatusOr<Certificate> certificate = ReadCertificates(settings.certificate, files.certificate_chain);
  if (!certificate.ok()) return certificate.status();
  const absl::StatusOr<Key> key = ReadKey(settings.key, files.key);
  if (!key.ok()) return key.status();
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    return Bad(settings.key, absl::StrCat("is not the key of ", settings.certificate));
  }
  if (!settings.client_ca.empty()) {
    const absl::StatusOr<Certificate> authority = ReadCertificates(settings.client_ca, files.client_ca);
    if (!authority.ok()) return authority.status();
  }
  files.serial = Serial(**certificate);
  files.not_after = NotAfter(**certificate);
  return files;
}

}  // namespace petit::serving
