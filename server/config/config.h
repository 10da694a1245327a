// Reads the operator's textproto (proto/petit/config/v1/server_config.proto).
#ifndef PETIT_SERVER_CONFIG_CONFIG_H_
#define PETIT_SERVER_CONFIG_CONFIG_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"

namespace petit::serving {

// Parses and checks a configuration. NOT_FOUND: the file is not there. INVALID_ARGUMENT: either the one syntax
// error or every semantic error at once, one a line, each as "FILE:LINE:COLUMN: what is wrong; what would be right".
absl::StatusOr<ServerSettings> LoadConfig(const std::string& path);

// The same for text; `file` stands in messages, `base_directory` completes relative paths.
absl::StatusOr<ServerSettings> ParseConfig(std::string_view text, const std::string& file,
                                           const std::string& base_directory);

// Whether HOST:PORT is one that only this machine reaches: 127.x.y.z, [::1] or localhost.
bool IsLoopbackAddress(std::string_view address);

// INVALID_ARGUMENT where `auth` would have tokens travel in plain text to other machines. ParseConfig has asked; to be
// asked again after a change of `listen`.
absl::Status CheckExposure(const ServerSettings& settings);

// The configuration's clients and those of clients_file, which is read now. Errors as LoadConfig's.
absl::StatusOr<std::vector<KnownClient>> LoadClients(const AuthSettings& auth);

}  // namespace petit::serving

#endif  // PETIT_SERVER_CONFIG_CONFIG_H_
