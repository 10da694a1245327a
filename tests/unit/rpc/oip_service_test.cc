// The Open Inference Protocol over gRPC.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <chrono>
#include <string>
#include <thread>

#include "inference/open_inference.grpc.pb.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using inference::GRPCInferenceService;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class InferenceServiceTest : public ServerTest {
 protected:
  static ModelInferRequest TextsFor(const std::string& model, const std::vector<std::string>& texts) {
    ModelInferRequest request;
    request.set_model_name(model);
    auto* input = request.add_inputs();
    input->set_name("text");
    input->set_datatype("BYTES");
    input->add_shape(static_cast<std::int64_t>(texts.size()));
    for (const std::string& text : texts) input->mutable_contents()->add_bytes_contents(text);
    return request;
  }
  grpc::Status Infer(const ModelInferRequest& request, ModelInferResponse* response) {
    grpc::ClientContext context;
    return GRPCInferenceService::NewStub(channel_)->ModelInfer(&context, request, response);
  }
  grpc::Status Ready(const std::string& model, const std::string& version, bool* ready) {
    grpc::ClientContext context;
    inference::ModelReadyRequest request;
    request.set_name(model);
    request.set_version(version);
    inference::ModelReadyResponse response;
    const grpc::Status status = GRPCInferenceService::NewStub(channel_)->ModelReady(&context, request, &response);
    *ready = response.ready();
    return status;
  }
  grpc::Status Metadata(const std::string& model, const std::string& version,
                        inference::ModelMetadataResponse* response) {
    grpc::ClientContext context;
    inference::ModelMetadataRequest request;
    request.set_name(model);
    request.set_version(version);
    return GRPCInferenceService::NewStub(channel_)->ModelMetadata(&context, request, response);
  }
};

TEST_F(InferenceServiceTest, TranslatesInTheTextsOrder) {
  AddModel(FakeSettings("student"));
  Start();
  ModelInferRequest request = TextsFor("student", {"a small house", "two trees"});
  request.set_id("mine");
  ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.id(), "mine");
  EXPECT_EQ(response.model_name(), "student");
  EXPECT_EQ(response.model_version(), "1");
  ASSERT_THAT(response.outputs(), SizeIs(4));
  EXPECT_EQ(response.outputs(0).name(), "translation");
  EXPECT_THAT(response.outputs(0).contents().bytes_contents(), ElementsAre("a small house", "two trees"));
  EXPECT_THAT(response.outputs(3).contents().bytes_contents(), ElementsAre("EOS", "EOS"));
  Stop();
  EXPECT_EQ(Counted("ModelInfer", "student", "OK"), "1");
}

