#include "tests/unit/client/fake_server.h"

#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"

namespace petit::client {
namespace {

petit::v1::Model MakeModel(const std::string& name, const std::string& precision, std::int64_t bytes) {
  petit::v1::Model model;
  model.set_name(absl::StrCat("models/", name));
  model.set_state(petit::v1::MODEL_STATE_READY);
  model.set_served_version(1);
  petit::v1::LanguagePair* const pair = model.add_language_pairs();
  pair->set_source("en");
  pair->set_target("fr");
  for (const std::int64_t number : {1, 2}) {
    petit::v1::ModelVersion* const version = model.add_versions();
    version->set_name(absl::StrCat("models/", name, "/versions/", number));
    version->set_version(number);
    version->set_state(number == 1 ? petit::v1::MODEL_STATE_READY : petit::v1::MODEL_STATE_UNLOADED);
    version->set_bytes_on_disk(bytes);
    if (number == 1) {
      version->set_executor("TORCH");
      version->set_precision(precision);
      version->set_device("cpu");
      version->set_parameters(bytes / 4);
      version->set_bytes_in_memory(bytes);
      version->set_digest("0123456789abcdef");
      version->mutable_loaded_at()->set_seconds(1700000000);
    }
  }
  return model;
}

petit::v1::ServerInfo MakeInfo() {
  petit::v1::ServerInfo info;
  info.set_build("0.1.0+fake");
  info.mutable_start_time()->set_seconds(1700000000);
  info.set_cpu("Abacus 3000");
  info.set_logical_cpus(8);
  info.set_memory_bytes(std::int64_t{16} << 30);
  info.set_os("Fake GNU/Linux 12");
  return info;
}

void Sign(grpc::ServerContext* context) { context->AddTrailingMetadata("x-request-id", "request-7"); }

// gRPC's synchronous server tells of a cancelled unary call to nobody who does not ask.
grpc::Status Hang(grpc::ServerContext* context) {
  while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return {grpc::StatusCode::CANCELLED, "client gone"};
}

}  // namespace

FakeServer::FakeServer(FakeBehaviour behaviour, int port) : behaviour_(std::move(behaviour)), info_(MakeInfo()) {
  models_ = {MakeModel("teacher", "FP32", 4000000), MakeModel("student", "INT8", 1000000)};
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(static_cast<petit::v1::TranslationService::Service*>(this));
  builder.RegisterService(static_cast<petit::v1::ModelService::Service*>(this));
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
}

FakeServer::~FakeServer() { Stop(); }

void FakeServer::Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::set<std::string> FakeServer::peers() const {
  const std::lock_guard lock(mutex_);
  return peers_;
}

petit::v1::TranslateOptions FakeServer::last_options() const {
  const std::lock_guard lock(mutex_);
  return last_options_;
}

petit::v1::ScoreRequest FakeServer::last_score() const {
  const std::lock_guard lock(mutex_);
  return last_score_;
}

void FakeServer::SetInfo(petit::v1::ServerInfo info) {
  const std::lock_guard lock(mutex_);
  info_ = std::move(info);
}

void FakeServer::SetPrompt(const std::string& prompt) {
  const std::lock_guard lock(mutex_);
  for (petit::v1::Model& model : models_) model.mutable_language_pairs(0)->set_prompt(prompt);
}

void FakeServer::SetDefaultDecoding(const petit::v1::DecodingOptions& decoding) {
  const std::lock_guard lock(mutex_);
  for (petit::v1::Model& model : models_) *model.mutable_default_decoding() = decoding;
}

bool FakeServer::ShouldFail() {
  const std::lock_guard lock(mutex_);
  return failed_calls_++ < behaviour_.fail_calls;
}

petit::v1::TranslationResult FakeServer::TranslateText(const petit::v1::TranslateOptions& options,
                                                       const std::string& text) {
  ++texts;
  const std::lock_guard lock(mutex_);
  petit::v1::TranslationResult result;
  if (text.empty() || absl::StartsWith(text, "bad")) {
    result.mutable_error()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
    result.mutable_error()->set_message(absl::StrCat("text '", text, "' is bad"));
    return result;
  }
  if (absl::StartsWith(text, "busy") && busy_seen_[text]++ < behaviour_.busy_answers) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_nanos(1000000);
    result.mutable_error()->set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
    result.mutable_error()->set_message("the queue is full");
    result.mutable_error()->add_details()->PackFrom(info);
    return result;
  }
  if (behaviour_.gone_after > 0 && texts_translated_ >= behaviour_.gone_after) {
    result.mutable_error()->set_code(grpc::StatusCode::NOT_FOUND);
    result.mutable_error()->set_message("there is no such model any more");
    return result;
  }
  ++texts_translated_;
  const bool is_new = behaviour_.new_version_after > 0 && texts_translated_ > behaviour_.new_version_after;
  petit::v1::Translation& translation = *result.mutable_translation();
  translation.set_text(absl::AsciiStrToUpper(text));
  translation.set_score(-0.5F);
  translation.set_finish_reason(absl::StartsWith(text, "long") ? petit::v1::FINISH_REASON_LENGTH
                                                               : petit::v1::FINISH_REASON_EOS);
  translation.set_source_tokens(5);
  translation.set_target_tokens(4);
  translation.set_unknown_source_tokens(1);
  for (int i = 0; i < options.num_alternatives() && options.num_alternatives() > 1; ++i) {
    petit::v1::Alternative* const alternative = translation.add_alternatives();
    alternative->set_text(absl::StrCat(translation.text(), i == 0 ? "" : absl::StrCat(" ", i)));
    alternative->set_score(-0.5F - static_cast<float>(i));
    alternative->set_finish_reason(petit::v1::FINISH_REASON_EOS);
    alternative->set_target_tokens(4 + i);
  }
  translation.set_model("student");
  translation.set_model_version(is_new ? 2 : 1);
  translation.set_model_digest(is_new ? "fedcba9876543210" : "0123456789abcdef");
  translation.mutable_timing()->mutable_total()->set_nanos(2000000);
  return result;
}

