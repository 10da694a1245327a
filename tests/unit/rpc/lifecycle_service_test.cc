// Models that come and go, and the server's end.
#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class LifecycleTest : public ServerTest {
 protected:
  LifecycleTest() : root_(MakeDirectory()) {
    for (const char* version : {"1", "2"}) {
      std::filesystem::create_directories(root_ / version);
      std::ofstream(root_ / version / "config.json") << "{}";
    }
  }
  ~LifecycleTest() override { std::filesystem::remove_all(root_); }

  static std::filesystem::path MakeDirectory() {
    std::string name = testing::TempDir() + "/petit_rpc_test_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr) << name;
    return name;
  }

  ModelSettings Versioned(const std::string& name) const {
    ModelSettings settings = FakeSettings(name);
    settings.checkpoint = "";
    settings.versions_root = root_;
    return settings;
  }

  grpc::Status SetServedVersion(std::int64_t version, v1::Model* model) {
    grpc::ClientContext context;
    v1::SetServedVersionRequest request;
    request.set_name("student");
    request.set_version(version);
    return models_->SetServedVersion(&context, request, model);
  }

  grpc::Status Unload(const std::string& name) {
    grpc::ClientContext context;
    v1::UnloadModelRequest request;
    request.set_name(name);
    v1::Model model;
    return models_->UnloadModel(&context, request, &model);
  }

  std::filesystem::path root_;
};

TEST_F(LifecycleTest, ListsModelsWithTheirVersions) {
  AddModel(Versioned("student"));
  AddModel(FakeSettings("teacher"));
  Start();
  grpc::ClientContext context;
  v1::ListModelsResponse response;
  ASSERT_TRUE(models_->ListModels(&context, {}, &response).ok());
  ASSERT_THAT(response.models(), SizeIs(2));
  const v1::Model& student = response.models(0);
  EXPECT_EQ(student.name(), "models/student");
  EXPECT_EQ(student.state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(student.served_version(), 2);
  ASSERT_THAT(student.versions(), SizeIs(2));
  EXPECT_EQ(student.versions(0).name(), "models/student/versions/1");
  EXPECT_EQ(student.versions(0).state(), v1::MODEL_STATE_UNLOADED);
  EXPECT_EQ(student.versions(1).executor(), "SCRIPTED");
  EXPECT_EQ(student.versions(1).digest(), "digest of version 2");
  EXPECT_GT(student.versions(1).loaded_at().seconds(), 0);
  EXPECT_EQ(student.language_pairs(0).target(), "fr");
  EXPECT_EQ(student.language_pairs(0).prompt(), FakeSettings("student").prompts[0].prefix);
  EXPECT_EQ(student.default_decoding().max_new_tokens(), FakeSettings("student").default_decoding.max_new_tokens);
}

TEST_F(LifecycleTest, ModelsAreNamedWithAndWithoutThePrefix) {
  AddModel(FakeSettings("teacher"));
  Start();
  for (const auto& [name, code] :
       std::map<std::string, grpc::StatusCode>{{"teacher", grpc::StatusCode::OK},
                                               {"models/teacher", grpc::StatusCode::OK},
                                               {"nobody", grpc::StatusCode::NOT_FOUND},
                                               {"", grpc::StatusCode::INVALID_ARGUMENT},
                                               {"teacher/versions/1", grpc::StatusCode::INVALID_ARGUMENT}}) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_name(name);
    v1::Model model;
    EXPECT_EQ(models_->GetModel(&context, request, &model).error_code(), code) << name;
  }
}

