// Translate over gRPC.
#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "server/rpc/message_io.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class TranslateServiceTest : public ServerTest {
 protected:
  // Sends bytes that no stub would.
  grpc::Status TranslateRaw(const std::string& bytes) {
    grpc::ClientContext context;
    grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel_);
    grpc::Status status;
    absl::Notification done;
    stub.UnaryCall(&context, "/petit.v1.TranslationService/Translate", {}, &request, &response,
                   [&](grpc::Status result) {
                     status = std::move(result);
                     done.Notify();
                   });
    done.WaitForNotification();
    return status;
  }
};

TEST_F(TranslateServiceTest, TranslatesTextsInTheirOrder) {
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateResponse response;
  const grpc::Status status = Translate(Request("student", {"a small house", "a", "two trees"}), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(response.results(), SizeIs(3));
  EXPECT_EQ(response.results(0).translation().text(), "a small house");
  EXPECT_EQ(response.results(1).translation().text(), "a");
  EXPECT_EQ(response.results(2).translation().text(), "two trees");
  EXPECT_GT(response.results(0).translation().timing().total().nanos(), 0);
  Stop();
  EXPECT_EQ(Counted("Translate", "student", "OK"), "1");
}

TEST_F(TranslateServiceTest, SeveralReplicasAnswerOneCall) {
  ModelSettings settings = FakeSettings("student");
  settings.replicas = 3;
  std::mutex mutex;
  std::set<std::thread::id> workers;
  AddModel(settings, {.before = [&](const engine::Call&) {
             const std::lock_guard lock(mutex);
             workers.insert(std::this_thread::get_id());
             return absl::OkStatus();
           }});
  Start();
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) texts.push_back(std::string(1 + i % 3, 'a') + " small house");
  v1::TranslateResponse response;
  const grpc::Status status = Translate(Request("student", texts), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(response.results(), SizeIs(20));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(response.results(i).translation().text(), texts[i]);
  const std::lock_guard lock(mutex);
  EXPECT_THAT(workers, SizeIs(3));
}

TEST_F(TranslateServiceTest, OneBadTextDoesNotLoseTheOthers) {
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateResponse response;
  ASSERT_TRUE(Translate(Request("student", {"good", " ", "also good"}), &response).ok());
  EXPECT_EQ(response.results(0).translation().text(), "good");
  EXPECT_EQ(response.results(1).error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(response.results(2).translation().text(), "also good");
}

TEST_F(TranslateServiceTest, WhereAllTextsFailTheCallFailsLikeTheFirst) {
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateResponse response;
  grpc::Status status = Translate(Request("student", {""}), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("the text is empty"));
  status = Translate(Request("student", {"", " "}), &response);
  EXPECT_THAT(status.error_message(), HasSubstr("all 2 texts failed; texts[0]: the text is empty"));
  Stop();
  EXPECT_EQ(Counted("Translate", "student", "INVALID_ARGUMENT"), "2");
}

TEST_F(TranslateServiceTest, BadRequestsGetTheirCodeAndSayWhatIsRight) {
  settings_.limits.max_texts_per_request = 3;
  ModelSettings later = FakeSettings("later");
  later.load_later = true;
  AddModel(FakeSettings("student"));
  AddModel(later);
  Start();
  v1::TranslateRequest wrong_pair = Request("student", {"a"});
  wrong_pair.mutable_options()->set_target_language("ko");
  v1::TranslateRequest wrong_option = Request("student", {"a"});
  wrong_option.mutable_options()->mutable_decoding()->set_num_beams(0);
  const struct {
    v1::TranslateRequest request;
    grpc::StatusCode code;
    std::string what;
  } cases[] = {
      {Request("nobody", {"a"}), grpc::StatusCode::NOT_FOUND, "student"},
      {Request("student/versions/9", {"a"}), grpc::StatusCode::NOT_FOUND, "9"},
      {Request("later", {"a"}), grpc::StatusCode::UNAVAILABLE, "later"},
      {Request("", {"a"}), grpc::StatusCode::INVALID_ARGUMENT, "model is empty"},
      {Request("student", {}), grpc::StatusCode::INVALID_ARGUMENT, "texts is empty"},
      {Request("student", {"a", "a", "a", "a"}), grpc::StatusCode::INVALID_ARGUMENT, "at most 3"},
      {wrong_pair, grpc::StatusCode::INVALID_ARGUMENT, "en to fr"},
      {wrong_option, grpc::StatusCode::INVALID_ARGUMENT, "num_beams"},
  };
  for (const auto& [request, code, what] : cases) {
    v1::TranslateResponse response;
    const grpc::Status status = Translate(request, &response);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(what));
  }
  Stop();
  EXPECT_EQ(Counted("Translate", "unknown", "NOT_FOUND"), "1");
}

TEST_F(TranslateServiceTest, BadUtf8IsNamedWithFieldAndByte) {
  AddModel(FakeSettings("student"));
  Start();
  const grpc::Status status = TranslateRaw(Request("student", {"ok", "ab\x80"}).SerializeAsString());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("texts[1]: byte 2 is not valid UTF-8; texts must be UTF-8"));
}