TEST_F(InferenceServiceTest, AnswersLikeTranslate) {
  AddModel(FakeSettings("student"));
  Start();
  v1::TranslateRequest translate = Request("student", {"a small house"});
  translate.mutable_options()->set_target_language("de");
  translate.mutable_options()->mutable_decoding()->set_max_new_tokens(3);
  v1::TranslateResponse expected;
  ASSERT_TRUE(Translate(translate, &expected).ok());
  ModelInferRequest request = TextsFor("student", {"a small house"});
  ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(R"(
    parameters { key: "max_new_tokens" value { int64_param: 3 } }
    inputs { name: "target_language" datatype: "BYTES" shape: 1 contents { bytes_contents: "de" } })",
                                                            &request));
  ModelInferResponse response;
  const grpc::Status status = Infer(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::Translation& translation = expected.results(0).translation();
  ASSERT_EQ(translation.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_THAT(response.outputs(0).contents().bytes_contents(), ElementsAre(translation.text()));
  EXPECT_THAT(response.outputs(1).contents().fp32_contents(), ElementsAre(translation.score()));
  EXPECT_THAT(response.outputs(2).contents().int_contents(), ElementsAre(3));
  EXPECT_THAT(response.outputs(3).contents().bytes_contents(), ElementsAre("LENGTH"));
}

TEST_F(InferenceServiceTest, ErrorsAreTranslates) {
  settings_.limits.max_texts_per_request = 3;
  ModelSettings later = FakeSettings("later");
  later.load_later = true;
  AddModel(FakeSettings("student"));
  AddModel(later);
  Start();
  ModelInferRequest wrong_version = TextsFor("student", {"a"});
  wrong_version.set_model_version("9");
  ModelInferRequest wrong_pair = TextsFor("student", {"a"});
  (*wrong_pair.mutable_parameters())["target_language"].set_string_param("ko");
  ModelInferRequest wrong_option = TextsFor("student", {"a"});
  (*wrong_option.mutable_parameters())["num_beams"].set_int64_param(0);
  const struct {
    ModelInferRequest request;
    grpc::StatusCode code;
    std::string what;
  } cases[] = {
      {TextsFor("nobody", {"a"}), grpc::StatusCode::NOT_FOUND, "student"},
      {TextsFor("", {"a"}), grpc::StatusCode::INVALID_ARGUMENT, "model is empty"},
      {TextsFor("later", {"a"}), grpc::StatusCode::UNAVAILABLE, "later"},
      {wrong_version, grpc::StatusCode::NOT_FOUND, "9"},
      {TextsFor("student", {}), grpc::StatusCode::INVALID_ARGUMENT, "texts is empty"},
      {TextsFor("student", {"a", "a", "a", "a"}), grpc::StatusCode::INVALID_ARGUMENT, "at most 3"},
      {wrong_pair, grpc::StatusCode::INVALID_ARGUMENT, "en to fr"},
      {wrong_option, grpc::StatusCode::INVALID_ARGUMENT, "num_beams"},
  };
  for (const auto& [request, code, what] : cases) {
    ModelInferResponse response;
    const grpc::Status status = Infer(request, &response);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(what));
  }
}

TEST_F(InferenceServiceTest, OneBadTextFailsTheCallBeforeTheOthersCostAnything) {
  const auto observer = AddModel(FakeSettings("student"));
  Start();
  ModelInferResponse response;
  const grpc::Status status = Infer(TextsFor("student", {"good", " ", "also good"}), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("texts[1]: the text is empty but for white space"));
  Stop();
  EXPECT_EQ(observer->admitted(), 0);
}

TEST_F(InferenceServiceTest, OneTextThatFailsWhileDecodingFailsTheCall) {
  ModelSettings settings = FakeSettings("student");
  settings.batching.mode = engine::BatchingMode::kOneAtATime;
  AddModel(settings, {.before = engine::FailCall(engine::Call::Kind::kStep, 0, absl::InternalError("broken device"))});
  Start();
  ModelInferResponse response;
  const grpc::Status status = Infer(TextsFor("student", {"first", "second"}), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("broken device"));
  EXPECT_TRUE(Infer(TextsFor("student", {"first", "second"}), &response).ok());
}

