// The one place that turns absl::Status into gRPC's.
#ifndef PETIT_SERVER_RPC_STATUS_H_
#define PETIT_SERVER_RPC_STATUS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace petit::serving {

// What RetryInfo asks of a client that met RESOURCE_EXHAUSTED, where the status does not know better (RetryAfter).
inline constexpr absl::Duration kRetryDelay = absl::Milliseconds(250);

// Longest message on the wire: trailers that exceed a client's metadata limit would lose the whole status.
inline constexpr std::size_t kMaxMessageBytes = 1024;

// Code and message (cut to kMaxMessageBytes, bad UTF-8 replaced); RetryInfo with RESOURCE_EXHAUSTED.
google::rpc::Status ToRpcStatus(const absl::Status& status);

// The same for a whole call: the message ends with "[request ID]", and the google.rpc.Status is in the trailer
// grpc-status-details-bin.
grpc::Status ToGrpcStatus(const absl::Status& status, const std::string& request_id);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_STATUS_H_
