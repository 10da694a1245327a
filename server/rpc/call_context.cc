#include "server/rpc/call_context.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "server/log.h"
#include "server/printable.h"
#include "server/rpc/status.h"

namespace petit::serving {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";
constexpr char kTraceparentKey[] = "traceparent";
constexpr std::size_t kMaxRequestIdBytes = 128;

std::string RequestId(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kRequestIdKey);
  if (found != metadata.end()) {
    const std::string_view id(found->second.data(), found->second.size());
    const bool visible = std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (!id.empty() && id.size() <= kMaxRequestIdBytes && visible) return std::string(id);
  }
  thread_local absl::BitGen generator;
  return absl::StrFormat("%016x", absl::Uniform<std::uint64_t>(generator));
}

absl::Time Deadline(const grpc::CallbackServerContext& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture() : absl::FromChrono(deadline);
}

// gRPC keeps the last header of several.
std::optional<TraceContext> Trace(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(kTraceparentKey);
  if (found == context.client_metadata().end()) return std::nullopt;
  return ParseTraceparent({found->second.data(), found->second.size()});
}

}  // namespace

CallContext::CallContext(std::string_view method, const Environment& environment, grpc::CallbackServerContext* context)
    : environment_(environment),
      ref_(environment.calls),
      passed_(environment.security->Pass(context)),
      method_(method),
      request_id_(RequestId(*context)),
      client_(environment.security->ClientOf(*context)),
      trace_(Trace(*context)),
      start_(absl::Now()),
      deadline_(Deadline(*context)) {
  context->AddTrailingMetadata(kRequestIdKey, request_id_);
}

absl::Status CallContext::CheckAccepting() const {
  if (environment_.calls->draining()) {
    return absl::UnavailableError("the server is draining; send the request to another one, or again later");
  }
  absl::Status status = TakeRequest();
  if (!status.ok()) environment_.metrics->CountDenied("requests_per_second");
  return status;
}

absl::Status CallContext::TakeRequest() const { return environment_.clients->TakeRequest(client_); }

absl::StatusOr<ClientLimiter::Texts> CallContext::TakeTexts(int count) const {
  absl::StatusOr<ClientLimiter::Texts> taken = environment_.clients->TakeTexts(client_, count);
  if (!taken.ok()) environment_.metrics->CountDenied("max_texts_in_flight");
  return taken;
}

void CallContext::Cancel() {
  server_ended_ = !environment_.calls->waiting();
  cancelled_->store(true);
}

absl::Status CallContext::CancelledStatus() const {
  // gRPC's clocks and ours differ a little, and the client's own timer is the first to end a call.
  constexpr absl::Duration kSlack = absl::Milliseconds(20);
  if (absl::Now() + kSlack >= deadline_)
    return absl::DeadlineExceededError("the call's deadline passed before it was done");
  if (server_ended_) {
    return absl::UnavailableError("the server ended before the call was done (drain_timeout_seconds)");
  }
  return absl::CancelledError("the client cancelled the call");
}

grpc::Status CallContext::Finish(absl::Status status) {
  if (cancelled() || absl::Now() >= deadline_) status = CancelledStatus();
  const absl::Duration took = absl::Now() - start_;
  const std::string code = absl::StatusCodeToString(status.code());
  environment_.metrics->CountRequest(method_, model_, code, took);
  const TraceContext trace = trace_.value_or(TraceContext());
  LogCall({.method = std::string(method_),
           .request_id = request_id_,
           .model = Printable(model_, 64),
           .code = status.code(),
           .texts = texts_,
           .took = took,
           .error = Printable(status.message(), kMaxMessageBytes),
           .trace_id = trace.trace_id,
           .span_id = trace.span_id,
           .client = client_});
  return ToGrpcStatus(status, request_id_);
}

}  // namespace petit::serving
