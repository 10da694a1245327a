// StreamTranslate over gRPC.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

using Results = std::map<std::int64_t, v1::TranslationResult>;

class StreamServiceTest : public ServerTest {
 protected:
  static v1::TranslateOptions Options(const std::string& model) { return Request(model, {}).options(); }
};

TEST_F(StreamServiceTest, EveryTextIsAnsweredOnceUnderItsId) {
  settings_.limits.max_stream_texts_in_flight = 8;
  AddModel(FakeSettings("student"));
  Start();
  TestStream stream(translation_.get(), Options("student"));
  std::thread writer([&] {
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(stream.Send(i * 7, "text " + std::to_string(i)));
  });
  Results results;
  v1::StreamTranslateResponse response;
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(stream.Read(&response));
    EXPECT_TRUE(results.emplace(response.id(), response.result()).second);
  }
  writer.join();
  EXPECT_TRUE(stream.Finish(&results).ok());
  ASSERT_THAT(results, SizeIs(300));
  EXPECT_EQ(results.at(7 * 42).translation().text(), "text 42");
  Stop();
  EXPECT_EQ(Counted("StreamTranslate", "student", "OK"), "1");
}

TEST_F(StreamServiceTest, AnswersComeInTheOrderOfCompletion) {
  absl::Notification admitting;
  absl::Notification others_arrived;
  absl::Notification others_answered;
  FakeModelOptions options;
  options.before = [&](const engine::Call& call) {
    if (call.kind == engine::Call::Kind::kAdmit && call.index == 0) {
      admitting.Notify();
      others_arrived.WaitForNotification();
    }
    // By now the short ones are done.
    if (call.kind == engine::Call::Kind::kStep && call.index == 50) others_answered.WaitForNotification();
    return absl::OkStatus();
  };
  const auto observer = AddModel(FakeSettings("student"), options);
  Start();
  TestStream stream(translation_.get(), Options("student"));
  stream.Send(1, std::string(200, 'a'));
  admitting.WaitForNotification();  // with the first text alone
  for (int id = 2; id <= 4; ++id) stream.Send(id, "a");
  observer->WaitForQueueLength(3);  // two of them have arrived, or all three where the first is not counted
  others_arrived.Notify();
  v1::StreamTranslateResponse response;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(stream.Read(&response));
    EXPECT_NE(response.id(), 1);
  }
  others_answered.Notify();
  Results results;
  EXPECT_TRUE(stream.Finish(&results).ok());
  EXPECT_THAT(results, SizeIs(2));
}

TEST_F(StreamServiceTest, ABadTextIsAnsweredUnderItsIdAndTheStreamGoesOn) {
  settings_.limits.max_text_bytes = 100;
  AddModel(FakeSettings("student"));
  Start();
  TestStream stream(translation_.get(), Options("student"));
  stream.Send(1, "good");
  stream.Send(2, " ");
  stream.Send(3, std::string(101, 'a'));
  stream.Send(4, "bad \xff utf-8");
  stream.Send(5, "good");
  Results results;
  EXPECT_TRUE(stream.Finish(&results).ok());
  ASSERT_THAT(results, SizeIs(5));
  for (const int good : {1, 5}) EXPECT_EQ(results.at(good).translation().text(), "good");
  for (const int bad : {2, 3, 4}) EXPECT_EQ(results.at(bad).error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(results.at(4).error().message(), HasSubstr("text: byte 4 is not valid UTF-8"));
}

TEST_F(StreamServiceTest, OptionsMayChangeForTheTextsThatFollow) {
  AddModel(FakeSettings("student"));
  Start();
  grpc::ClientContext context;
  const auto stream = translation_->StreamTranslate(&context);
  v1::StreamTranslateRequest message;
  *message.mutable_options() = Options("student");
  message.set_id(1);
  message.set_text("a");
  stream->Write(message);
  message.mutable_options()->set_target_language("de");
  message.set_id(2);
  stream->Write(message);
  stream->WritesDone();
  std::map<std::int64_t, std::string> texts;
  v1::StreamTranslateResponse response;
  while (stream->Read(&response)) texts[response.id()] = response.result().translation().text();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(texts.at(1), "a");
  EXPECT_EQ(texts.at(2), "to german: a");
}

TEST_F(StreamServiceTest, WhatIsWrongAsAWholeEndsTheStreamAfterTheAnswers) {
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateOptions wrong_pair = Options("student");
  wrong_pair.set_target_language("ko");
  const struct {
    v1::TranslateOptions options;
    grpc::StatusCode code;
    const char* what;
  } cases[] = {{Options("nobody"), grpc::StatusCode::NOT_FOUND, "student"},
               {wrong_pair, grpc::StatusCode::INVALID_ARGUMENT, "en to fr"},
               {Options("st\xffudent"), grpc::StatusCode::INVALID_ARGUMENT, "options.model: byte 2"}};
  for (const auto& [options, code, what] : cases) {
    TestStream fresh(translation_.get(), options);
    Results results;
    grpc::Status status = fresh.Finish(&results);
    EXPECT_EQ(status.error_code(), code);
    EXPECT_THAT(status.error_message(), HasSubstr(what));

    grpc::ClientContext context;
    const auto stream = translation_->StreamTranslate(&context);
    v1::StreamTranslateRequest message;
    *message.mutable_options() = Options("student");
    for (int id = 0; id < 5; ++id) {
      message.set_id(id);
      message.set_text("a");
      stream->Write(message);
    }
    *message.mutable_options() = options;
    stream->Write(message);
    v1::StreamTranslateResponse response;
    int answers = 0;
    while (stream->Read(&response)) ++answers;
    status = stream->Finish();
    EXPECT_EQ(answers, 5);
    EXPECT_EQ(status.error_code(), code);
  }
}

TEST_F(StreamServiceTest, TheFirstMessageMustSetOptions) {
  AddModel(FakeSettings("student"));
  Start();
  grpc::ClientContext context;
  const auto stream = translation_->StreamTranslate(&context);
  v1::StreamTranslateRequest message;
  message.set_text("a");
  stream->Write(message);
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("first message must set options"));
}

