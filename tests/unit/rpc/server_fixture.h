// A real server on a port of the kernel's choice, over fake models, and its client.
#ifndef PETIT_TESTS_UNIT_RPC_SERVER_FIXTURE_H_
#define PETIT_TESTS_UNIT_RPC_SERVER_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpcpp/grpcpp.h"
#include "petit/v1/job.grpc.pb.h"
#include "petit/v1/model.grpc.pb.h"
#include "petit/v1/translation.grpc.pb.h"
#include "server/rpc/server.h"
#include "tests/unit/rpc/fake_models.h"

namespace petit::serving {

class ServerTest : public testing::Test {
 protected:
  // Adds a model; before Start. Its observer can be waited on.
  std::shared_ptr<RecordingObserver> AddModel(const ModelSettings& settings, FakeModelOptions options = {});
  void Start();
  // Ends the server; what it counted can be read afterwards.
  void Stop();
  ~ServerTest() override { Stop(); }

  static v1::TranslateRequest Request(const std::string& model, const std::vector<std::string>& texts);
  grpc::Status Translate(const v1::TranslateRequest& request, v1::TranslateResponse* response);
  // The text in the metrics' exposition that counts these calls, or "".
  std::string Counted(const std::string& method, const std::string& model, const std::string& code) const;
  // A call's trailer, or "".
  static std::string Trailer(const grpc::ClientContext& context, const std::string& key);

  ServerSettings settings_;
  bool wait_for_connection_ = true;  // of channel_, which is in plain text
  JobApi* job_api_ = nullptr;        // before Start; outlives the server
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Health> health_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TranslationService::Stub> translation_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<v1::JobService::Stub> jobs_;

 private:
  std::map<std::string, FakeModelOptions> options_;
};

// A stream whose requests are written and answers read by the test.
class TestStream {
 public:
  TestStream(v1::TranslationService::Stub* stub, const v1::TranslateOptions& options);

  bool Send(std::int64_t id, const std::string& text);
  // The next answer; false at the stream's end.
  bool Read(v1::StreamTranslateResponse* response) { return stream_->Read(response); }
  // Half-closes, reads what is left, and finishes.
  grpc::Status Finish(std::map<std::int64_t, v1::TranslationResult>* results);

  grpc::ClientContext context;

 private:
  std::unique_ptr<grpc::ClientReaderWriter<v1::StreamTranslateRequest, v1::StreamTranslateResponse>> stream_;
};

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_RPC_SERVER_FIXTURE_H_
