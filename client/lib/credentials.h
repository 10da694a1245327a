// What secures a channel, and what tells the server who calls.
#ifndef PETIT_CLIENT_LIB_CREDENTIALS_H_
#define PETIT_CLIENT_LIB_CREDENTIALS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/lib/client.h"

namespace petit::client {

// Whether `server` is this machine: what goes there crosses no network.
bool IsLoopback(const std::string& server);

// INVALID_ARGUMENT: files that cannot be used, a token that no header can hold or that would travel in plain text.
absl::Status CheckCredentials(const ClientOptions& options);

// A channel with these options' credentials, which CheckCredentials has passed; every call on it carries the token.
std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options, grpc::ChannelArguments arguments);

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_CREDENTIALS_H_
