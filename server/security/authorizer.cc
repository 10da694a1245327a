#include "server/security/authorizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "openssl/crypto.h"
#include "openssl/sha.h"
#include "server/security/method_access.h"

namespace petit::serving {
namespace {

constexpr std::string_view kScheme = "bearer ";

// The token of "Bearer TOKEN", or nothing.
std::optional<std::string_view> TokenOf(std::string_view authorization) {
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    if (lower(authorization[i]) != kScheme[i]) return std::nullopt;
  }
  return authorization.substr(kScheme.size());
}

bool Contains(const std::vector<std::string>& values, std::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::string NamesOf(const std::set<Role>& roles) {
  if (roles.empty()) return "none";
  return absl::StrJoin(roles, ", ", [](std::string* out, Role role) { out->append(RoleName(role)); });
}

absl::Status Unauthenticated(bool shown_token) {
  if (shown_token) {
    return absl::UnauthenticatedError(
        "the token is not known here; it may have been replaced, or belong to another server");
  }
  return absl::UnauthenticatedError(
      "this server wants a token: send the metadata 'authorization: Bearer TOKEN' (petit: --token-file or "
      "PETIT_TOKEN_FILE), or show the certificate of a known client");
}

// Clients of newer services try them by this code and fall back on older ones.
Decision NoSuchMethod() {
  return {absl::UnimplementedError("there is no such method; the reflection service lists those that there are"),
          "no_method"};
}

}  // namespace

Decision DecideForAnybody(std::string_view path) { return AccessOf(path) ? Decision() : NoSuchMethod(); }

Authorizer::Authorizer(const AuthSettings& settings)
    : anonymous_roles_(settings.anonymous_roles),
      health_without_token_(settings.health_without_token),
      clients_(std::make_shared<const Clients>(settings.clients)) {}

bool Authorizer::SetClients(std::vector<KnownClient> clients) {
  auto next = std::make_shared<const Clients>(std::move(clients));
  const absl::MutexLock lock(&mutex_);
  if (*clients_ == *next) return false;
  clients_ = std::move(next);
  return true;
}

std::shared_ptr<const Authorizer::Clients> Authorizer::clients() const {
  const absl::MutexLock lock(&mutex_);
  return clients_;
}

// Every entry is compared in full, whatever is found: the time tells nothing of the digests.
const KnownClient* Authorizer::FindByToken(const Clients& clients, std::string_view token) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  const KnownClient* found = nullptr;
  for (const KnownClient& client : clients) {
    for (const std::string& known : client.token_sha256) {
      if (CRYPTO_memcmp(known.data(), digest.data(), digest.size()) == 0) found = &client;
    }
  }
  return found;
}

const KnownClient* Authorizer::Find(const Clients& clients, const ShownCredentials& shown) {
  if (shown.authorization) {
    const std::optional<std::string_view> token = TokenOf(*shown.authorization);
    return token ? FindByToken(clients, *token) : nullptr;
  }
  for (const KnownClient& client : clients) {
    if (!shown.certificate_subject.empty() && Contains(client.certificate_subjects, shown.certificate_subject)) {
      return &client;
    }
    for (const std::string_view name : shown.certificate_names) {
      if (Contains(client.certificate_names, name)) return &client;
    }
  }
  return nullptr;
}

std::string Authorizer::NameOf(const ShownCredentials& shown) const {
  const std::shared_ptr<const Clients> known = clients();
  const KnownClient* client = Find(*known, shown);
  return client == nullptr ? "" : client->name;
}

Decision Authorizer::Decide(std::string_view path, const ShownCredentials& shown) const {
  const std::optional<MethodAccess> access = AccessOf(path);
  if (access && access->is_health && health_without_token_) return {};
  const std::shared_ptr<const Clients> known = clients();
  const KnownClient* client = Find(*known, shown);
  if (client == nullptr && shown.authorization) return {Unauthenticated(true), "bad_token"};
  if (client == nullptr && anonymous_roles_.empty()) return {Unauthenticated(false), "no_credentials"};
  if (!access) return NoSuchMethod();
  const std::set<Role>& roles = client == nullptr ? anonymous_roles_ : client->roles;
  if (!access->role || roles.count(*access->role) > 0) return {};
  // Who shows nothing may yet have something to show.
  if (client == nullptr) return {Unauthenticated(false), "no_credentials"};
  return {absl::PermissionDeniedError(absl::StrCat("client ", client->name, " lacks the role ",
                                                   std::string(RoleName(*access->role)),
                                                   " that this method needs; its roles: ", NamesOf(roles))),
          "no_role"};
}

}  // namespace petit::serving
