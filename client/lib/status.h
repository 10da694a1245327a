// From gRPC's statuses to absl::Status, with what the server attached.
#ifndef PETIT_CLIENT_LIB_STATUS_H_
#define PETIT_CLIENT_LIB_STATUS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace petit::client {

// The status of a finished call. `server` and `timeout` complete messages that gRPC itself wrote: "no Petit server
// answers at HOST:PORT (connection refused)". To be asked after the call has ended.
absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context, const std::string& server,
                      absl::Duration timeout);

// The status of one text or pair within an answer.
absl::Status FromProto(const google::rpc::Status& status);

// Codes that say "later".
bool IsRetryable(const absl::Status& status);

// Whether a connection could not be made, but might be: it was not refused, there is such a host, and TLS agrees. The
// call never left, so that even one that is not idempotent may be repeated.
bool IsPassingConnectFailure(const absl::Status& status);

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_STATUS_H_
