// GetServerInfo over gRPC: what the server runs on, and what it has to do.
#include <gmock/gmock.h>

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using testing::MatchesRegex;

class ServerInfoTest : public ServerTest {
 protected:
  v1::ServerInfo Info() {
    grpc::ClientContext context;
    v1::ServerInfo info;
    const grpc::Status status = models_->GetServerInfo(&context, {}, &info);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return info;
  }

  void ExpectIdle(int texts_accepted, int pairs_scored) {
    const v1::ServerInfo info = Info();
    EXPECT_EQ(info.texts_in_flight(), 0);
    EXPECT_EQ(info.pairs_in_flight(), 0);
    EXPECT_EQ(info.texts_accepted(), texts_accepted);
    EXPECT_EQ(info.pairs_scored(), pairs_scored);
  }

  // A model whose first call of `kind` waits to be released.
  void AddHeldModel(const ModelSettings& settings, engine::Call::Kind kind) {
    AddModel(settings, {.before = [this, kind](const engine::Call& call) {
               if (call.kind == kind && call.index == 0) {
                 held_.Notify();
                 release_.WaitForNotification();
               }
               return absl::OkStatus();
             }});
  }

  absl::Notification held_;
  absl::Notification release_;
};

TEST_F(ServerInfoTest, TellsBuildStartAndMachine) {
  const absl::Time before = absl::Now();
  Start();
  const v1::ServerInfo info = Info();
  EXPECT_THAT(info.build(), MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+(\\+[0-9a-f]+(-dirty)?)?"));
  const absl::Time start =
      absl::FromUnixSeconds(info.start_time().seconds()) + absl::Nanoseconds(info.start_time().nanos());
  EXPECT_GE(start, before);
  EXPECT_LE(start, absl::Now());
  EXPECT_GT(info.logical_cpus(), 0);
  EXPECT_GT(info.memory_bytes(), 0);
  ExpectIdle(0, 0);
  Stop();
  EXPECT_EQ(Counted("GetServerInfo", "unknown", "OK"), "2");
}

TEST_F(ServerInfoTest, TextsAreInFlightUntilTheyAreAnswered) {
  AddHeldModel(FakeSettings("teacher"), engine::Call::Kind::kStep);
  AddModel(FakeSettings("student"));
  Start();
  std::thread caller([this] {
    v1::TranslateResponse response;
    EXPECT_TRUE(Translate(Request("teacher", {"a", "", "b"}), &response).ok());
  });
  held_.WaitForNotification();
  // The call may be told of its acceptance a moment after its first step.
  while (Info().texts_in_flight() != 2) std::this_thread::yield();
  EXPECT_EQ(Info().texts_accepted(), 2) << "not the empty one";
  v1::TranslateResponse response;
  EXPECT_TRUE(Translate(Request("student", {"c"}), &response).ok());
  EXPECT_EQ(Info().texts_in_flight(), 2);
  EXPECT_EQ(Info().texts_accepted(), 3) << "over all models";
  release_.Notify();
  caller.join();
  ExpectIdle(3, 0);
}

TEST_F(ServerInfoTest, AnAnsweredTextIsNoLongerInFlight) {
  AddModel(FakeSettings("student"));
  Start();
  TestStream stream(translation_.get(), Request("student", {}).options());
  v1::StreamTranslateResponse response;
  for (int i = 1; i <= 50; ++i) {
    ASSERT_TRUE(stream.Send(i, "a"));
    ASSERT_TRUE(stream.Read(&response));
    ExpectIdle(i, 0);
  }
  ASSERT_TRUE(stream.Send(51, " "));
  ASSERT_TRUE(stream.Read(&response));
  EXPECT_TRUE(response.result().has_error());
  ExpectIdle(50, 0);
  std::map<std::int64_t, v1::TranslationResult> results;
  EXPECT_TRUE(stream.Finish(&results).ok());
}

TEST_F(ServerInfoTest, ATextThatWaitsForRoomCountsOnceItHasIt) {
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_queue_length = 1;
  AddModel(settings);
  Start();
  TestStream stream(translation_.get(), Request("student", {}).options());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(stream.Send(i, "a small house"));
  std::map<std::int64_t, v1::TranslationResult> results;
  EXPECT_TRUE(stream.Finish(&results).ok());
  EXPECT_EQ(results.size(), 100);
  ExpectIdle(100, 0);
}

TEST_F(ServerInfoTest, RefusedTextsAreNotAccepted) {
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_queue_length = 2;
  AddModel(settings);
  Start();
  v1::TranslateResponse response;
  EXPECT_EQ(Translate(Request("student", {"a", "b", "c"}), &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_FALSE(Translate(Request("student", {"", " "}), &response).ok());
  EXPECT_FALSE(Translate(Request("nobody", {"a"}), &response).ok());
  ExpectIdle(0, 0);
}

TEST_F(ServerInfoTest, CancelledTextsLeave) {
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
  while (Info().texts_in_flight() != 0) std::this_thread::yield();
  ExpectIdle(2, 0);
}

TEST_F(ServerInfoTest, PairsAreCountedApart) {
  AddHeldModel(FakeSettings("student"), engine::Call::Kind::kScore);
  Start();
  v1::ScoreRequest request;
  request.set_model("student");
  request.set_source_language("en");
  request.set_target_language("fr");
  for (const char* source : {"a", "", "b"}) {
    request.add_pairs()->set_source(source);
    request.mutable_pairs(request.pairs_size() - 1)->set_target("c");
  }
  std::thread caller([&] {
    grpc::ClientContext context;
    v1::ScoreResponse response;
    EXPECT_TRUE(translation_->Score(&context, request, &response).ok());
  });
  held_.WaitForNotification();
  EXPECT_EQ(Info().pairs_in_flight(), 3);
  EXPECT_EQ(Info().pairs_scored(), 0);
  release_.Notify();
  caller.join();
  ExpectIdle(0, 2);
}

}  // namespace
}  // namespace petit::serving
