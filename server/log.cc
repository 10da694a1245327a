#include "server/log.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "nlohmann/json.hpp"
#include "server/printable.h"
#include "server/service_manager.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

constexpr std::size_t kMaxMessageBytes = 16 << 10;

// The call that this thread is logging. spdlog's messages carry text alone, and its loggers format on the caller's
// thread, so that its formatter finds the fields here.
thread_local const CallRecord* logged_call = nullptr;

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::level::level_enum LevelOf(const CallRecord& call) {
  switch (call.code) {
    case absl::StatusCode::kCancelled:
      // Calls that are reset before they ask for anything cost their sender nothing: a flood is not to fill the disk.
      return call.texts == 0 ? spdlog::level::debug : spdlog::level::info;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return spdlog::level::err;
    default:
      return spdlog::level::info;
  }
}

std::string TextOf(const CallRecord& call) {
  std::string text = absl::StrFormat("%s request=%s model=%s code=%s texts=%d seconds=%.6f", call.method,
                                     call.request_id, call.model.empty() ? "-" : call.model,
                                     absl::StatusCodeToString(call.code), call.texts, absl::ToDoubleSeconds(call.took));
  for (const auto& [name, value] :
       {std::pair("trace", &call.trace_id), std::pair("span", &call.span_id), std::pair("client", &call.client)}) {
    if (!value->empty()) absl::StrAppend(&text, " ", name, "=", *value);
  }
  if (!call.error.empty()) absl::StrAppend(&text, " ", call.error);
  return text;
}

class TextFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string text = Printable({message.payload.data(), message.payload.size()}, kMaxMessageBytes);
    spdlog::details::log_msg line = message;
    line.payload = text;
    pattern_.format(line, out);
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<TextFormatter>(); }

 private:
  spdlog::pattern_formatter pattern_{"%Y-%m-%dT%H:%M:%S.%f%z %l %v"};
};

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    using Json = nlohmann::ordered_json;
    const CallRecord* call = logged_call;
    const spdlog::string_view_t level = spdlog::level::to_string_view(message.level);
    Json line;
    line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromChrono(message.time), absl::UTCTimeZone());
    line["level"] = std::string(level.data(), level.size());
    line["message"] = call == nullptr ? std::string(message.payload.data(), message.payload.size())
                                      : absl::StrCat(call->method, " ", absl::StatusCodeToString(call->code));
    if (call != nullptr) Add(*call, &line);
    // ASCII alone: some readers of lines take U+0085 and U+2028 for the end of one.
    const std::string text = line.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }

 private:
  static void Add(const CallRecord& call, nlohmann::ordered_json* line) {
    const auto add = [line](const char* name, const std::string& value) {
      if (!value.empty()) (*line)[name] = value;
    };
    add("method", call.method);
    add("request_id", call.request_id);
    add("model", call.model);
    add("code", absl::StatusCodeToString(call.code));
    (*line)["texts"] = call.texts;
    (*line)["seconds"] = absl::ToDoubleSeconds(call.took);
    add("trace_id", call.trace_id);
    add("span_id", call.span_id);
    add("client", call.client);
    add("error", call.error);
  }
};

class PriorityFormatter final : public spdlog::formatter {
 public:
  explicit PriorityFormatter(std::unique_ptr<spdlog::formatter> formatter) : formatter_(std::move(formatter)) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string_view priority = PriorityOf(message.level);
    out.append(priority.data(), priority.data() + priority.size());
    formatter_->format(message, out);
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return WithPriority(formatter_->clone()); }

 private:
  static std::string_view PriorityOf(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::critical:
        return "<2>";
      case spdlog::level::err:
        return "<3>";
      case spdlog::level::warn:
        return "<4>";
      case spdlog::level::info:
        return "<6>";
      default:
        return "<7>";
    }
  }

  const std::unique_ptr<spdlog::formatter> formatter_;
};

// gRPC's threads may log to the process' very end, after spdlog's registry is gone.
std::shared_ptr<spdlog::logger>* grpc_logger = nullptr;

void LogFromGrpc(gpr_log_func_args* args) {
  const auto level = args->severity == GPR_LOG_SEVERITY_ERROR  ? spdlog::level::err
                     : args->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::info
                                                               : spdlog::level::debug;
  (*grpc_logger)->log(level, "grpc: {}:{}: {}", args->file, args->line, args->message);
}

}  // namespace

std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format) {
  if (format == LogFormat::kJson) return std::make_unique<JsonFormatter>();
  return std::make_unique<TextFormatter>();
}

std::unique_ptr<spdlog::formatter> WithPriority(std::unique_ptr<spdlog::formatter> formatter) {
  return std::make_unique<PriorityFormatter>(std::move(formatter));
}

void SetUpLog(LogLevel level, LogFormat format) {
  auto logger = spdlog::stderr_logger_mt("petit");
  logger->set_formatter(LogsToJournal() ? WithPriority(MakeLogFormatter(format)) : MakeLogFormatter(format));
  logger->set_level(LevelOf(level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(logger);
  // Protobuf tells of every message that it refuses; the call's own log line does too, and better.
  google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char*, int, const std::string& message) {
    spdlog::debug("protobuf: {}", message);
  });
  grpc_logger = new std::shared_ptr<spdlog::logger>(logger);
  gpr_set_log_function(LogFromGrpc);
}

void LogCall(const CallRecord& call) {
  const spdlog::level::level_enum level = LevelOf(call);
  if (!spdlog::should_log(level)) return;
  logged_call = &call;
  spdlog::log(level, "{}", TextOf(call));
  logged_call = nullptr;
}

}  // namespace petit::serving
