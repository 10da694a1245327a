// Messages from and to gRPC's bytes. The services take raw bytes, because gRPC answers INTERNAL without a word where
// Protobuf refuses a message, and silently ends a stream.
#ifndef PETIT_SERVER_RPC_MESSAGE_IO_H_
#define PETIT_SERVER_RPC_MESSAGE_IO_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace petit::serving {

// INVALID_ARGUMENT names the field and offset of bad UTF-8, or the byte where the framing breaks. CANCELLED: the
// client was gone before the message had come. (gRPC itself refuses those longer than limits.max_message_bytes.)
absl::Status ParseMessage(const grpc::ByteBuffer& buffer, google::protobuf::Message* message);

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

std::string ToString(const grpc::ByteBuffer& buffer);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_MESSAGE_IO_H_
