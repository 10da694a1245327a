// A Petit server without a model, for the client's tests: it translates by upper-casing ASCII letters.
#ifndef PETIT_TESTS_UNIT_CLIENT_FAKE_SERVER_H_
#define PETIT_TESTS_UNIT_CLIENT_FAKE_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "petit/v1/model.grpc.pb.h"
#include "petit/v1/translation.grpc.pb.h"

namespace petit::client {

// Texts with a meaning: "bad..." is INVALID_ARGUMENT, "busy..." is RESOURCE_EXHAUSTED the first busy_answers times,
// "hang..." is never answered.
struct FakeBehaviour {
  int busy_answers = 1;
  int fail_calls = 0;  // so many calls fail with fail_status first
  grpc::Status fail_status = {grpc::StatusCode::UNAVAILABLE, "model 'student' is loading"};
  int break_streams_after = 0;   // the first stream ends with UNAVAILABLE after so many answers; 0: never
  int new_version_after = 0;     // after so many translations version 2 makes them; 0: never
  int gone_after = 0;            // after so many translations every text is NOT_FOUND; 0: never
  bool reverse_batches = false;  // StreamTranslate answers in pairs, the later text first
};

class FakeServer final : public petit::v1::TranslationService::Service, public petit::v1::ModelService::Service {
 public:
  // Port 0: the kernel chooses.
  explicit FakeServer(FakeBehaviour behaviour = {}, int port = 0);
  ~FakeServer() override;

  [[nodiscard]] std::string address() const;  // "127.0.0.1:PORT"
  [[nodiscard]] int port() const { return port_; }
  void Stop();

  // What came in.
  std::atomic<int> translate_calls = 0;
  std::atomic<int> streams = 0;
  std::atomic<int> texts = 0;
  std::atomic<int> hanging = 0;
  std::atomic<int> cancelled_calls = 0;
  std::atomic<int> model_calls = 0;
  std::atomic<int> info_calls = 0;
  // Of all calls that translate: each connection of a client is one.
  [[nodiscard]] std::set<std::string> peers() const;
  [[nodiscard]] petit::v1::TranslateOptions last_options() const;
  [[nodiscard]] petit::v1::ScoreRequest last_score() const;

  // What GetServerInfo tells from now on, plus the texts translated and pairs scored since the start. At first it tells
  // of a machine of its own invention.
  void SetInfo(petit::v1::ServerInfo info);
  // Of all models.
  void SetPrompt(const std::string& prompt);
  void SetDefaultDecoding(const petit::v1::DecodingOptions& decoding);

  grpc::Status Translate(grpc::ServerContext* context, const petit::v1::TranslateRequest* request,
                         petit::v1::TranslateResponse* response) override;
  grpc::Status StreamTranslate(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<petit::v1::StreamTranslateResponse, petit::v1::StreamTranslateRequest>* stream) override;
  grpc::Status Score(grpc::ServerContext* context, const petit::v1::ScoreRequest* request,
                     petit::v1::ScoreResponse* response) override;
  grpc::Status ListModels(grpc::ServerContext* context, const petit::v1::ListModelsRequest* request,
                          petit::v1::ListModelsResponse* response) override;
  grpc::Status GetModel(grpc::ServerContext* context, const petit::v1::GetModelRequest* request,
                        petit::v1::Model* response) override;
  grpc::Status LoadModel(grpc::ServerContext* context, const petit::v1::LoadModelRequest* request,
                         petit::v1::Model* response) override;
  grpc::Status UnloadModel(grpc::ServerContext* context, const petit::v1::UnloadModelRequest* request,
                           petit::v1::Model* response) override;
  grpc::Status SetServedVersion(grpc::ServerContext* context, const petit::v1::SetServedVersionRequest* request,
                                petit::v1::Model* response) override;
  grpc::Status GetServerInfo(grpc::ServerContext* context, const petit::v1::GetServerInfoRequest* request,
                             petit::v1::ServerInfo* response) override;

 private:
  petit::v1::TranslationResult TranslateText(const petit::v1::TranslateOptions& options, const std::string& text);
  bool ShouldFail();
  grpc::Status Find(const std::string& name, petit::v1::Model* response);

  const FakeBehaviour behaviour_;
  mutable std::mutex mutex_;
  std::map<std::string, int> busy_seen_;
  int failed_calls_ = 0;
  std::set<std::string> peers_;
  petit::v1::TranslateOptions last_options_;
  petit::v1::ScoreRequest last_score_;
  petit::v1::ServerInfo info_;
  int texts_translated_ = 0;
  int pairs_scored_ = 0;
  std::vector<petit::v1::Model> models_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace petit::client

#endif  // PETIT_TESTS_UNIT_CLIENT_FAKE_SERVER_H_
