// The protocol's messages as JSON for scripts: fields as in the .proto files, numbers as numbers, times in RFC 3339.
#ifndef PETIT_CLIENT_CLI_PROTO_JSON_H_
#define PETIT_CLIENT_CLI_PROTO_JSON_H_

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

namespace petit::cli {

// Protobuf's own JSON makes strings of 64-bit numbers. Fields that cannot be told from unset ones are there with their
// zero, but in a JobSpec, where zero means "the default". Numbers that JSON does not know (NaN, infinity) are null.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// On one line; bytes that are not UTF-8 are replaced.
std::string ToJsonLine(const google::protobuf::Message& message);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_PROTO_JSON_H_
