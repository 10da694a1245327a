#include "client/lib/client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/lib/connection.h"
#include "client/lib/convert.h"
#include "client/lib/status.h"
#include "client/lib/stream.h"
#include "petit/v1/model.grpc.pb.h"
#include "petit/v1/translation.grpc.pb.h"

namespace petit::client {
namespace {

absl::Status WrongCount(absl::string_view what, std::size_t got, std::size_t wanted) {
  return absl::InternalError(absl::StrCat("the server returned ", got, " ", what, " for ", wanted, " asked"));
}

}  // namespace

struct Client::Impl {
  explicit Impl(ClientOptions client_options)
      : connection(std::move(client_options)),
        options(connection.options()),
        translation(petit::v1::TranslationService::NewStub(connection.channel())),
        models(petit::v1::ModelService::NewStub(connection.channel())) {}

  template <typename Request>
  absl::StatusOr<Model> ChangeModel(grpc::Status (petit::v1::ModelService::Stub::*method)(grpc::ClientContext*,
                                                                                          const Request&,
                                                                                          petit::v1::Model*),
                                    const std::string& name, std::int64_t version, const CallOptions& call) {
    Request request;
    request.set_name(name);
    request.set_version(version);
    petit::v1::Model response;
    // Loading and unloading change the server, so they are for the caller to repeat.
    absl::Status status = connection.Call(call, options.model_timeout, false, [&](grpc::ClientContext* context) {
      return (models.get()->*method)(context, request, &response);
    });
    if (!status.ok()) return status;
    return FromProto(response);
  }

