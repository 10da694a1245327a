// Who a caller is, and what it may call. Knows no gRPC.
#ifndef PETIT_SERVER_SECURITY_AUTHORIZER_H_
#define PETIT_SERVER_SECURITY_AUTHORIZER_H_

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/config/settings.h"

namespace petit::serving {

// What a call shows of its caller.
struct ShownCredentials {
  std::optional<std::string_view> authorization;  // the header: "Bearer TOKEN"
  // Of a verified certificate.
  std::vector<std::string_view> certificate_names;
  std::string_view certificate_subject;
};

struct Decision {
  absl::Status status;      // OK, UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED; the message never has the token
  std::string_view reason;  // of a refusal, one of kDenialReasons
};

inline constexpr std::string_view kDenialReasons[] = {"no_credentials", "bad_token", "no_role", "no_method"};

// Where nobody is asked for credentials: whether there is such a method.
Decision DecideForAnybody(std::string_view path);

// Thread-safe.
class Authorizer {
 public:
  explicit Authorizer(const AuthSettings& settings);

  // From then on these are the known clients. True if they differ from those before.
  bool SetClients(std::vector<KnownClient> clients);

  // Whether the method is for this caller.
  Decision Decide(std::string_view path, const ShownCredentials& shown) const;

  // The known client's name, or "".
  std::string NameOf(const ShownCredentials& shown) const;

 private:
  using Clients = std::vector<KnownClient>;

  std::shared_ptr<const Clients> clients() const;
  // The client whose token or certificate this is, or null.
  static const KnownClient* Find(const Clients& clients, const ShownCredentials& shown);
  static const KnownClient* FindByToken(const Clients& clients, std::string_view token);

  const std::set<Role> anonymous_roles_;
  const bool health_without_token_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Clients> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_SECURITY_AUTHORIZER_H_
