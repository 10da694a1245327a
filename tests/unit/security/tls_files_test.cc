#include "server/security/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);  // NOLINT(google-runtime-int): OpenSSL's
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

struct Pair {
  std::string certificate;
  std::string key;
  std::string key_with_passphrase;
};

Pair MakePair(int serial) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  Pair pair;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  pair.certificate = Drain(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  pair.key = Drain(bio);
  bio = BIO_new(BIO_s_mem());
  char passphrase[] = "secret";
  PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), passphrase, 6, nullptr, nullptr);
  pair.key_with_passphrase = Drain(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pair;
}

class TlsFilesTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    std::string path = absl::StrCat(testing::TempDir(), "/petit-tls-", getpid(), "-", name);
    std::ofstream(path, std::ios::binary) << text;
    paths_.push_back(path);
    return path;
  }
  ~TlsFilesTest() override {
    for (const std::string& path : paths_) std::remove(path.c_str());
  }

  TlsSettings Settings(const std::string& certificate, const std::string& key, const std::string& ca = "") {
    TlsSettings settings;
    settings.certificate = Write("certificate.pem", certificate);
    settings.key = Write("key.pem", key);
    if (!ca.empty()) settings.client_ca = Write("ca.pem", ca);
    return settings;
  }
  void ExpectBad(const TlsSettings& settings, const std::string& file, const std::string& says) {
    const absl::Status status = LoadTlsFiles(settings).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(file), HasSubstr(says)));
  }

  const Pair one_ = MakePair(0x1a2b);
  const Pair two_ = MakePair(2);
  std::vector<std::string> paths_;
};

TEST_F(TlsFilesTest, GoodFilesAreReadWhole) {
  const std::string chain = one_.certificate + two_.certificate;
  const absl::StatusOr<TlsFiles> files = LoadTlsFiles(Settings(chain, one_.key, two_.certificate));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->certificate_chain, chain);
  EXPECT_EQ(files->key, one_.key);
  EXPECT_EQ(files->client_ca, two_.certificate);
  EXPECT_EQ(files->serial, "1A2B");
  EXPECT_GT(files->not_after, absl::Now());
  EXPECT_LE(files->not_after, absl::Now() + absl::Hours(1));
}

TEST_F(TlsFilesTest, AKeyOfAnotherCertificateIsRefused) {
  ExpectBad(Settings(one_.certificate, two_.key), "key.pem", "is not the key of");
}

TEST_F(TlsFilesTest, WhatIsNoPemIsRefusedByName) {
  ExpectBad(Settings("", one_.key), "certificate.pem", "has no certificate");
  ExpectBad(Settings(one_.key, one_.key), "certificate.pem", "has no certificate");
  ExpectBad(Settings(one_.certificate.substr(0, 100), one_.key), "certificate.pem", "has no certificate");
  ExpectBad(Settings(one_.certificate + two_.certificate.substr(0, 200), one_.key), "certificate.pem", "damaged");
  ExpectBad(Settings(one_.certificate, "nothing"), "key.pem", "has no private key");
  ExpectBad(Settings(one_.certificate, one_.key, "nothing"), "ca.pem", "has no certificate");
}

TEST_F(TlsFilesTest, AKeyWithAPassphraseIsRefusedAndSaysSo) {
  ExpectBad(Settings(one_.certificate, one_.key_with_passphrase), "key.pem", "wants a passphrase");
}

TEST_F(TlsFilesTest, AMissingFileIsNamed) {
  TlsSettings settings = Settings(one_.certificate, one_.key);
  settings.key += ".not";
  ExpectBad(settings, "key.pem.not", "cannot be read: No such file or directory");
}

}  // namespace
}  // namespace petit::serving
