#include "server/rpc/status.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "server/printable.h"
#include "server/security/client_limiter.h"

namespace petit::serving {

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status proto;
  proto.set_code(static_cast<std::int32_t>(status.code()));
  proto.set_message(Printable(status.message(), kMaxMessageBytes));
  if (absl::IsResourceExhausted(status)) {
    google::rpc::RetryInfo retry;
    const std::int64_t nanoseconds = absl::ToInt64Nanoseconds(RetryAfter(status).value_or(kRetryDelay));
    retry.mutable_retry_delay()->set_seconds(nanoseconds / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<std::int32_t>(nanoseconds % 1'000'000'000));
    proto.add_details()->PackFrom(retry);
  }
  return proto;
}

grpc::Status ToGrpcStatus(const absl::Status& status, const std::string& request_id) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status proto = ToRpcStatus(status);
  absl::StrAppend(proto.mutable_message(), " [request ", request_id, "]");
  return {static_cast<grpc::StatusCode>(status.code()), proto.message(), proto.SerializeAsString()};
}

}  // namespace petit::serving