TEST_F(TranslateServiceTest, GarbageAndEmptyMessagesAreInvalid) {
  AddModel(FakeSettings("student"));
  Start();
  EXPECT_EQ(TranslateRaw("\xff\xff\xff\xff").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(TranslateRaw("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(TranslateServiceTest, AMessageOverTheLimitIsRefusedAndTheServerGoesOn) {
  settings_.limits.max_message_bytes = 1000;
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateResponse response;
  EXPECT_EQ(Translate(Request("student", {std::string(2000, 'a')}), &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Translate(Request("student", {"a"}), &response).ok());
}

TEST_F(TranslateServiceTest, AFullQueueSaysWhenToComeBack) {
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_queue_length = 2;
  AddModel(settings);
  Start();
  v1::TranslateResponse response;
  const grpc::Status status = Translate(Request("student", {"a", "b", "c"}), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_THAT(details.details(), SizeIs(1));
  EXPECT_TRUE(details.details(0).Is<google::rpc::RetryInfo>());
}

TEST_F(TranslateServiceTest, TheRequestIdIsTheClientsWhereItIsSane) {
  AddModel(FakeSettings("student"));
  Start();
  const std::pair<std::string, std::string> cases[] = {{"abc-123", "abc-123"},
                                                       {std::string(128, 'x'), std::string(128, 'x')},
                                                       {std::string(129, 'x'), "[0-9a-f]{16}"},
                                                       {"with space", "[0-9a-f]{16}"}};
  for (const auto& [sent, expected] : cases) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", sent);
    v1::TranslateResponse response;
    const grpc::Status status = translation_->Translate(&context, Request("nobody", {"a"}), &response);
    const std::string id = Trailer(context, "x-request-id");
    if (expected == sent) {
      EXPECT_EQ(id, expected);
    } else {
      EXPECT_EQ(id.size(), 16);
      EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
    }
    EXPECT_THAT(status.error_message(), HasSubstr("[request " + id + "]"));
  }
  grpc::ClientContext context;
  v1::TranslateResponse response;
  ASSERT_TRUE(translation_->Translate(&context, Request("student", {"a"}), &response).ok());
  EXPECT_EQ(Trailer(context, "x-request-id").size(), 16);
}

TEST_F(TranslateServiceTest, ACancelledCallFreesItsRowsInTheMiddleOfDecoding) {
  ModelSettings settings = FakeSettings("student");
  settings.max_new_tokens_limit = 1'000'000;
  const auto observer = AddModel(settings, {.script = EndlessScript(10)});
  Start();
  grpc::ClientContext context;
  v1::TranslateRequest request = Request("student", {"a", "b"});
  request.mutable_options()->mutable_decoding()->set_max_new_tokens(1'000'000);
  v1::TranslateResponse response;
  std::thread canceller([&] {
    observer->WaitForAdmitted(2);
    context.TryCancel();
  });
  EXPECT_EQ(translation_->Translate(&context, request, &response).error_code(), grpc::StatusCode::CANCELLED);
  canceller.join();
  observer->WaitForFinished(absl::StatusCode::kCancelled, 2);
  Stop();
  EXPECT_EQ(Counted("Translate", "student", "CANCELLED"), "1");
}

TEST_F(TranslateServiceTest, ADeadlineEndsTheWorkInTheMiddleOfDecoding) {
  ModelSettings settings = FakeSettings("student");
  settings.max_new_tokens_limit = 1'000'000;
  AddModel(settings, {.script = EndlessScript(10)});
  Start();
  ASSERT_TRUE(channel_->WaitForConnected(gpr_inf_future(GPR_CLOCK_REALTIME)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  v1::TranslateRequest request = Request("student", {"a"});
  request.mutable_options()->mutable_decoding()->set_max_new_tokens(1'000'000);
  v1::TranslateResponse response;
  EXPECT_EQ(translation_->Translate(&context, request, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // The row is free: the server ends, although the sequence would take minutes.
  Stop();
  EXPECT_EQ(Counted("Translate", "student", "DEADLINE_EXCEEDED"), "1");
}

TEST_F(TranslateServiceTest, AFailingDeviceIsToldAndTheServerGoesOn) {
  AddModel(FakeSettings("student"),
           {.before = engine::FailCall(engine::Call::Kind::kStep, 0, absl::InternalError("broken device"))});
  Start();
  v1::TranslateResponse response;
  const grpc::Status status = Translate(Request("student", {"a"}), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("broken device"));
  EXPECT_TRUE(Translate(Request("student", {"a"}), &response).ok());
}

}  // namespace
}  // namespace petit::serving
