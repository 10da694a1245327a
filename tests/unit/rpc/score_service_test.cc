// Score over gRPC.
#include <gmock/gmock.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using testing::Each;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::SizeIs;

class ScoreServiceTest : public ServerTest {
 protected:
  static v1::ScoreRequest Pairs(const std::string& model, const std::string& reference, int count,
                                const std::string& target = "la maison") {
    v1::ScoreRequest request;
    request.set_model(model);
    request.set_reference_model(reference);
    request.set_source_language("en");
    request.set_target_language("fr");
    for (int i = 0; i < count; ++i) {
      v1::ScorePair* pair = request.add_pairs();
      pair->set_source("the house " + std::to_string(i));
      pair->set_target(target);
    }
    return request;
  }

  grpc::Status Score(const v1::ScoreRequest& request, v1::ScoreResponse* response) {
    grpc::ClientContext context;
    return translation_->Score(&context, request, response);
  }

  // Bytes of a target's reference log-probabilities.
  static std::int64_t BufferBytes(const std::string& target) {
    return static_cast<std::int64_t>(TinyTokenizer()->Encode(target).ids.size()) * TinyTokenizer()->size() * 4;
  }

  static FakeModelOptions Hashed(std::uint64_t seed) {
    return {.script = engine::HashScript(TinyTokenizer()->size(), seed)};
  }
};

