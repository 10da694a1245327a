#include "server/rpc/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "google/rpc/error_details.pb.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::serving {
namespace {

using testing::EndsWith;
using testing::SizeIs;

TEST(StatusTest, OkIsOk) { EXPECT_TRUE(ToGrpcStatus(absl::OkStatus(), "id").ok()); }

TEST(StatusTest, CodesAreTheSameAndTheMessageNamesTheRequest) {
  const grpc::Status status = ToGrpcStatus(absl::NotFoundError("no such model"), "4f2a");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no such model [request 4f2a]");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), 5);
  EXPECT_EQ(details.message(), status.error_message());
  EXPECT_THAT(details.details(), SizeIs(0));
}

TEST(StatusTest, ExhaustionSaysWhenToComeBack) {
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(ToGrpcStatus(absl::ResourceExhaustedError("full"), "id").error_details()));
  ASSERT_THAT(details.details(), SizeIs(1));
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds() * 1'000'000'000 + retry.retry_delay().nanos(),
            absl::ToInt64Nanoseconds(kRetryDelay));
}

TEST(StatusTest, LongMessagesAreCutBetweenCharacters) {
  std::string message(kMaxMessageBytes - 1, 'x');
  message += "\xe2\x82\xac";  // one character that the limit would split
  const google::rpc::Status status = ToRpcStatus(absl::InternalError(message));
  EXPECT_EQ(status.message(), std::string(kMaxMessageBytes - 1, 'x'));
  const grpc::Status grpc_status = ToGrpcStatus(absl::InternalError(message), "id");
  EXPECT_THAT(grpc_status.error_message(), EndsWith(" [request id]"));
}

TEST(StatusTest, MessagesAreUtf8WhateverTheyWereMadeOf) {
  const google::rpc::Status status = ToRpcStatus(absl::InternalError("path \xff\xc3 end"));
  EXPECT_EQ(status.message(), "path ?? end");
  EXPECT_EQ(tokenizer::FirstInvalidUtf8(status.message()), -1);
}

}  // namespace
}  // namespace petit::serving
