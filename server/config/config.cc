#include "server/config/config.h"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/text_format.h"
#include "petit/config/v1/server_config.pb.h"
#include "server/config/checks.h"

namespace petit::serving {

std::optional<std::string> AddressProblem(absl::string_view address) {
  constexpr absl::string_view kRight = "it must be HOST:PORT, as \"127.0.0.1:50051\", \"[::1]:50051\" or \"0.0.0.0:0\"";
  const std::size_t colon = address.rfind(':');
  const absl::string_view host = address.substr(0, colon == address.npos ? 0 : colon);
  const absl::string_view port = colon == address.npos ? "" : address.substr(colon + 1);
  if (colon == address.npos) return absl::StrCat("has no port; ", kRight);
  if (host.empty()) return absl::StrCat("has no host; ", kRight);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  for (const char c : bracketed ? host.substr(1, host.size() - 2) : host) {
    const bool right = bracketed ? absl::ascii_isxdigit(c) || c == ':' || c == '.'
                                 : absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
    if (!right) return absl::StrCat("has a bad host; ", kRight);
  }
  int number = 0;
  if (port.empty() || !absl::ascii_isdigit(port[0]) || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return absl::StrCat("has a bad port; it must be between 0 (the kernel chooses) and 65535");
  }
  return std::nullopt;
}

namespace {

using config::v1::LimitsConfig;
using config::v1::ModelConfig;
using config::v1::ServerConfig;

constexpr double kMaxDrainSeconds = 86400;
constexpr double kMaxConnectionSeconds = 7 * 86400;  // gRPC counts milliseconds in 31 bits
// What a message holds beside its one text.
constexpr int kMessageOverheadBytes = 1024;

void CheckAddresses(const ServerConfig& config, const Located& at, ServerSettings* settings) {
  if (!config.listen().empty()) settings->listen = config.listen();
  settings->metrics_listen = config.metrics_listen();
  if (const auto problem = AddressProblem(settings->listen); problem.has_value()) {
    at.ComplainAbout(ServerConfig::kListenFieldNumber, absl::StrCat("listen \"", settings->listen, "\" ", *problem));
  }
  if (settings->metrics_listen.empty()) return;
  if (const auto problem = AddressProblem(settings->metrics_listen); problem.has_value()) {
    at.ComplainAbout(ServerConfig::kMetricsListenFieldNumber,
                     absl::StrCat("metrics_listen \"", settings->metrics_listen, "\" ", *problem));
  } else if (settings->metrics_listen[0] == '[') {
    at.ComplainAbout(ServerConfig::kMetricsListenFieldNumber,
                     absl::StrCat("metrics_listen \"", settings->metrics_listen,
                                  "\" is IPv6, on which metrics cannot be served; use 127.0.0.1:PORT or 0.0.0.0:PORT"));
  } else if (settings->metrics_listen == settings->listen && !absl::EndsWith(settings->listen, ":0")) {
    at.ComplainAbout(ServerConfig::kMetricsListenFieldNumber,
                     absl::StrCat("metrics_listen is the same as listen, ", settings->listen,
                                  "; gRPC and metrics need a port each"));
  }
}

void CheckRequestLimits(const ServerConfig& config, const Located& server_at, ServerSettings* settings) {
  const LimitsConfig& limits = config.limits();
  const Located at = config.has_limits() ? server_at.Child(ServerConfig::kLimitsFieldNumber, limits) : server_at;
  RequestLimits& out = settings->limits;
  out.max_texts_per_request = at.Bounded(LimitsConfig::kMaxTextsPerRequestFieldNumber, limits.max_texts_per_request(),
                                         out.max_texts_per_request, 1, 1 << 24);
  out.max_text_bytes =
      at.Bounded(LimitsConfig::kMaxTextBytesFieldNumber, limits.max_text_bytes(), out.max_text_bytes, 1, 1 << 30);
  out.max_message_bytes = at.Bounded(LimitsConfig::kMaxMessageBytesFieldNumber, limits.max_message_bytes(),
                                     out.max_message_bytes, kMessageOverheadBytes, 1 << 30);
  out.max_stream_texts_in_flight =
      at.Bounded(LimitsConfig::kMaxStreamTextsInFlightFieldNumber, limits.max_stream_texts_in_flight(),
                 out.max_stream_texts_in_flight, 1, 1 << 24);
  out.max_score_buffer_bytes =
      at.Bounded64(LimitsConfig::kMaxScoreBufferBytesFieldNumber, limits.max_score_buffer_bytes(),
                   out.max_score_buffer_bytes, 1, std::int64_t{1} << 50);
  out.max_metadata_bytes = at.Bounded(LimitsConfig::kMaxMetadataBytesFieldNumber, limits.max_metadata_bytes(),
                                      out.max_metadata_bytes, 1024, 1 << 20);
  out.max_connection_calls = at.Bounded(LimitsConfig::kMaxConnectionCallsFieldNumber, limits.max_connection_calls(),
                                        out.max_connection_calls, 1, 1 << 24);
  out.max_open_calls =
      at.Bounded(LimitsConfig::kMaxOpenCallsFieldNumber, limits.max_open_calls(), out.max_open_calls, 1, 1 << 24);
  out.max_connection_idle =
      at.BoundedSeconds(LimitsConfig::kMaxConnectionIdleSecondsFieldNumber, limits.max_connection_idle_seconds(),
                        out.max_connection_idle, kMaxConnectionSeconds);
  out.max_connection_age =
      at.BoundedSeconds(LimitsConfig::kMaxConnectionAgeSecondsFieldNumber, limits.max_connection_age_seconds(),
                        out.max_connection_age, kMaxConnectionSeconds);
  out.connection_age_grace =
      at.BoundedSeconds(LimitsConfig::kConnectionAgeGraceSecondsFieldNumber, limits.connection_age_grace_seconds(),
                        out.connection_age_grace, kMaxConnectionSeconds);
  if (limits.has_client()) {
    out.client = CheckClientLimits(limits.client(), at.Child(LimitsConfig::kClientFieldNumber, limits.client()));
  }
  // A default text limit above a small message limit is no mistake; one that was asked for is.
  if (out.max_text_bytes > out.max_message_bytes - kMessageOverheadBytes && limits.max_text_bytes() != 0) {
    at.ComplainAbout(LimitsConfig::kMaxTextBytesFieldNumber,
                     absl::StrCat("max_text_bytes is ", out.max_text_bytes, ", more than a message of ",
                                  out.max_message_bytes, " bytes can bring; raise max_message_bytes to at least ",
                                  out.max_text_bytes + kMessageOverheadBytes));
  }
}

void CheckProcess(const ServerConfig& config, const Located& at, ServerSettings* settings) {
  settings->torch_threads =
      at.Bounded(ServerConfig::kTorchThreadsFieldNumber, config.torch_threads(), 0, 1, kMaxThreads);
  const double drain = config.drain_timeout_seconds();
  if (!(drain >= 0 && drain <= kMaxDrainSeconds)) {  // NaN is neither
    at.ComplainAbout(ServerConfig::kDrainTimeoutSecondsFieldNumber,
                     absl::StrCat("drain_timeout_seconds is ", drain, "; it must be between 0 and ", kMaxDrainSeconds,
                                  ", or absent for 30"));
  } else if (drain > 0) {
    settings->drain_timeout = absl::Seconds(drain);
  }
  switch (config.log_level()) {
    case ServerConfig::LOG_LEVEL_DEBUG:
      settings->log_level = LogLevel::kDebug;
      break;
    case ServerConfig::LOG_LEVEL_UNSPECIFIED:
    case ServerConfig::LOG_LEVEL_INFO:
      settings->log_level = LogLevel::kInfo;
      break;
    case ServerConfig::LOG_LEVEL_WARNING:
      settings->log_level = LogLevel::kWarning;
      break;
    case ServerConfig::LOG_LEVEL_ERROR:
      settings->log_level = LogLevel::kError;
      break;
    default:
      at.ComplainAbout(ServerConfig::kLogLevelFieldNumber,
                       absl::StrCat("log_level ", static_cast<int>(config.log_level()),
                                    " is unknown; use LOG_LEVEL_DEBUG, _INFO, _WARNING or _ERROR"));
  }
  if (!ServerConfig::LogFormat_IsValid(config.log_format())) {
    at.ComplainAbout(
        ServerConfig::kLogFormatFieldNumber,
        absl::StrCat("log_format ", static_cast<int>(config.log_format()), " is unknown; use TEXT or JSON"));
  }
  settings->log_format = config.log_format() == ServerConfig::JSON ? LogFormat::kJson : LogFormat::kText;
}

// The absolute root of versions, or nothing where none is configured (or a wrong one: one complaint is enough).
std::string CheckModelRoot(const ServerConfig& config, const Located& at, const std::string& base_directory) {
  if (config.model_root().empty()) return "";
  std::string root = ResolvePath(base_directory, config.model_root());
  std::error_code error;
  if (!std::filesystem::is_directory(root, error)) {
    at.ComplainAbout(
        ServerConfig::kModelRootFieldNumber,
        absl::StrCat("model_root \"", root,
                     "\" is not a directory; create it, or name the one that holds NAME/VERSION/ (relative "
                     "paths begin at the configuration file's directory)"));
  }
  return root;
}

void CheckModels(const ServerConfig& config, const Located& at, const std::string& base_directory,
                 ServerSettings* settings) {
  const std::string model_root = CheckModelRoot(config, at, base_directory);
  if (config.model().empty())
    at.Complain("no model is configured; add model { name: \"...\" checkpoint: \"...\" ... }");
  std::map<std::string, Position> names;
  for (int i = 0; i < config.model_size(); ++i) {
    const ModelConfig& model = config.model(i);
    const Located here = at.Child(ServerConfig::kModelFieldNumber, model, i);
    settings->models.push_back(CheckModel(model, here, base_directory, model_root));
    if (model.name().empty()) continue;
    const auto [first, is_new] = names.emplace(model.name(), here.PositionOf(ModelConfig::kNameFieldNumber));
    if (!is_new) {
      here.ComplainAbout(ModelConfig::kNameFieldNumber,
                         absl::StrCat("model name \"", model.name(), "\" is taken by the model at line ",
                                      first->second.line, "; every model needs a name of its own"));
    }
  }
}

}  // namespace

absl::StatusOr<ServerSettings> ParseConfig(std::string_view text, const std::string& file,
                                           const std::string& base_directory) {
  ServerConfig config;
  google::protobuf::TextFormat::ParseInfoTree tree;
  Complaints complaints(file);
  if (!ParseText(text, &config, &tree, &complaints)) return complaints.ToStatus();

  std::error_code error;
  const std::string base = std::filesystem::absolute(base_directory.empty() ? "." : base_directory, error).string();
  ServerSettings settings;
  const Located at(config, &tree, Position(), &complaints);
  CheckAddresses(config, at, &settings);
  CheckProcess(config, at, &settings);
  CheckRequestLimits(config, at, &settings);
  CheckSecurity(config, at, base, &settings);
  CheckModels(config, at, base, &settings);
  if (config.has_jobs()) {
    settings.jobs = CheckJobs(config.jobs(), at.Child(ServerConfig::kJobsFieldNumber, config.jobs()), base);
  }
  if (absl::Status status = complaints.ToStatus(); !status.ok()) return status;
  return settings;
}

absl::StatusOr<ServerSettings> LoadConfig(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, "configuration file");
  if (!text.ok()) return text.status();
  return ParseConfig(*text, path, std::filesystem::path(path).parent_path().string());
}

}  // namespace petit::serving
