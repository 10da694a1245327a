// The configuration as the server's parts want it: checked, with defaults filled in and paths made absolute. Plain
// structs without Protobuf, so that the registry and the engine do not depend on how it is written down.
#ifndef PETIT_SERVER_CONFIG_SETTINGS_H_
#define PETIT_SERVER_CONFIG_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "models/decoding/options.h"
#include "models/engine/policy.h"

namespace petit::serving {

struct Prompt {
  std::string source_language;
  std::string target_language;
  std::string prefix;
};

enum class Precision { kFp32, kBf16, kInt8, kInt8Static };
enum class ExecutorKind { kTorch, kNative };

struct ModelSettings {
  std::string name;
  // Exactly one of the two: a checkpoint directory (served as version 1), or versions below versions_root/VERSION/.
  std::string checkpoint;
  std::string versions_root;
  std::optional<std::int64_t> specific_version;  // with versions_root; absent: latest, or what SetServedVersion chose

  Precision precision = Precision::kFp32;
  ExecutorKind executor = ExecutorKind::kTorch;
  std::string device = "cpu";
  bool allow_cpu_fallback = false;
  int threads = 0;  // of each replica; 0: by the size of its weights
  int replicas = 1;
  bool load_later = false;
  std::vector<Prompt> prompts;
  engine::BatchingLimits batching;
  decoding::DecodingOptions default_decoding;
  int max_source_tokens = 512;
  int max_new_tokens_limit = 512;
  int max_beams_limit = 16;
  std::string tokenizer_sha256;  // lower-case hex, or empty
};

// What each client may take; absent: any amount.
struct ClientLimits {
  std::optional<double> requests_per_second;
  int burst = 1;
  std::optional<int> max_texts_in_flight;
};

struct RequestLimits {
  int max_texts_per_request = 256;
  int max_text_bytes = 65536;
  int max_message_bytes = 4 << 20;
  int max_stream_texts_in_flight = 64;
  std::int64_t max_score_buffer_bytes = std::int64_t{256} << 20;
  int max_metadata_bytes = 16 << 10;
  int max_connection_calls = 1024;
  int max_open_calls = 4096;
  absl::Duration max_connection_idle = absl::Minutes(15);
  absl::Duration max_connection_age = absl::Hours(2);
  absl::Duration connection_age_grace = absl::Hours(1);
  ClientLimits client;
};

struct TlsSettings {
  std::string certificate;  // absolute paths of PEM files
  std::string key;
  std::string client_ca;  // empty: clients show no certificate
  bool require_client_certificate = false;
  absl::Duration reload = absl::Seconds(10);
};

enum class Role { kTranslate, kScore, kOperate, kTrain };

// One that is let in by any of its tokens or certificates.
struct KnownClient {
  std::string name;
  std::set<Role> roles;
  std::vector<std::string> token_sha256;  // 32 bytes each
  std::vector<std::string> certificate_names;
  std::vector<std::string> certificate_subjects;

  bool operator==(const KnownClient&) const = default;
};

struct AuthSettings {
  std::vector<KnownClient> clients;  // the configuration's own
  std::string clients_file;          // absolute, or empty; has more
  bool with_certificates = false;    // clients may be known by them
  std::set<Role> anonymous_roles;
  bool health_without_token = true;
  absl::Duration reload = absl::Seconds(10);
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

enum class LauncherKind { kLocal, kSlurm };

struct JobsSettings {
  std::string root;       // absolute; created by the job manager
  std::string data_root;  // absolute, without symbolic links
  LauncherKind launcher = LauncherKind::kLocal;
  int max_running_per_device = 1;
  int max_queued = 64;
  std::string device = "cpu";
  int threads = 1;
  int max_threads = 1;
  std::int64_t max_memory_bytes = 0;  // 0: the machine's
  int nice = 10;
  int max_attempts = 3;
  absl::Duration heartbeat_timeout = absl::Seconds(120);
  absl::Duration stop_grace = absl::Seconds(60);
  int max_ended = 100;
  std::string worker;  // absolute path of petit-worker
  std::vector<std::string> slurm_options;
  int max_job_series = 32;
};

struct ServerSettings {
  std::string listen = "127.0.0.1:50051";
  std::string metrics_listen;  // empty: none
  int torch_threads = 0;       // the most; 0: number of cores
  std::vector<ModelSettings> models;
  RequestLimits limits;
  absl::Duration drain_timeout = absl::Seconds(30);
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  std::optional<JobsSettings> jobs;  // absent: no distillation
  std::optional<TlsSettings> tls;    // absent: plain text
  std::optional<AuthSettings> auth;  // absent: everybody may call everything
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_CONFIG_SETTINGS_H_
