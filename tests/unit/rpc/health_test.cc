#include "server/rpc/health.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace petit::serving {
namespace {

class FakeService : public grpc::HealthCheckServiceInterface {
 public:
  void SetServingStatus(const std::string& name, bool serving) override { serving_[name] = serving; }
  void SetServingStatus(bool serving) override {
    for (auto& [name, value] : serving_) value = serving;
  }
  bool serving(const std::string& name) const { return serving_.at(name); }

 private:
  std::map<std::string, bool> serving_;
};

ModelStatus Status(const std::string& name, VersionState state, std::int64_t served) {
  ModelStatus status;
  status.name = name;
  status.state = state;
  status.served_version = served;
  return status;
}

class HealthTest : public testing::Test {
 protected:
  HealthTest() : health_({Model("a", false), Model("b", false), Model("later", true)}, /*with_jobs=*/false) {
    health_.Attach(&service_);
  }

  static ModelSettings Model(const std::string& name, bool load_later) {
    ModelSettings settings;
    settings.name = name;
    settings.load_later = load_later;
    return settings;
  }

  FakeService service_;
  Health health_;
};

TEST_F(HealthTest, ReadyOnceEveryModelThatShouldBeLoadedIs) {
  EXPECT_FALSE(service_.serving(""));
  EXPECT_TRUE(service_.serving("liveness"));
  health_.OnModelStatus(Status("a", VersionState::kReady, 1));
  EXPECT_TRUE(service_.serving("models/a"));
  EXPECT_FALSE(service_.serving(""));
  health_.OnModelStatus(Status("b", VersionState::kReady, 2));
  EXPECT_TRUE(service_.serving(""));
  EXPECT_TRUE(service_.serving("petit.v1.TranslationService"));
  EXPECT_FALSE(service_.serving("models/later"));
  EXPECT_FALSE(service_.serving("petit.v1.JobService"));
}

TEST_F(HealthTest, AModelThatFailedKeepsTheServerUnready) {
  health_.OnModelStatus(Status("a", VersionState::kReady, 1));
  health_.OnModelStatus(Status("b", VersionState::kFailed, 0));
  EXPECT_FALSE(health_.ready());
  EXPECT_TRUE(service_.serving("petit.v1.ModelService"));  // LoadModel may mend it
  health_.OnModelStatus(Status("b", VersionState::kReady, 1));
  EXPECT_TRUE(health_.ready());
}

TEST_F(HealthTest, AnOperatorMayUnloadAModelOfAReadyServer) {
  health_.OnModelStatus(Status("a", VersionState::kReady, 1));
  health_.OnModelStatus(Status("b", VersionState::kReady, 1));
  health_.OnModelStatus(Status("b", VersionState::kUnloaded, 0));
  EXPECT_TRUE(service_.serving(""));
  EXPECT_FALSE(service_.serving("models/b"));
}

TEST_F(HealthTest, AFailedNewVersionBesideAServedOneChangesNothing) {
  health_.OnModelStatus(Status("a", VersionState::kReady, 1));
  health_.OnModelStatus(Status("b", VersionState::kReady, 1));
  health_.OnModelStatus(Status("b", VersionState::kFailed, 1));
  EXPECT_TRUE(service_.serving(""));
  EXPECT_TRUE(service_.serving("models/b"));
}

TEST_F(HealthTest, DrainingLeavesOnlyLiveness) {
  health_.OnModelStatus(Status("a", VersionState::kReady, 1));
  health_.OnModelStatus(Status("b", VersionState::kReady, 1));
  health_.StartDraining();
  for (const char* name : {"", "models/a", "petit.v1.TranslationService", "petit.v1.ModelService"}) {
    EXPECT_FALSE(service_.serving(name)) << name;
  }
  EXPECT_TRUE(service_.serving("liveness"));
}

TEST_F(HealthTest, JobsAreServedFromTheStartWhereConfigured) {
  Health with_jobs({Model("a", false)}, /*with_jobs=*/true);
  FakeService service;
  with_jobs.Attach(&service);
  EXPECT_TRUE(service.serving("petit.v1.JobService"));
  with_jobs.StartDraining();
  EXPECT_FALSE(service.serving("petit.v1.JobService"));
}

TEST_F(HealthTest, NothingIsSaidAfterDetaching) {
  health_.Detach();
  health_.OnModelStatus(Status("a", VersionState::kReady, 1));
  EXPECT_FALSE(service_.serving("models/a"));
}

}  // namespace
}  // namespace petit::serving
