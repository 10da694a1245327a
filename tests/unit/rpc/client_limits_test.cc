// What each client may take, over gRPC.
#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

// A call of any method, with one message sent and one received. Cancelled in the end.
class RawStream {
 public:
  RawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& path, const std::string& message)
      : stub_(channel), stream_(stub_.PrepareCall(&context_, path, &queue_)) {
    const grpc::Slice slice(message);
    grpc::ByteBuffer received;
    stream_->StartCall(nullptr);
    Await();
    stream_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    Await();
    stream_->Read(&received, nullptr);
    Await();
  }
  ~RawStream() {
    context_.TryCancel();
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    Await();
  }
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;

 private:
  void Await() {
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue_.Next(&tag, &ok) && ok);
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

class ClientLimitsTest : public ServerTest {
 protected:
  // Of a client with a connection of its own.
  std::unique_ptr<v1::TranslationService::Stub> Newcomer() const {
    grpc::ChannelArguments of_its_own;
    of_its_own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    of_its_own.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10);
    of_its_own.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10);
    return v1::TranslationService::NewStub(
        grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), of_its_own));
  }

  static absl::Duration RetryDelayOf(const grpc::Status& status) {
    google::rpc::Status details;
    google::rpc::RetryInfo retry;
    EXPECT_TRUE(details.ParseFromString(status.error_details()));
    EXPECT_EQ(details.details_size(), 1);
    EXPECT_TRUE(details.details_size() == 1 && details.details(0).UnpackTo(&retry));
    return absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
  }
};

TEST_F(ClientLimitsTest, RequestsBeyondTheRateAreToldWhenToComeBack) {
  settings_.limits.client.requests_per_second = 0.001;
  settings_.limits.client.burst = 2;
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateResponse response;
  EXPECT_TRUE(Translate(Request("student", {"a", "b", "c"}), &response).ok());  // one request
  EXPECT_TRUE(Translate(Request("student", {"a"}), &response).ok());
  const grpc::Status refused = Translate(Request("student", {"a"}), &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("limits.client.requests_per_second"));
  EXPECT_GT(RetryDelayOf(refused), absl::Seconds(900));
  EXPECT_LE(RetryDelayOf(refused), absl::Seconds(1000));
  EXPECT_THAT(metrics_->Text(), HasSubstr("petit_denied_total{reason=\"requests_per_second\"} 1"));
}

TEST_F(ClientLimitsTest, TextsInFlightAreBoundedOverAllCalls) {
  settings_.limits.client.max_texts_in_flight = 3;
  absl::Notification admitting;
  absl::Notification go_on;
  FakeModelOptions options;
  options.before = [&](const engine::Call& call) {
    if (call.kind == engine::Call::Kind::kAdmit && call.index == 0) {
      admitting.Notify();
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  };
  AddModel(FakeSettings("student"), options);
  Start();
  std::thread first([&] {
    v1::TranslateResponse response;
    EXPECT_TRUE(Translate(Request("student", {"a", "b"}), &response).ok());
  });
  admitting.WaitForNotification();
  v1::TranslateResponse response;
  const grpc::Status refused = Translate(Request("student", {"a", "b"}), &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("this client has 2 texts in flight, this request adds 2"));
  const grpc::Status never = Translate(Request("student", {"a", "b", "c", "d"}), &response);
  EXPECT_EQ(never.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  go_on.Notify();
  first.join();
  EXPECT_TRUE(Translate(Request("student", {"a", "b", "c"}), &response).ok());
}

TEST_F(ClientLimitsTest, BeyondSoManyCallsNewConnectionsAreClosedAndOldOnesGoOn) {
  settings_.limits.max_open_calls = 2;
  AddModel(FakeSettings("student"));
  Start();
  const v1::TranslateOptions options = Request("student", {}).options();
  TestStream first(translation_.get(), options);
  TestStream second(translation_.get(), options);
  v1::StreamTranslateResponse answer;
  for (TestStream* stream : {&first, &second}) {
    ASSERT_TRUE(stream->Send(1, "a"));
    ASSERT_TRUE(stream->Read(&answer));
  }
  const auto newcomer = Newcomer();
  v1::TranslateResponse response;
  grpc::ClientContext refused;
  EXPECT_EQ(newcomer->Translate(&refused, Request("student", {"a"}), &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(metrics_->Text(), Not(HasSubstr("petit_denied_total{reason=\"max_open_calls\"} 0")));
  EXPECT_TRUE(Translate(Request("student", {"a"}), &response).ok());
  std::map<std::int64_t, v1::TranslationResult> results;
  EXPECT_TRUE(first.Finish(&results).ok());
  grpc::ClientContext patient;
  patient.set_wait_for_ready(true);
  EXPECT_TRUE(newcomer->Translate(&patient, Request("student", {"a"}), &response).ok());
  EXPECT_TRUE(second.Finish(&results).ok());
}

TEST_F(ClientLimitsTest, CallsOfHealthAndReflectionCountUntilTheirEnd) {
  settings_.limits.max_open_calls = 2;
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateResponse response;
  const auto newcomer = Newcomer();
  {
    const RawStream health(channel_, "/grpc.health.v1.Health/Watch", "");
    const RawStream reflection(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                               "\x3a\x01*");  // list_services: "*"
    grpc::ClientContext refused;
    EXPECT_EQ(newcomer->Translate(&refused, Request("student", {"a"}), &response).error_code(),
              grpc::StatusCode::UNAVAILABLE);
  }
  grpc::ClientContext patient;
  patient.set_wait_for_ready(true);
  EXPECT_TRUE(newcomer->Translate(&patient, Request("student", {"a"}), &response).ok());
}

TEST_F(ClientLimitsTest, AStreamIsReadMoreSlowlyRatherThanRefused) {
  settings_.limits.client.requests_per_second = 500;
  settings_.limits.client.burst = 1;
  settings_.limits.client.max_texts_in_flight = 1;
  AddModel(FakeSettings("student"));
  Start();
  TestStream stream(translation_.get(), Request("student", {}).options());
  for (int id = 0; id < 30; ++id) stream.Send(id, "text " + std::to_string(id));
  std::map<std::int64_t, v1::TranslationResult> results;
  EXPECT_TRUE(stream.Finish(&results).ok());
  ASSERT_THAT(results, SizeIs(30));
  for (const auto& [id, result] : results) EXPECT_EQ(result.translation().text(), "text " + std::to_string(id));
}

}  // namespace
}  // namespace petit::serving