TEST_F(LifecycleTest, BadVersionsAreRefused) {
  AddModel(Versioned("student"));
  Start();
  v1::Model model;
  EXPECT_EQ(SetServedVersion(0, &model).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(SetServedVersion(-1, &model).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(SetServedVersion(7, &model).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(LifecycleTest, VersionsSwitchUnderStreamsWithoutAFailedText) {
  settings_.limits.max_stream_texts_in_flight = 4;
  AddModel(Versioned("student"));
  Start();
  absl::Notification stop;
  std::atomic<int> answered = 0;
  std::map<std::int64_t, int> versions;
  std::thread client([&] {
    TestStream stream(translation_.get(), Request("student", {}).options());
    v1::StreamTranslateResponse response;
    for (int id = 0; !stop.HasBeenNotified(); ++id) {
      ASSERT_TRUE(stream.Send(id, "a small house"));
      ASSERT_TRUE(stream.Read(&response));
      ASSERT_TRUE(response.result().has_translation()) << response.result().error().message();
      ++versions[response.result().translation().model_version()];
      ++answered;
    }
    std::map<std::int64_t, v1::TranslationResult> results;
    EXPECT_TRUE(stream.Finish(&results).ok());
  });
  for (const std::int64_t version : {1, 2, 1, 2}) {
    v1::Model model;
    const int before = answered;
    const grpc::Status status = SetServedVersion(version, &model);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(model.served_version(), version);
    while (answered < before + 5) std::this_thread::yield();
  }
  stop.Notify();
  client.join();
  EXPECT_GT(versions[1], 0);
  EXPECT_GT(versions[2], 0);
}

TEST_F(LifecycleTest, AModelUnloadedUnderAStreamServesItToItsEnd) {
  const auto observer = AddModel(FakeSettings("teacher"));
  Start();
  TestStream stream(translation_.get(), Request("teacher", {}).options());
  v1::StreamTranslateResponse response;
  stream.Send(0, "a");
  ASSERT_TRUE(stream.Read(&response));
  std::thread unloader([this] { EXPECT_TRUE(Unload("teacher").ok()); });
  // New calls are turned away as soon as the unloading has begun ...
  v1::TranslateResponse refused;
  while (Translate(Request("teacher", {"a"}), &refused).ok()) {
  }
  // ... while the stream goes on.
  for (int id = 1; id < 20; ++id) {
    ASSERT_TRUE(stream.Send(id, "a"));
    ASSERT_TRUE(stream.Read(&response));
    EXPECT_TRUE(response.result().has_translation()) << response.result().error().message();
  }
  std::map<std::int64_t, v1::TranslationResult> results;
  EXPECT_TRUE(stream.Finish(&results).ok());
  unloader.join();
  EXPECT_EQ(Translate(Request("teacher", {"a"}), &refused).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(LifecycleTest, DrainingFinishesWhatIsInFlightAndRefusesWhatIsNew) {
  absl::Notification stepping;
  absl::Notification release;
  FakeModelOptions options;
  options.before = [&](const engine::Call& call) {
    if (call.kind == engine::Call::Kind::kStep && call.index == 1) {
      stepping.Notify();
      release.WaitForNotification();
    }
    return absl::OkStatus();
  };
  const auto observer = AddModel(FakeSettings("teacher"), options);
  Start();
  std::thread unary([this] {
    v1::TranslateResponse response;
    const grpc::Status status = Translate(Request("teacher", {"a small house"}), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  });
  stepping.WaitForNotification();
  TestStream stream(translation_.get(), Request("teacher", {}).options());
  for (int id = 0; id < 10; ++id) ASSERT_TRUE(stream.Send(id, "a"));
  observer->WaitForQueueLength(10);

  bool drained = false;
  std::thread drainer([&] { drained = server_->Drain(absl::InfiniteFuture()); });
  while (health_->ready()) std::this_thread::yield();
  v1::TranslateResponse response;
  const grpc::Status refused = Translate(Request("teacher", {"a"}), &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.error_message(), HasSubstr("draining"));
  release.Notify();
  unary.join();
  std::map<std::int64_t, v1::TranslationResult> results;
  EXPECT_TRUE(stream.Finish(&results).ok());
  EXPECT_THAT(results, SizeIs(10));
  for (const auto& [id, result] : results) EXPECT_TRUE(result.has_translation()) << id;
  drainer.join();
  EXPECT_TRUE(drained);
}

TEST_F(LifecycleTest, DrainingEndsAnIdleStream) {
  AddModel(FakeSettings("teacher"));
  Start();
  TestStream stream(translation_.get(), Request("teacher", {}).options());
  stream.Send(1, "a");
  v1::StreamTranslateResponse response;
  ASSERT_TRUE(stream.Read(&response));
  EXPECT_TRUE(server_->Drain(absl::InfiniteFuture()));
  EXPECT_FALSE(stream.Read(&response));
  std::map<std::int64_t, v1::TranslationResult> results;
  const grpc::Status status = stream.Finish(&results);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("draining"));
}

TEST_F(LifecycleTest, DrainingEndsAStreamThatIsNeverIdleAndAnswersWhatItHasTaken) {
  AddModel(FakeSettings("teacher"));
  Start();
  TestStream stream(translation_.get(), Request("teacher", {}).options());
  std::thread sender([&] {
    for (std::int64_t id = 0; stream.Send(id, "a"); ++id) {
    }
  });
  v1::StreamTranslateResponse response;
  ASSERT_TRUE(stream.Read(&response));
  bool drained = false;
  std::thread drainer([&] { drained = server_->Drain(absl::Now() + absl::Seconds(4)); });
  while (stream.Read(&response)) EXPECT_TRUE(response.result().has_translation()) << response.id();
  sender.join();
  drainer.join();
  EXPECT_TRUE(drained) << "what was taken was cut off";
  std::map<std::int64_t, v1::TranslationResult> results;
  EXPECT_THAT(stream.Finish(&results).error_message(), HasSubstr("draining"));
}

TEST_F(LifecycleTest, WhatIsNotDoneByTheDeadlineIsCancelled) {
  ModelSettings settings = FakeSettings("teacher");
  settings.max_new_tokens_limit = 1'000'000;
  const auto observer = AddModel(settings, {.script = EndlessScript(10)});
  Start();
  std::thread unary([this] {
    v1::TranslateRequest request = Request("teacher", {"a"});
    request.mutable_options()->mutable_decoding()->set_max_new_tokens(1'000'000);
    v1::TranslateResponse response;
    EXPECT_FALSE(Translate(request, &response).ok());
  });
  observer->WaitForAdmitted(1);
  EXPECT_FALSE(server_->Drain(absl::Now()));
  unary.join();
  observer->WaitForFinished(absl::StatusCode::kCancelled, 1);
  EXPECT_EQ(Counted("Translate", "teacher", "UNAVAILABLE"), "1") << "no client cancelled it";
}

TEST_F(LifecycleTest, TwoServersCannotShareAPort) {
  Start();
  ServerSettings second = settings_;
  second.listen = server_->address();
  const auto server = Server::Start(second, registry_.get(), metrics_.get(), health_.get(), nullptr);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr(server_->address()));
}

}  // namespace
}  // namespace petit::serving
