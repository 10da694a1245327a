// Which of its callers a method serves: the one place that says so.
#ifndef PETIT_SERVER_SECURITY_METHOD_ACCESS_H_
#define PETIT_SERVER_SECURITY_METHOD_ACCESS_H_

#include <optional>
#include <string_view>

#include "server/config/settings.h"

namespace petit::serving {

struct MethodAccess {
  bool is_health = false;    // grpc.health.v1, which probes call
  std::optional<Role> role;  // absent: any known client
};

// `path` as on the wire: "/petit.v1.TranslationService/Translate". Nothing: nobody may call it; a new method is closed
// until it has its row here.
std::optional<MethodAccess> AccessOf(std::string_view path);

// "TRANSLATE", as the configuration writes it.
std::string_view RoleName(Role role);

}  // namespace petit::serving

#endif  // PETIT_SERVER_SECURITY_METHOD_ACCESS_H_
