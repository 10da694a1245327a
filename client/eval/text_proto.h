// Documents in Protobuf's text format.
#ifndef PETIT_CLIENT_EVAL_TEXT_PROTO_H_
#define PETIT_CLIENT_EVAL_TEXT_PROTO_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::eval {

// NOT_FOUND, INVALID_ARGUMENT: it cannot be read, or is longer than 1 MiB.
[[nodiscard]] absl::StatusOr<std::string> ReadDocument(const std::string& path);

// INVALID_ARGUMENT: every error, "NAME:LINE:COLUMN: what is wrong", counted from 1, one a line.
[[nodiscard]] absl::Status ParseDocument(const std::string& text, const std::string& name,
                                         google::protobuf::Message& message);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_TEXT_PROTO_H_
