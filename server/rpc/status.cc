#include "server/rpc/status.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::serving {

std::string Printable(absl::string_view text, std::size_t max_bytes) {
  std::string printable(text.substr(0, max_bytes));
  for (std::ptrdiff_t bad = 0; (bad = tokenizer::FirstInvalidUtf8(printable)) >= 0;) {
    // A character that the cut split goes; any other bad byte stays visible.
    if (text.size() > max_bytes && printable.size() - static_cast<std::size_t>(bad) < 4 &&
        static_cast<unsigned char>(printable[bad]) >= 0xc0) {
      printable.resize(bad);
    } else {
      printable[bad] = '?';
    }
  }
  for (char& c : printable) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = c == '\n' ? ' ' : '?';
  }
  return printable;
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status proto;
  proto.set_code(static_cast<std::int32_t>(status.code()));
  proto.set_message(Printable(status.message(), kMaxMessageBytes));
  if (absl::IsResourceExhausted(status)) {
    google::rpc::RetryInfo retry;
    const std::int64_t nanoseconds = absl::ToInt64Nanoseconds(kRetryDelay);
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