  Connection connection;
  const ClientOptions& options;
  std::unique_ptr<petit::v1::TranslationService::Stub> translation;
  std::unique_ptr<petit::v1::ModelService::Stub> models;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

absl::StatusOr<Client> Client::Create(ClientOptions options) {
  if (absl::Status status = Check(options); !status.ok()) return status;
  return Client(std::make_unique<Impl>(std::move(options)));
}

const ClientOptions& Client::options() const { return impl_->options; }

absl::StatusOr<std::vector<TextResult>> Client::Translate(const std::vector<std::string>& texts,
                                                          const TranslateOptions& options,
                                                          const CallOptions& call) const {
  if (texts.empty()) return std::vector<TextResult>();
  petit::v1::TranslateRequest request;
  *request.mutable_options() = ToProto(options);
  for (const std::string& text : texts) request.add_texts(text);
  petit::v1::TranslateResponse response;
  const absl::Time start = absl::Now();
  absl::Status status = impl_->connection.Call(call, impl_->options.timeout, true, [&](grpc::ClientContext* context) {
    return impl_->translation->Translate(context, request, &response);
  });
  if (!status.ok()) return status;
  if (response.results_size() != request.texts_size()) {
    return WrongCount("translations", response.results_size(), texts.size());
  }
  const absl::Duration round_trip = absl::Now() - start;
  std::vector<TextResult> results;
  results.reserve(texts.size());
  for (petit::v1::TranslationResult& proto : *response.mutable_results()) {
    results.push_back(FromProto(std::move(proto)));
    if (results.back().ok()) results.back()->round_trip = round_trip;
  }
  return results;
}

namespace {

// gRPC 1.51 may free the queue of its callback threads twice when the last channel that used them goes. So one stays: a
// channel to nowhere, with a call that fails at once.
void KeepCallbackThreads() {
  struct Kept {
    std::shared_ptr<grpc::Channel> channel = grpc::CreateChannel("", nullptr);
    std::unique_ptr<petit::v1::TranslationService::Stub> stub = petit::v1::TranslationService::NewStub(channel);
    grpc::ClientContext context;
    petit::v1::TranslateRequest request;
    petit::v1::TranslateResponse response;
  };
  static const Kept* const kKept = [] {
    auto* const kept = new Kept;
    kept->stub->async()->Translate(&kept->context, &kept->request, &kept->response, [](const grpc::Status&) {});
    return kept;
  }();
  static_cast<void>(kKept);
}

}  // namespace

void Client::StartTranslate(const std::string& text, const TranslateOptions& options, absl::Duration timeout,
                            std::function<void(TextResult result)> done) const {
  struct Call {
    grpc::ClientContext context;
    petit::v1::TranslateRequest request;
    petit::v1::TranslateResponse response;
    std::function<void(TextResult result)> done;
  };
  KeepCallbackThreads();
  auto owned = std::make_unique<Call>();
  *owned->request.mutable_options() = ToProto(options);
  owned->request.add_texts(text);
  owned->done = std::move(done);
  const absl::Time start = absl::Now();
  if (timeout != absl::InfiniteDuration()) owned->context.set_deadline(absl::ToChronoTime(start + timeout));
  Call* const call = owned.release();  // gRPC's until it has called back
  const auto ended = [call, start, timeout, connection = &impl_->connection](const grpc::Status& status) {
    const std::unique_ptr<Call> owner(call);
    absl::Status failure = FromGrpc(status, call->context, connection->options().server, timeout);
    if (!IsServerUnreachable(failure)) connection->was_reached().store(true, std::memory_order_relaxed);
    if (failure.ok() && call->response.results_size() != 1) {
      failure = WrongCount("translations", call->response.results_size(), 1);
    }
    TextResult result = failure.ok() ? FromProto(std::move(*call->response.mutable_results(0))) : failure;
    if (result.ok()) result->round_trip = absl::Now() - start;
    call->done(std::move(result));
  };
  impl_->translation->async()->Translate(&call->context, &call->request, &call->response, ended);
}

absl::Status Client::TranslateStream(const TranslateOptions& options, const StreamOptions& stream,
                                     const TextSource& source, const ResultSink& sink, const CallOptions& call) const {
  if (stream.max_in_flight < 1) {
    return absl::InvalidArgumentError(absl::StrCat("max_in_flight is ", stream.max_in_flight, "; 1 is the least"));
  }
  StreamSession session({.stub = impl_->translation.get(),
                         .server = impl_->options.server,
                         .retry = impl_->options.retry,
                         .timeout = call.timeout.value_or(impl_->options.timeout),
                         .was_reached = &impl_->connection.was_reached()},
                        options, stream, sink, call.cancellation);
  return session.Run(source);
}

absl::StatusOr<std::vector<ScoreResult>> Client::Score(const std::vector<ScorePair>& pairs, const ScoreOptions& options,
                                                       const CallOptions& call) const {
  if (pairs.empty()) return std::vector<ScoreResult>();
  petit::v1::ScoreRequest request;
  request.set_model(options.model);
  request.set_reference_model(options.reference_model);
  request.set_source_language(options.source_language);
  request.set_target_language(options.target_language);
  if (options.prompt_override) request.set_prompt_override(*options.prompt_override);
  for (const ScorePair& pair : pairs) {
    petit::v1::ScorePair* const proto = request.add_pairs();
    proto->set_source(pair.source);
    proto->set_target(pair.target);
  }
  petit::v1::ScoreResponse response;
  absl::Status status = impl_->connection.Call(call, impl_->options.timeout, true, [&](grpc::ClientContext* context) {
    return impl_->translation->Score(context, request, &response);
  });
  if (!status.ok()) return status;
  if (response.results_size() != request.pairs_size()) {
    return WrongCount("scores", response.results_size(), pairs.size());
  }
  std::vector<ScoreResult> results;
  results.reserve(pairs.size());
  for (const petit::v1::ScoreResult& proto : response.results()) results.push_back(FromProto(proto));
  return results;
}

absl::StatusOr<std::vector<Model>> Client::ListModels(const CallOptions& call) const {
  const petit::v1::ListModelsRequest request;
  petit::v1::ListModelsResponse response;
  absl::Status status = impl_->connection.Call(call, impl_->options.timeout, true, [&](grpc::ClientContext* context) {
    return impl_->models->ListModels(context, request, &response);
  });
  if (!status.ok()) return status;
  std::vector<Model> models;
  models.reserve(response.models_size());
  for (const petit::v1::Model& proto : response.models()) models.push_back(FromProto(proto));
  return models;
}

absl::StatusOr<Model> Client::GetModel(const std::string& name, const CallOptions& call) const {
  petit::v1::GetModelRequest request;
  request.set_name(name);
  petit::v1::Model response;
  absl::Status status = impl_->connection.Call(call, impl_->options.timeout, true, [&](grpc::ClientContext* context) {
    return impl_->models->GetModel(context, request, &response);
  });
  if (!status.ok()) return status;
  return FromProto(response);
}

absl::StatusOr<Model> Client::LoadModel(const std::string& name, std::int64_t version, const CallOptions& call) const {
  return impl_->ChangeModel(&petit::v1::ModelService::Stub::LoadModel, name, version, call);
}

absl::StatusOr<Model> Client::UnloadModel(const std::string& name, std::int64_t version,
                                          const CallOptions& call) const {
  return impl_->ChangeModel(&petit::v1::ModelService::Stub::UnloadModel, name, version, call);
}

absl::StatusOr<Model> Client::SetServedVersion(const std::string& name, std::int64_t version,
                                               const CallOptions& call) const {
  return impl_->ChangeModel(&petit::v1::ModelService::Stub::SetServedVersion, name, version, call);
}

absl::StatusOr<ServerInfo> Client::GetServerInfo(const CallOptions& call) const {
  const petit::v1::GetServerInfoRequest request;
  petit::v1::ServerInfo response;
  absl::Status status = impl_->connection.Call(call, impl_->options.timeout, true, [&](grpc::ClientContext* context) {
    return impl_->models->GetServerInfo(context, request, &response);
  });
  if (!status.ok()) return status;
  return FromProto(response);
}

}  // namespace petit::client