TEST_F(InferenceServiceTest, ADeadlineEndsTheWorkInTheMiddleOfDecoding) {
  ModelSettings settings = FakeSettings("student");
  settings.max_new_tokens_limit = 1'000'000;
  AddModel(settings, {.script = EndlessScript(10)});
  Start();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  ModelInferRequest request = TextsFor("student", {"a"});
  (*request.mutable_parameters())["max_new_tokens"].set_int64_param(1'000'000);
  ModelInferResponse response;
  EXPECT_EQ(GRPCInferenceService::NewStub(channel_)->ModelInfer(&context, request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  Stop();  // the row is free: the server ends
  EXPECT_EQ(Counted("ModelInfer", "student", "DEADLINE_EXCEEDED"), "1");
}

TEST_F(InferenceServiceTest, ModelsAreReadyWhileTheyAreServed) {
  ModelSettings later = FakeSettings("later");
  later.load_later = true;
  AddModel(FakeSettings("student"));
  AddModel(later);
  Start();
  bool ready = false;
  EXPECT_TRUE(Ready("student", "", &ready).ok());
  EXPECT_TRUE(ready);
  EXPECT_TRUE(Ready("student", "1", &ready).ok());
  EXPECT_TRUE(ready);
  EXPECT_TRUE(Ready("later", "", &ready).ok());
  EXPECT_FALSE(ready);
  EXPECT_EQ(Ready("nobody", "", &ready).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Ready("student", "2", &ready).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Ready("student", "x", &ready).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(InferenceServiceTest, TheServerIsReadyOnceItsModelsAre) {
  AddModel(FakeSettings("student"));
  Start();
  const auto stub = GRPCInferenceService::NewStub(channel_);
  inference::ServerLiveResponse live;
  inference::ServerReadyResponse ready;
  inference::ServerMetadataResponse metadata;
  grpc::ClientContext live_context;
  ASSERT_TRUE(stub->ServerLive(&live_context, {}, &live).ok());
  EXPECT_TRUE(live.live());
  grpc::ClientContext ready_context;
  ASSERT_TRUE(stub->ServerReady(&ready_context, {}, &ready).ok());
  EXPECT_TRUE(ready.ready());
  grpc::ClientContext metadata_context;
  ASSERT_TRUE(stub->ServerMetadata(&metadata_context, {}, &metadata).ok());
  EXPECT_EQ(metadata.name(), "petit");
  EXPECT_FALSE(metadata.version().empty());
}

TEST_F(InferenceServiceTest, ADrainingServerIsLiveAndNotReady) {
  ModelSettings settings = FakeSettings("student");
  settings.max_new_tokens_limit = 1'000'000;
  const auto observer = AddModel(settings, {.script = EndlessScript(10)});
  Start();
  // A call in flight keeps the draining server.
  ModelInferRequest endless = TextsFor("student", {"a"});
  (*endless.mutable_parameters())["max_new_tokens"].set_int64_param(1'000'000);
  grpc::ClientContext endless_context;
  std::thread call([&] {
    ModelInferResponse response;
    EXPECT_EQ(GRPCInferenceService::NewStub(channel_)->ModelInfer(&endless_context, endless, &response).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  observer->WaitForAdmitted(1);
  std::thread drain([&] { server_->Drain(absl::InfiniteFuture()); });
  const auto stub = GRPCInferenceService::NewStub(channel_);
  while (health_->ready()) std::this_thread::yield();
  inference::ServerLiveResponse live;
  grpc::ClientContext live_context;
  EXPECT_TRUE(stub->ServerLive(&live_context, {}, &live).ok());
  EXPECT_TRUE(live.live());
  inference::ServerReadyResponse server_ready;
  grpc::ClientContext ready_context;
  EXPECT_TRUE(stub->ServerReady(&ready_context, {}, &server_ready).ok());
  EXPECT_FALSE(server_ready.ready());
  bool ready = true;
  EXPECT_TRUE(Ready("student", "", &ready).ok());
  EXPECT_FALSE(ready);
  ModelInferResponse response;
  EXPECT_EQ(Infer(TextsFor("student", {"a"}), &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  endless_context.TryCancel();
  call.join();
  drain.join();
}

TEST_F(InferenceServiceTest, MetadataNamesTensorsAndVersions) {
  AddModel(FakeSettings("student"));
  Start();
  inference::ModelMetadataResponse metadata;
  ASSERT_TRUE(Metadata("student", "", &metadata).ok());
  inference::ModelMetadataResponse expected;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "student" versions: "1" platform: "petit_t5"
    inputs { name: "text" datatype: "BYTES" shape: -1 }
    inputs { name: "source_language" datatype: "BYTES" shape: -1 }
    inputs { name: "target_language" datatype: "BYTES" shape: -1 }
    outputs { name: "translation" datatype: "BYTES" shape: -1 }
    outputs { name: "score" datatype: "FP32" shape: -1 }
    outputs { name: "target_tokens" datatype: "INT32" shape: -1 }
    outputs { name: "finish_reason" datatype: "BYTES" shape: -1 })",
                                                            &expected));
  EXPECT_EQ(metadata.DebugString(), expected.DebugString());
  EXPECT_EQ(Metadata("student", "2", &metadata).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Metadata("nobody", "", &metadata).error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace petit::serving
