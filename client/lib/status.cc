#include "client/lib/status.h"

#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/lib/client.h"
#include "google/rpc/error_details.pb.h"

namespace petit::client {
namespace {

constexpr absl::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
constexpr absl::string_view kRequestIdUrl = "petit.client/request-id";
constexpr absl::string_view kUnreachableUrl = "petit.client/unreachable";

absl::Status WithDetails(absl::Status status, const google::rpc::Status& rich) {
  for (const google::protobuf::Any& detail : rich.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

// gRPC 1.51 tells a failed connection from an UNAVAILABLE that a server sent by these words only.
bool IsConnectFailure(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return false;
  for (const absl::string_view start : {"failed to connect", "DNS resolution failed", "empty address list"}) {
    if (absl::StartsWithIgnoreCase(status.error_message(), start)) return true;
  }
  return false;
}

// What gRPC 1.51 says of a connection that trying again will not make, and what it means.
struct LastingFailure {
  absl::string_view says;
  absl::string_view means;
};
constexpr LastingFailure kLastingFailures[] = {
    {"DNS resolution failed", "no such host"},
    {"Connection refused", "connection refused"},
    {"wrong version number", "it does not speak TLS; it may speak plain text"},
    {"Handshake read failed", "it hung up on TLS; it may speak plain text"},
    {"certificate verify failed",
     "its certificate does not hold here: the authority that signed it is not among the trusted ones, or it has "
     "expired"},
    {"is not in peer certificate", "its certificate is for another name"},
    // A server with TLS that hears plain text, or no certificate that it wants, says nothing.
    {"Socket closed", "it hung up; it may want TLS, or a certificate that it knows"},
};

const LastingFailure* FindLasting(absl::string_view message) {
  for (const LastingFailure& failure : kLastingFailures) {
    if (absl::StrContains(message, failure.says)) return &failure;
  }
  return nullptr;
}

// "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host:
// Connection refused" -> "connection refused".
std::string ConnectReason(absl::string_view message) {
  if (const LastingFailure* lasting = FindLasting(message)) return std::string(lasting->means);
  const std::size_t colon = message.rfind(": ");
  const absl::string_view last = colon == absl::string_view::npos ? message : message.substr(colon + 2);
  return absl::AsciiStrToLower(last);
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context, const std::string& server,
                      absl::Duration timeout) {
  if (status.ok()) return absl::OkStatus();
  if (IsConnectFailure(status)) {
    absl::Status unreachable = absl::UnavailableError(
        absl::StrCat("no Petit server answers at ", server, " (", ConnectReason(status.error_message()), ")"));
    unreachable.SetPayload(kUnreachableUrl, absl::Cord(status.error_message()));
    return unreachable;
  }
  std::string message = status.error_message();
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto id = trailers.find("x-request-id");
  if (id == trailers.end()) {
    // Nothing of Petit's own came back: gRPC made this status, in its own terse words.
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      message = absl::StrCat("no answer from ", server, " within ", absl::FormatDuration(timeout));
    } else if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
      message = absl::StrCat("the call to ", server, " broke off: ", message);
    } else if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && message.empty()) {
      message = absl::StrCat("the server at ", server, " does not have this method; is it a Petit server?");
    }
  }
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), message);
  if (google::rpc::Status rich; !status.error_details().empty() && rich.ParseFromString(status.error_details())) {
    result = WithDetails(std::move(result), rich);
  }
  if (id != trailers.end()) {
    result.SetPayload(kRequestIdUrl, absl::Cord(absl::string_view(id->second.data(), id->second.size())));
  }
  return result;
}

absl::Status FromProto(const google::rpc::Status& status) {
  // An OK where an error belongs would read as a success without a value.
  const auto code = status.code() == 0 ? absl::StatusCode::kInternal : static_cast<absl::StatusCode>(status.code());
  return WithDetails(absl::Status(code, status.message()), status);
}

bool IsRetryable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryInfoUrl);
  google::rpc::RetryInfo info;
  if (!payload || !info.ParseFromString(std::string(*payload)) || !info.has_retry_delay()) return std::nullopt;
  return absl::Seconds(info.retry_delay().seconds()) + absl::Nanoseconds(info.retry_delay().nanos());
}

std::string RequestId(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRequestIdUrl);
  return payload ? std::string(*payload) : std::string();
}

bool IsPassingConnectFailure(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kUnreachableUrl);
  return payload && FindLasting(std::string(*payload)) == nullptr;
}

bool IsServerUnreachable(const absl::Status& status) { return status.GetPayload(kUnreachableUrl).has_value(); }

}  // namespace petit::client
