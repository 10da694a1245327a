#include "client/lib/client.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/lib/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_server.h"

namespace petit::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Client Connect(const std::string& address) {
  auto client = Client::Create({.server = address,
                                .timeout = absl::Seconds(30),
                                .retry = {.max_attempts = 4, .initial_backoff = absl::Milliseconds(1)}});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

const TranslateOptions kOptions{.model = "student", .source_language = "en", .target_language = "fr"};

TEST(Client, RefusesOptionsThatCannotBeMeant) {
  EXPECT_EQ(Client::Create({.server = ""}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Client::Create({.timeout = absl::ZeroDuration()}).status().message(), HasSubstr("timeout is 0"));
  EXPECT_THAT(Client::Create({.connect_timeout = absl::Seconds(-1)}).status().message(), HasSubstr("connect_timeout"));
  EXPECT_THAT(Client::Create({.retry = {.max_attempts = 0}}).status().message(), HasSubstr("max_attempts is 0"));
  EXPECT_THAT(Client::Create({.retry = {.multiplier = 0.5}}).status().message(), HasSubstr("multiplier"));
  EXPECT_THAT(Client::Create({.max_message_bytes = 0}).status().message(), HasSubstr("max_message_bytes"));
}

TEST(Client, TranslatesTextsInOrder) {
  FakeServer server;
  const auto results = Connect(server.address()).Translate({"one", "two"}, kOptions);
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 2);
  ASSERT_TRUE(results->at(0).ok());
  const Translation& translation = *results->at(0);
  EXPECT_EQ(translation.text, "ONE");
  EXPECT_EQ(results->at(1)->text, "TWO");
  EXPECT_FLOAT_EQ(translation.score, -0.5F);
  EXPECT_EQ(translation.finish_reason, FinishReason::kEos);
  EXPECT_EQ(translation.source_tokens, 5);
  EXPECT_EQ(translation.target_tokens, 4);
  EXPECT_EQ(translation.unknown_source_tokens, 1);
  EXPECT_EQ(translation.model, "student");
  EXPECT_EQ(translation.model_version, 1);
  EXPECT_EQ(translation.model_digest, "0123456789abcdef");
  EXPECT_EQ(translation.timing.total, absl::Milliseconds(2));
  EXPECT_GT(translation.round_trip, absl::ZeroDuration());
}

TEST(Client, SendsEveryOptionThatIsSetAndNoOther) {
  FakeServer server;
  const Client client = Connect(server.address());
  ASSERT_TRUE(client.Translate({"one"}, kOptions).ok());
  petit::v1::TranslateOptions sent = server.last_options();
  EXPECT_FALSE(sent.has_prompt_override());
  EXPECT_FALSE(sent.decoding().has_num_beams());
  EXPECT_FALSE(sent.decoding().has_seed());

  TranslateOptions options = kOptions;
  options.prompt_override = "";
  options.split_paragraphs = true;
  options.num_alternatives = 3;
  options.decoding = {.max_new_tokens = 7,
                      .min_new_tokens = 1,
                      .num_beams = 4,
                      .length_penalty = 0.0F,
                      .early_stopping = DecodingOptions::EarlyStopping::kNever,
                      .repetition_penalty = 1.5F,
                      .no_repeat_ngram_size = 2,
                      .do_sample = true,
                      .temperature = 0.5F,
                      .top_k = 0,
                      .top_p = 0.9F,
                      .seed = 0};
  const auto results = client.Translate({"one"}, options);
  ASSERT_TRUE(results.ok());
  sent = server.last_options();
  EXPECT_EQ(sent.source_language(), "en");
  EXPECT_EQ(sent.target_language(), "fr");
  EXPECT_TRUE(sent.has_prompt_override());
  EXPECT_TRUE(sent.split_paragraphs());
  EXPECT_EQ(sent.decoding().max_new_tokens(), 7);
  EXPECT_EQ(sent.decoding().min_new_tokens(), 1);
  EXPECT_EQ(sent.decoding().num_beams(), 4);
  EXPECT_TRUE(sent.decoding().has_length_penalty());
  EXPECT_EQ(sent.decoding().early_stopping(), petit::v1::DecodingOptions::EARLY_STOPPING_NEVER);
  EXPECT_FLOAT_EQ(sent.decoding().repetition_penalty(), 1.5F);
  EXPECT_EQ(sent.decoding().no_repeat_ngram_size(), 2);
  EXPECT_TRUE(sent.decoding().do_sample());
  EXPECT_FLOAT_EQ(sent.decoding().temperature(), 0.5F);
  EXPECT_TRUE(sent.decoding().has_top_k());
  EXPECT_FLOAT_EQ(sent.decoding().top_p(), 0.9F);
  EXPECT_TRUE(sent.decoding().has_seed());
  EXPECT_EQ(results->front()->alternatives.size(), 3);
  EXPECT_EQ(results->front()->alternatives[1].text, "ONE 1");
}

TEST(Client, OneBadTextDoesNotLoseTheOthers) {
  FakeServer server;
  const auto results = Connect(server.address()).Translate({"one", "bad", "two"}, kOptions);
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->at(0)->text, "ONE");
  EXPECT_EQ(results->at(1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(results->at(1).status().message(), HasSubstr("'bad' is bad"));
  EXPECT_EQ(results->at(2)->text, "TWO");
}

TEST(Client, NothingToTranslateAsksNobody) {
  FakeServer server;
  const auto results = Connect(server.address()).Translate({}, kOptions);
  ASSERT_TRUE(results.ok());
  EXPECT_TRUE(results->empty());
  EXPECT_EQ(server.translate_calls, 0);
}

TEST(Client, ErrorsCarryCodeMessageAndRequestId) {
  FakeServer server;
  TranslateOptions options = kOptions;
  options.model = "nobody";
  const absl::Status status = Connect(server.address()).Translate({"one"}, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "there is no model 'nobody'; there are: teacher, student");
  EXPECT_EQ(RequestId(status), "request-7");
  EXPECT_FALSE(IsServerUnreachable(status));
  EXPECT_EQ(server.translate_calls, 1);
}

TEST(Client, RetryInfoOfAFailedCallIsKept) {
  FakeServer server({.busy_answers = 100});
  const absl::Status status = Connect(server.address()).Translate({"busy"}, kOptions).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelay(status), absl::Milliseconds(1));
  EXPECT_EQ(server.translate_calls, 4);
}

TEST(Client, RepeatsIdempotentCalls) {
  FakeServer server({.fail_calls = 3});
  const auto results = Connect(server.address()).Translate({"one"}, kOptions);
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(server.translate_calls, 4);
}

TEST(Client, DoesNotRepeatWhatWillNotGetBetter) {
  FakeServer server({.fail_calls = 1, .fail_status = {grpc::StatusCode::INTERNAL, "a bug"}});
  EXPECT_EQ(Connect(server.address()).Translate({"one"}, kOptions).status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(server.translate_calls, 1);
}

TEST(Client, DoesNotRepeatCallsThatChangeTheServer) {
  FakeServer server({.fail_calls = 1});
  const Client client = Connect(server.address());
  EXPECT_EQ(client.LoadModel("student", 2).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.model_calls, 1);
}

TEST(Client, SaysThatNobodyAnswers) {
  std::string address;
  {
    FakeServer server;
    address = server.address();
  }
  const Client client = Connect(address);
  for (const absl::Status& status : {client.ListModels().status(), client.Translate({"one"}, kOptions).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(status.message(), "no Petit server answers at " + address + " (connection refused)");
    EXPECT_TRUE(IsServerUnreachable(status));
  }
}

TEST(Client, SaysThatAHostIsUnknown) {
  const Client client = Connect("no-such-host.invalid:50051");
  const absl::Status status = client.ListModels().status();
  EXPECT_TRUE(IsServerUnreachable(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("no Petit server answers at no-such-host.invalid:50051"));
}

TEST(Client, FindsARestartedServerAgain) {
  auto server = std::make_unique<FakeServer>();
  const int port = server->port();
  auto client = Client::Create(
      {.server = server->address(),
       .retry = {
           .max_attempts = 1000, .initial_backoff = absl::Milliseconds(1), .max_backoff = absl::Milliseconds(10)}});
  ASSERT_TRUE(client->ListModels().ok());
  server.reset();
  std::thread restart([&] { server = std::make_unique<FakeServer>(FakeBehaviour{}, port); });
  EXPECT_TRUE(client->ListModels().ok());
  restart.join();
}

TEST(Client, TimeoutNamesTheServerAndTheTime) {
  FakeServer server;
  const absl::Status status =
      Connect(server.address()).Translate({"hang"}, kOptions, {.timeout = absl::Milliseconds(50)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("no answer from " + server.address() + " within 50ms"));
}

TEST(Client, CancellationEndsACall) {
  FakeServer server;
  const Client client = Connect(server.address());
  Cancellation cancellation;
  std::thread other([&] {
    while (server.translate_calls == 0) std::this_thread::yield();
    cancellation.Cancel();
  });
  EXPECT_EQ(client.Translate({"hang"}, kOptions, {.cancellation = &cancellation}).status().code(),
            absl::StatusCode::kCancelled);
  other.join();
  EXPECT_EQ(client.ListModels({.cancellation = &cancellation}).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(server.model_calls, 0);
}

TEST(Client, CancellationEndsAWaitBetweenAttempts) {
  FakeServer server({.fail_calls = 1000});
  auto client = Client::Create({.server = server.address(),
                                .timeout = absl::Hours(2),
                                .retry = {.initial_backoff = absl::Hours(1), .max_backoff = absl::Hours(1)}});
  Cancellation cancellation;
  std::thread other([&] {
    while (server.translate_calls == 0) std::this_thread::yield();
    cancellation.Cancel();
  });
  EXPECT_EQ(client->Translate({"one"}, kOptions, {.cancellation = &cancellation}).status().code(),
            absl::StatusCode::kCancelled);
  other.join();
}

TEST(Client, IsThreadSafe) {
  FakeServer server;
  const Client client = Connect(server.address());
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const auto results = client.Translate({"text" + std::to_string(i)}, kOptions);
      if (results.ok() && results->front()->text == "TEXT" + std::to_string(i)) ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
}

TEST(Client, ScoresPairs) {
  FakeServer server;
  const auto results =
      Connect(server.address())
          .Score({{"a", "un deux"}, {"bad", "x"}},
                 {.model = "student", .reference_model = "teacher", .source_language = "en", .target_language = "fr"});
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 2);
  EXPECT_THAT(results->at(0)->target_ids, ElementsAre(2, 4));
  EXPECT_THAT(results->at(0)->token_log_probs, ElementsAre(-1.0F, -1.0F));
  EXPECT_THAT(results->at(0)->token_kl, ElementsAre(0.25F, 0.25F));
  EXPECT_EQ(results->at(1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server.last_score().reference_model(), "teacher");
}

TEST(Client, ListsModelsWithTheirVersions) {
  FakeServer server;
  const auto models = Connect(server.address()).ListModels();
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->size(), 2);
  const Model& student = models->at(1);
  EXPECT_EQ(student.name, "student");
  EXPECT_EQ(student.state, ModelState::kReady);
  ASSERT_NE(student.Served(), nullptr);
  EXPECT_EQ(student.Served()->precision, "INT8");
  EXPECT_EQ(student.Served()->bytes_in_memory, 1000000);
  EXPECT_EQ(student.Served()->loaded_at, absl::FromUnixSeconds(1700000000));
  EXPECT_EQ(student.versions[1].loaded_at, absl::InfinitePast());
  EXPECT_EQ(student.language_pairs.front().target, "fr");
}

TEST(Client, ChangesModels) {
  FakeServer server;
  const Client client = Connect(server.address());
  EXPECT_EQ(client.GetModel("student")->name, "student");
  EXPECT_EQ(client.GetModel("nobody").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client.LoadModel("student", 1)->state, ModelState::kReady);
  const auto unloaded = client.UnloadModel("student", 0);
  ASSERT_TRUE(unloaded.ok());
  EXPECT_EQ(unloaded->state, ModelState::kUnloaded);
  EXPECT_EQ(unloaded->Served(), nullptr);
  EXPECT_EQ(client.SetServedVersion("student", 2)->served_version, 2);
}

TEST(Client, TellsOfTheServer) {
  FakeServer server({.fail_calls = 1});
  const Client client = Connect(server.address());
  const auto before = client.GetServerInfo();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(server.info_calls, 2) << "it changes nothing, so it is repeated";
  EXPECT_EQ(before->build, "0.1.0+fake");
  EXPECT_EQ(before->start_time, absl::FromUnixSeconds(1700000000));
  EXPECT_EQ(before->cpu, "Abacus 3000");
  EXPECT_EQ(before->logical_cpus, 8);
  EXPECT_EQ(before->memory_bytes, std::int64_t{16} << 30);
  EXPECT_EQ(before->os, "Fake GNU/Linux 12");
  EXPECT_EQ(before->texts_accepted, 0);
  ASSERT_TRUE(client.Translate({"one", "bad", "two"}, kOptions).ok());
  ASSERT_TRUE(client.Score({{"a", "b"}}, {.model = "student"}).ok());
  const auto after = client.GetServerInfo();
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->texts_accepted, 2);
  EXPECT_EQ(after->pairs_scored, 1);
  petit::v1::ServerInfo busy;
  busy.set_texts_in_flight(3);
  busy.set_pairs_in_flight(4);
  server.SetInfo(busy);
  const auto told = client.GetServerInfo();
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->texts_in_flight, 3);
  EXPECT_EQ(told->pairs_in_flight, 4);
  EXPECT_EQ(told->start_time, absl::InfinitePast());
}

TEST(Client, OnlyARefusalOrAnUnknownHostIsFinalAmongConnectFailures) {
  const auto status_of = [](const std::string& reason) {
    const grpc::ClientContext context;
    return FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, reason), context, "host:1", absl::Seconds(1));
  };
  const std::string connecting = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: ";
  EXPECT_FALSE(IsPassingConnectFailure(status_of(connecting + "Failed to connect to remote host: Connection refused")));
  EXPECT_FALSE(IsPassingConnectFailure(status_of("DNS resolution failed for nowhere: C-ares: NXDOMAIN")));
  EXPECT_TRUE(IsPassingConnectFailure(status_of(connecting + "No such file or directory")));
  EXPECT_TRUE(IsServerUnreachable(status_of(connecting + "No such file or directory")));
  EXPECT_FALSE(IsPassingConnectFailure(absl::UnavailableError("the model is loading")));
}

}  // namespace
}  // namespace petit::client
