// What the configuration's checks share; internal to the folder.
#ifndef PETIT_SERVER_CONFIG_CHECKS_H_
#define PETIT_SERVER_CONFIG_CHECKS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"
#include "petit/config/v1/server_config.pb.h"
#include "server/config/located.h"
#include "server/config/settings.h"

namespace petit::serving {

inline constexpr int kMaxThreads = 4096;  // of anything; more is a slip of the pen

// `path` below `base_directory` unless it is absolute; normalized, without a trailing slash.
std::string ResolvePath(std::string_view base_directory, std::string_view path);

// Says what is wrong with a HOST:PORT and what would be right, or nothing.
std::optional<std::string> AddressProblem(absl::string_view address);

// Checks one model (all but what concerns other models) and complains; what it returns then is not to be used.
// `model_root` is absolute, or empty where not configured.
ModelSettings CheckModel(const config::v1::ModelConfig& model, const Located& at, const std::string& base_directory,
                         const std::string& model_root);

// Checks the jobs block likewise.
JobsSettings CheckJobs(const config::v1::JobsConfig& jobs, const Located& at, const std::string& base_directory);

// Parses `text` into `message` and remembers where its fields stand; false, with the one complaint, where it is not the
// text format of that type.
bool ParseText(std::string_view text, google::protobuf::Message* message,
               google::protobuf::TextFormat::ParseInfoTree* tree, Complaints* complaints);

// The whole file. NOT_FOUND, INVALID_ARGUMENT (a directory), PERMISSION_DENIED; the message begins with the path and
// calls it by `what` ("configuration file").
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, std::string_view what);

// Check the blocks `tls` and `auth`, `listen` against them, and `limits { client }`.
void CheckSecurity(const config::v1::ServerConfig& config, const Located& at, const std::string& base_directory,
                   ServerSettings* settings);
ClientLimits CheckClientLimits(const config::v1::ClientLimitsConfig& limits, const Located& at);

}  // namespace petit::serving

#endif  // PETIT_SERVER_CONFIG_CHECKS_H_