TEST_F(StreamServiceTest, AnEmptyStreamEndsWell) {
  AddModel(FakeSettings("student"));
  Start();
  TestStream stream(translation_.get(), Options("student"));
  Results results;
  EXPECT_TRUE(stream.Finish(&results).ok());
  EXPECT_THAT(results, SizeIs(0));
}

TEST_F(StreamServiceTest, AFullQueueIsWaitedOutNotFailed) {
  settings_.limits.max_stream_texts_in_flight = 64;
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_queue_length = 1;
  settings.batching.max_rows = 1;
  const auto observer = AddModel(settings);
  Start();
  std::vector<std::thread> clients;
  for (int c = 0; c < 3; ++c) {
    clients.emplace_back([this] {
      TestStream stream(translation_.get(), Options("student"));
      for (int i = 0; i < 40; ++i) stream.Send(i, "a small house");
      Results results;
      EXPECT_TRUE(stream.Finish(&results).ok());
      EXPECT_THAT(results, SizeIs(40));
      for (const auto& [id, result] : results) EXPECT_EQ(result.translation().text(), "a small house") << id;
    });
  }
  for (std::thread& client : clients) client.join();
  observer->WaitForRejected(1);  // else this tested nothing
}

TEST_F(StreamServiceTest, AClientThatDoesNotReadPausesOnlyItself) {
  constexpr int kTexts = 40;
  constexpr int kTokens = 3000;
  settings_.limits.max_stream_texts_in_flight = 4;
  ModelSettings settings = FakeSettings("slow");
  settings.max_new_tokens_limit = kTokens;
  const auto slow = AddModel(settings, {.script = EndlessScript(100)});
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateOptions options = Options("slow");
  options.mutable_decoding()->set_max_new_tokens(kTokens);
  TestStream lazy(translation_.get(), options);
  std::thread writer([&] {
    for (int i = 0; i < kTexts; ++i) lazy.Send(i, "a");
  });
  slow->WaitForFinished(absl::StatusCode::kOk, 4);
  // Another stream on the same connection goes on.
  TestStream busy(translation_.get(), Options("student"));
  for (int i = 0; i < 200; ++i) busy.Send(i, "a");
  Results results;
  EXPECT_TRUE(busy.Finish(&results).ok());
  EXPECT_THAT(results, SizeIs(200));

  // The lazy one has at most the texts in flight, and those whose answers fill what gRPC keeps on their way: some 64
  // KiB on each side.
  const auto answer = TinyTokenizer()->Decode(std::vector<engine::TokenId>(kTokens, 100)).size();
  EXPECT_LE(slow->admitted(), 4 + 3 * 65536 / static_cast<int>(answer));
  EXPECT_LT(slow->admitted(), kTexts);
  Results late;
  v1::StreamTranslateResponse response;
  for (int i = 0; i < kTexts; ++i) {
    ASSERT_TRUE(lazy.Read(&response));
    late[response.id()] = response.result();
  }
  writer.join();
  EXPECT_TRUE(lazy.Finish(&late).ok());
  EXPECT_THAT(late, SizeIs(kTexts));
}

TEST_F(StreamServiceTest, AStreamThatVanishesFreesItsRows) {
  ModelSettings settings = FakeSettings("student");
  settings.max_new_tokens_limit = 1'000'000;
  settings.batching.max_rows = 2;
  settings.batching.max_queue_length = 2;
  const auto observer = AddModel(settings, {.script = EndlessScript(10)});
  Start();
  v1::TranslateOptions options = Options("student");
  options.mutable_decoding()->set_max_new_tokens(1'000'000);
  {
    TestStream stream(translation_.get(), options);
    for (int i = 0; i < 10; ++i) stream.Send(i, "a");
    observer->WaitForAdmitted(2);
    observer->WaitForRejected(1);  // one text waits for room
    stream.context.TryCancel();
    v1::StreamTranslateResponse response;
    while (stream.Read(&response)) {
    }
  }
  observer->WaitForFinished(absl::StatusCode::kCancelled, 2);
  Stop();
  EXPECT_EQ(Counted("StreamTranslate", "student", "CANCELLED"), "1");
}

TEST_F(StreamServiceTest, AStreamEndsAtItsDeadline) {
  ModelSettings settings = FakeSettings("student");
  settings.max_new_tokens_limit = 1'000'000;
  AddModel(settings, {.script = EndlessScript(10)});
  Start();
  ASSERT_TRUE(channel_->WaitForConnected(gpr_inf_future(GPR_CLOCK_REALTIME)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  const auto stream = translation_->StreamTranslate(&context);
  v1::StreamTranslateRequest message;
  *message.mutable_options() = Options("student");
  message.mutable_options()->mutable_decoding()->set_max_new_tokens(1'000'000);
  message.set_text("a");
  stream->Write(message);
  v1::StreamTranslateResponse response;
  // The server's clock may be the first to tell, then as the text's own error.
  while (stream->Read(&response)) {
    EXPECT_EQ(response.result().error().code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // The row is free: the server ends, although the sequence would take minutes.
  Stop();
  EXPECT_EQ(Counted("StreamTranslate", "student", "DEADLINE_EXCEEDED"), "1");
}

}  // namespace
}  // namespace petit::serving