TEST_F(ScoreServiceTest, ScoresEveryTokenOfTheTarget) {
  AddModel(FakeSettings("student"), Hashed(1));
  Start();
  v1::ScoreResponse response;
  const grpc::Status status = Score(Pairs("student", "", 40), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(response.results(), SizeIs(40));
  const auto ids = TinyTokenizer()->Encode("la maison").ids;
  for (const v1::ScoreResult& result : response.results()) {
    ASSERT_TRUE(result.has_score());
    EXPECT_EQ(std::vector<int>(result.score().target_ids().begin(), result.score().target_ids().end()), ids);
    EXPECT_THAT(result.score().token_log_probs(), SizeIs(ids.size()));
    EXPECT_THAT(result.score().token_log_probs(), Each(Le(0)));
    EXPECT_THAT(result.score().token_kl(), SizeIs(0));
  }
}

TEST_F(ScoreServiceTest, AnEmptyTargetIsItsEndAlone) {
  AddModel(FakeSettings("student"), Hashed(1));
  Start();
  v1::ScoreResponse response;
  ASSERT_TRUE(Score(Pairs("student", "", 1, ""), &response).ok());
  EXPECT_THAT(response.results(0).score().target_ids(), testing::ElementsAre(1));
}

TEST_F(ScoreServiceTest, AModelDoesNotDivergeFromItself) {
  AddModel(FakeSettings("student"), Hashed(1));
  AddModel(FakeSettings("twin"), Hashed(1));
  Start();
  for (const std::string reference : {"student", "models/student/versions/1", "twin"}) {
    v1::ScoreResponse response;
    ASSERT_TRUE(Score(Pairs("student", reference, 3), &response).ok());
    for (const v1::ScoreResult& result : response.results()) {
      EXPECT_THAT(result.score().token_kl(), SizeIs(result.score().target_ids_size()));
      for (const float kl : result.score().token_kl()) EXPECT_NEAR(kl, 0, 1e-6);
    }
  }
}

TEST_F(ScoreServiceTest, DivergenceRunsThroughABudgetOfOnePair) {
  settings_.limits.max_score_buffer_bytes = BufferBytes("la maison");
  const auto student = AddModel(FakeSettings("student"), Hashed(1));
  AddModel(FakeSettings("teacher"), Hashed(2));
  Start();
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([this] {
      v1::ScoreResponse response;
      const grpc::Status status = Score(Pairs("student", "teacher", 30), &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      for (const v1::ScoreResult& result : response.results()) {
        ASSERT_TRUE(result.has_score()) << result.error().message();
        EXPECT_THAT(result.score().token_kl(), Each(Ge(1e-3)));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST_F(ScoreServiceTest, APairThatExceedsTheBudgetFailsAlone) {
  settings_.limits.max_score_buffer_bytes = BufferBytes("la maison");
  AddModel(FakeSettings("student"), Hashed(1));
  AddModel(FakeSettings("teacher"), Hashed(2));
  Start();
  v1::ScoreRequest request = Pairs("student", "teacher", 3);
  request.mutable_pairs(1)->set_target("la maison et la maison et la maison");
  v1::ScoreResponse response;
  ASSERT_TRUE(Score(request, &response).ok());
  EXPECT_TRUE(response.results(0).has_score());
  EXPECT_EQ(response.results(1).error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(response.results(1).error().message(), HasSubstr("max_score_buffer_bytes"));
  EXPECT_TRUE(response.results(2).has_score());
}

TEST_F(ScoreServiceTest, AFullQueueIsWaitedOut) {
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_queue_length = 1;
  AddModel(settings, Hashed(1));
  settings.name = "teacher";
  AddModel(settings, Hashed(2));
  Start();
  v1::ScoreResponse response;
  ASSERT_TRUE(Score(Pairs("student", "teacher", 20), &response).ok());
  for (const v1::ScoreResult& result : response.results()) EXPECT_TRUE(result.has_score()) << result.error().message();
}

TEST_F(ScoreServiceTest, DifferentVocabulariesCannotBeCompared) {
  AddModel(FakeSettings("student"), Hashed(1));
  AddModel(FakeSettings("other"), {.script = engine::HashScript(TinyTokenizer()->size(), 2),
                                   .distribution_size = TinyTokenizer()->size() - 1});
  Start();
  v1::ScoreResponse response;
  const grpc::Status status = Score(Pairs("student", "other", 1), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("vocabulary"));
}

TEST_F(ScoreServiceTest, BadRequestsSayWhatIsRight) {
  settings_.limits.max_texts_per_request = 2;
  AddModel(FakeSettings("student"), Hashed(1));
  Start();
  v1::ScoreRequest wrong_pair = Pairs("student", "", 1);
  wrong_pair.set_source_language("ko");
  v1::ScoreRequest no_source = Pairs("student", "", 1);
  no_source.mutable_pairs(0)->clear_source();
  const struct {
    v1::ScoreRequest request;
    grpc::StatusCode code;
    const char* what;
  } cases[] = {{Pairs("nobody", "", 1), grpc::StatusCode::NOT_FOUND, "student"},
               {Pairs("student", "nobody", 1), grpc::StatusCode::NOT_FOUND, "reference_model"},
               {Pairs("student", "", 0), grpc::StatusCode::INVALID_ARGUMENT, "pairs is empty"},
               {Pairs("student", "", 3), grpc::StatusCode::INVALID_ARGUMENT, "at most 2"},
               {wrong_pair, grpc::StatusCode::INVALID_ARGUMENT, "en to fr"},
               {no_source, grpc::StatusCode::INVALID_ARGUMENT, "source is empty"}};
  for (const auto& [request, code, what] : cases) {
    v1::ScoreResponse response;
    const grpc::Status status = Score(request, &response);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(what));
  }
}

TEST_F(ScoreServiceTest, ACancelledCallLeavesTheBudgetToOthers) {
  settings_.limits.max_score_buffer_bytes = BufferBytes("la maison");
  absl::Notification scoring;
  absl::Notification release;
  FakeModelOptions teacher = Hashed(2);
  teacher.before = [&](const engine::Call& call) {
    if (call.kind == engine::Call::Kind::kScore && call.index == 0) {
      scoring.Notify();
      release.WaitForNotification();
    }
    return absl::OkStatus();
  };
  AddModel(FakeSettings("student"), Hashed(1));
  AddModel(FakeSettings("teacher"), teacher);
  Start();
  grpc::ClientContext context;
  std::thread canceller([&] {
    scoring.WaitForNotification();  // one pair is at the teacher, the others wait for the budget
    context.TryCancel();
  });
  v1::ScoreResponse response;
  EXPECT_EQ(translation_->Score(&context, Pairs("student", "teacher", 20), &response).error_code(),
            grpc::StatusCode::CANCELLED);
  canceller.join();
  release.Notify();
  ASSERT_TRUE(Score(Pairs("student", "teacher", 2), &response).ok());
  EXPECT_THAT(response.results(), SizeIs(2));
}

}  // namespace
}  // namespace petit::serving