grpc::Status FakeServer::Translate(grpc::ServerContext* context, const petit::v1::TranslateRequest* request,
                                   petit::v1::TranslateResponse* response) {
  ++translate_calls;
  Sign(context);
  {
    const std::lock_guard lock(mutex_);
    last_options_ = request->options();
    peers_.insert(context->peer());
  }
  if (ShouldFail()) return behaviour_.fail_status;
  if (request->options().model() == "nobody") {
    return {grpc::StatusCode::NOT_FOUND, "there is no model 'nobody'; there are: teacher, student"};
  }
  bool all_failed = true;
  for (const std::string& text : request->texts()) {
    if (absl::StartsWith(text, "hang")) {
      ++hanging;
      const grpc::Status status = Hang(context);
      ++cancelled_calls;
      return status;
    }
    *response->add_results() = TranslateText(request->options(), text);
    all_failed = all_failed && response->results().rbegin()->has_error();
  }
  if (all_failed) {
    const google::rpc::Status& error = response->results(0).error();
    return {static_cast<grpc::StatusCode>(error.code()), error.message(), error.SerializeAsString()};
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::StreamTranslate(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<petit::v1::StreamTranslateResponse, petit::v1::StreamTranslateRequest>* stream) {
  const int number = ++streams;
  Sign(context);
  if (ShouldFail()) return behaviour_.fail_status;
  petit::v1::TranslateOptions options;
  std::vector<petit::v1::StreamTranslateResponse> waiting;
  petit::v1::StreamTranslateRequest request;
  int answers = 0;
  bool hangs = false;
  while (stream->Read(&request)) {
    if (request.has_options()) {
      options = request.options();
      const std::lock_guard lock(mutex_);
      last_options_ = options;
      peers_.insert(context->peer());
    }
    if (options.model() == "nobody") return {grpc::StatusCode::NOT_FOUND, "there is no model 'nobody'"};
    if (!request.has_text()) continue;
    if (absl::StartsWith(request.text(), "hang")) {
      ++hanging;
      hangs = true;
    }
    if (hangs) continue;
    petit::v1::StreamTranslateResponse response;
    response.set_id(request.id());
    *response.mutable_result() = TranslateText(options, request.text());
    waiting.push_back(response);
    if (behaviour_.reverse_batches && waiting.size() < 2) continue;
    for (auto it = waiting.rbegin(); it != waiting.rend(); ++it) stream->Write(*it);
    answers += static_cast<int>(waiting.size());
    waiting.clear();
    if (number == 1 && behaviour_.break_streams_after > 0 && answers >= behaviour_.break_streams_after) {
      return {grpc::StatusCode::UNAVAILABLE, "the server is draining"};
    }
  }
  for (const auto& response : waiting) stream->Write(response);
  if (context->IsCancelled()) ++cancelled_calls;
  return grpc::Status::OK;
}

grpc::Status FakeServer::Score(grpc::ServerContext* context, const petit::v1::ScoreRequest* request,
                               petit::v1::ScoreResponse* response) {
  Sign(context);
  const std::lock_guard lock(mutex_);
  last_score_ = *request;
  for (const petit::v1::ScorePair& pair : request->pairs()) {
    petit::v1::ScoreResult* const result = response->add_results();
    if (absl::StartsWith(pair.source(), "bad")) {
      result->mutable_error()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
      result->mutable_error()->set_message("bad pair");
      continue;
    }
    ++pairs_scored_;
    // One token per word of the target.
    for (const auto& word : absl::StrSplit(pair.target(), ' ', absl::SkipEmpty())) {
      result->mutable_score()->add_target_ids(static_cast<int>(word.size()));
      result->mutable_score()->add_token_log_probs(-1.0F);
      if (!request->reference_model().empty()) result->mutable_score()->add_token_kl(0.25F);
    }
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListModels(grpc::ServerContext* context, const petit::v1::ListModelsRequest* /*request*/,
                                    petit::v1::ListModelsResponse* response) {
  ++model_calls;
  Sign(context);
  if (ShouldFail()) return behaviour_.fail_status;
  for (const petit::v1::Model& model : models_) *response->add_models() = model;
  return grpc::Status::OK;
}

grpc::Status FakeServer::Find(const std::string& name, petit::v1::Model* response) {
  for (const petit::v1::Model& model : models_) {
    if (absl::StripPrefix(name, "models/") == absl::StripPrefix(model.name(), "models/")) {
      *response = model;
      return grpc::Status::OK;
    }
  }
  return {grpc::StatusCode::NOT_FOUND, absl::StrCat("there is no model '", name, "'; there are: teacher, student")};
}

grpc::Status FakeServer::GetModel(grpc::ServerContext* context, const petit::v1::GetModelRequest* request,
                                  petit::v1::Model* response) {
  ++model_calls;
  Sign(context);
  return Find(request->name(), response);
}

grpc::Status FakeServer::LoadModel(grpc::ServerContext* context, const petit::v1::LoadModelRequest* request,
                                   petit::v1::Model* response) {
  ++model_calls;
  Sign(context);
  if (ShouldFail()) return behaviour_.fail_status;
  return Find(request->name(), response);
}

grpc::Status FakeServer::UnloadModel(grpc::ServerContext* context, const petit::v1::UnloadModelRequest* request,
                                     petit::v1::Model* response) {
  ++model_calls;
  Sign(context);
  grpc::Status status = Find(request->name(), response);
  response->set_state(petit::v1::MODEL_STATE_UNLOADED);
  response->set_served_version(0);
  return status;
}

grpc::Status FakeServer::SetServedVersion(grpc::ServerContext* context,
                                          const petit::v1::SetServedVersionRequest* request,
                                          petit::v1::Model* response) {
  ++model_calls;
  Sign(context);
  grpc::Status status = Find(request->name(), response);
  response->set_served_version(request->version());
  return status;
}

grpc::Status FakeServer::GetServerInfo(grpc::ServerContext* context, const petit::v1::GetServerInfoRequest* /*request*/,
                                       petit::v1::ServerInfo* response) {
  ++info_calls;
  Sign(context);
  if (ShouldFail()) return behaviour_.fail_status;
  const std::lock_guard lock(mutex_);
  *response = info_;
  response->set_texts_accepted(info_.texts_accepted() + texts_translated_);
  response->set_pairs_scored(info_.pairs_scored() + pairs_scored_);
  return grpc::Status::OK;
}

}  // namespace petit::client
