#include "tests/unit/rpc/server_fixture.h"

#include <chrono>

#include "absl/strings/str_cat.h"

namespace petit::serving {

std::shared_ptr<RecordingObserver> ServerTest::AddModel(const ModelSettings& settings, FakeModelOptions options) {
  auto observer = std::make_shared<RecordingObserver>();
  options.observer = observer;
  settings_.models.push_back(settings);
  options_[settings.name] = std::move(options);
  return observer;
}

void ServerTest::Start() {
  settings_.listen = "127.0.0.1:0";
  std::vector<std::string> names;
  for (const ModelSettings& model : settings_.models) names.push_back(model.name);
  metrics_ = std::make_unique<Metrics>(names);
  health_ = std::make_unique<Health>(settings_.models, job_api_ != nullptr);
  registry_ = std::make_unique<Registry>(
      settings_.models,
      [this](const ModelSettings& settings, std::int64_t version,
             const std::string&) -> absl::StatusOr<std::unique_ptr<ServedModel>> {
        return MakeFakeModel(settings, version, options_.at(settings.name));
      },
      [this](const ModelStatus& status) { health_->OnModelStatus(status); });
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(settings_, registry_.get(), metrics_.get(), health_.get(), job_api_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  registry_->LoadConfigured();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);            // a reader's window stays as small as it is
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // tests share no connection
  arguments.SetMaxReceiveMessageSize(-1);
  channel_ = grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments);
  if (wait_for_connection_) {
    ASSERT_TRUE(channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::minutes(1)));
  }
  translation_ = v1::TranslationService::NewStub(channel_);
  models_ = v1::ModelService::NewStub(channel_);
  jobs_ = v1::JobService::NewStub(channel_);
}

void ServerTest::Stop() {
  server_ = nullptr;
  registry_ = nullptr;
}

v1::TranslateRequest ServerTest::Request(const std::string& model, const std::vector<std::string>& texts) {
  v1::TranslateRequest request;
  request.mutable_options()->set_model(model);
  request.mutable_options()->set_source_language("en");
  request.mutable_options()->set_target_language("fr");
  for (const std::string& text : texts) request.add_texts(text);
  return request;
}

grpc::Status ServerTest::Translate(const v1::TranslateRequest& request, v1::TranslateResponse* response) {
  grpc::ClientContext context;
  return translation_->Translate(&context, request, response);
}

std::string ServerTest::Counted(const std::string& method, const std::string& model, const std::string& code) const {
  const std::string text = metrics_->Text();
  for (std::size_t line = 0; line < text.size();) {
    const std::size_t end = text.find('\n', line);
    const std::string candidate = text.substr(line, end - line);
    line = end == std::string::npos ? text.size() : end + 1;
    if (candidate.rfind("petit_requests_total{", 0) != 0) continue;
    bool all = true;
    for (const auto& [key, value] : {std::pair("method", method), std::pair("model", model), std::pair("code", code)}) {
      all = all && candidate.find(absl::StrCat(key, "=\"", value, "\"")) != std::string::npos;
    }
    if (all) return candidate.substr(candidate.rfind(' ') + 1);
  }
  return "";
}

std::string ServerTest::Trailer(const grpc::ClientContext& context, const std::string& key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(key);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

TestStream::TestStream(v1::TranslationService::Stub* stub, const v1::TranslateOptions& options)
    : stream_(stub->StreamTranslate(&context)) {
  v1::StreamTranslateRequest request;
  *request.mutable_options() = options;
  stream_->Write(request);
}

bool TestStream::Send(std::int64_t id, const std::string& text) {
  v1::StreamTranslateRequest request;
  request.set_id(id);
  request.set_text(text);
  return stream_->Write(request);
}

grpc::Status TestStream::Finish(std::map<std::int64_t, v1::TranslationResult>* results) {
  stream_->WritesDone();
  v1::StreamTranslateResponse response;
  while (stream_->Read(&response)) {
    EXPECT_TRUE(results->emplace(response.id(), response.result()).second) << "two answers to id " << response.id();
  }
  return stream_->Finish();
}

}  // namespace petit::serving
