// The registry's promises to threads that meet in it. Run under ThreadSanitizer too.
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/registry/registry.h"
#include "tests/unit/registry/fake_loader.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;

class RegistryConcurrencyTest : public ::testing::Test {
 protected:
  std::unique_ptr<Registry> Make(std::vector<ModelSettings> models, StatusListener listener = nullptr) {
    return std::make_unique<Registry>(std::move(models), loader_.loader(), std::move(listener));
  }
  ModelSettings Versioned(const std::string& name, const std::vector<std::int64_t>& versions) {
    return VersionedModel(directory_.path(), name, versions);
  }
  // Opens `door` when a version of a model reaches `state`.
  static StatusListener OpenWhen(VersionState state, Door* door) {
    return [state, door](const ModelStatus& status) {
      for (const VersionStatus& version : status.versions) {
        if (version.state == state) door->Open();
      }
    };
  }
  static bool IsDone(const std::future<absl::Status>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  TemporaryDirectory directory_;
  FakeLoader loader_;
};

TEST_F(RegistryConcurrencyTest, SwitchingVersionsUnderLoadFailsNoRequest) {
  const auto registry = Make({Versioned("m", {1, 2, 3})});
  registry->LoadConfigured();
  std::atomic<bool> stop = false;
  std::atomic<int> requests = 0;
  std::vector<std::thread> clients;
  std::mutex mutex;
  std::vector<std::string> failures;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!stop) {
        const absl::Status status = TranslateOnce(*registry, "m");
        ++requests;
        if (status.ok()) continue;
        const std::lock_guard<std::mutex> lock(mutex);
        failures.push_back(status.ToString());
      }
    });
  }
  for (int i = 0; i < 60; ++i) {
    const absl::StatusOr<ModelStatus> status = registry->SetServedVersion("m", i % 3 + 1);
    EXPECT_TRUE(status.ok()) << status.status();
    if (!status.ok()) break;
    EXPECT_EQ(status->served_version, i % 3 + 1);
    // Each version serves somebody before the next switch.
    const int seen = requests;
    while (requests < seen + 2) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_THAT(failures, ::testing::IsEmpty());
  EXPECT_EQ(loader_.alive(), 1);
}

TEST_F(RegistryConcurrencyTest, AVersionIsReadyOnlyAfterItsLoaderReturned) {
  Door door;
  loader_.Hold({"m", 1}, &door);
  const auto registry = Make({Versioned("m", {1})});
  auto load = std::async(std::launch::async, [&] { return registry->Load("m", 1).status(); });
  door.AwaitSomebody();
  // Neither of these waits for the load.
  for (const std::int64_t version : {0, 1}) {
    const absl::Status status = registry->Acquire("m", version).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("is loading"));
  }
  EXPECT_EQ(registry->Get("m")->state, VersionState::kLoading);
  EXPECT_EQ(registry->List()[0].served_version, 0);
  door.Open();
  EXPECT_TRUE(load.get().ok());
  EXPECT_EQ(registry->Get("m")->state, VersionState::kReady);
}

TEST_F(RegistryConcurrencyTest, TheOldVersionServesWhileTheNewOneLoads) {
  Door door;
  loader_.Hold({"m", 2}, &door);
  const auto registry = Make({Versioned("m", {1, 2})});
  ASSERT_TRUE(registry->Load("m", 1).ok());
  auto load = std::async(std::launch::async, [&] { return registry->SetServedVersion("m", 2).status(); });
  door.AwaitSomebody();
  EXPECT_TRUE(TranslateOnce(*registry, "m").ok());
  EXPECT_EQ(registry->Get("m")->state, VersionState::kReady);
  EXPECT_EQ((*registry->Acquire("m"))->version, 1);
  door.Open();
  EXPECT_TRUE(load.get().ok());
  EXPECT_EQ((*registry->Acquire("m"))->version, 2);
}

TEST_F(RegistryConcurrencyTest, DifferentModelsLoadAtTheSameTime) {
  Door first_door;
  Door second_door;
  loader_.Hold({"first", 1}, &first_door);
  loader_.Hold({"second", 1}, &second_door);
  const auto registry = Make({Versioned("first", {1}), Versioned("second", {1})});
  auto first = std::async(std::launch::async, [&] { return registry->Load("first", 1).status(); });
  auto second = std::async(std::launch::async, [&] { return registry->Load("second", 1).status(); });
  first_door.AwaitSomebody();
  second_door.AwaitSomebody();
  second_door.Open();
  EXPECT_TRUE(second.get().ok());
  EXPECT_TRUE(TranslateOnce(*registry, "second").ok());
  first_door.Open();
  EXPECT_TRUE(first.get().ok());
}

TEST_F(RegistryConcurrencyTest, OneModelIsLoadedOnceHoweverManyAsk) {
  Door door;
  loader_.Hold({"m", 1}, &door);
  const auto registry = Make({Versioned("m", {1})});
  std::vector<std::future<absl::Status>> loads;
  for (int i = 0; i < 4; ++i) {
    loads.push_back(std::async(std::launch::async, [&] { return registry->Load("m", 1).status(); }));
  }
  door.AwaitSomebody();
  door.Open();
  for (auto& load : loads) EXPECT_TRUE(load.get().ok());
  EXPECT_EQ(loader_.loads({"m", 1}), 1);
}

TEST_F(RegistryConcurrencyTest, UnloadWaitsForHandlesAndRefusesNewOnes) {
  Door unloading;
  const auto registry = Make({Versioned("m", {1})}, OpenWhen(VersionState::kUnloading, &unloading));
  registry->LoadConfigured();
  ModelHandle handle = *registry->Acquire("m");
  ModelHandle copy = handle;
  auto unload = std::async(std::launch::async, [&] { return registry->Unload("m", 1).status(); });
  unloading.Pass();
  const absl::Status refused = registry->Acquire("m").status();
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("being unloaded"));
  handle.reset();
  EXPECT_FALSE(IsDone(unload));
  EXPECT_EQ(loader_.alive(), 1);

  // Who holds a handle still gets work done.
  std::promise<bool> done;
  ASSERT_TRUE(copy->replicas
                  ->Submit(CopyRequest(
                      [&done](const absl::StatusOr<engine::SequenceResult>& result) { done.set_value(result.ok()); }))
                  .ok());
  EXPECT_TRUE(done.get_future().get());
  EXPECT_EQ(copy->version, 1);
  copy.reset();
  EXPECT_TRUE(unload.get().ok());
  EXPECT_EQ(loader_.alive(), 0);
}

TEST_F(RegistryConcurrencyTest, TheLastHandleMayBeDroppedOnTheReplicasOwnThread) {
  Door unloading;
  Door step;
  loader_.HoldSteps({"m", 1}, &step);
  const auto registry = Make({Versioned("m", {1})}, OpenWhen(VersionState::kUnloading, &unloading));
  registry->LoadConfigured();
  std::promise<std::thread::id> worker;
  {
    ModelHandle handle = *registry->Acquire("m");
    const ServedModel* model = handle.get();
    ASSERT_TRUE(
        model->replicas
            ->Submit(CopyRequest([&worker, handle](const absl::StatusOr<engine::SequenceResult>& /*result*/) mutable {
              handle.reset();
              worker.set_value(std::this_thread::get_id());
            }))
            .ok());
  }
  std::promise<std::thread::id> unloader;
  auto unload = std::async(std::launch::async, [&] {
    unloader.set_value(std::this_thread::get_id());
    return registry->Unload("m", 1).status();
  });
  unloading.Pass();
  step.Open();
  EXPECT_TRUE(unload.get().ok());
  EXPECT_NE(worker.get_future().get(), unloader.get_future().get());
  EXPECT_EQ(loader_.alive(), 0);
}

TEST_F(RegistryConcurrencyTest, UnloadFinishesWorkWhoseHandleIsGone) {
  Door unloading;
  Door step;
  loader_.HoldSteps({"m", 1}, &step);
  const auto registry = Make({Versioned("m", {1})}, OpenWhen(VersionState::kUnloading, &unloading));
  registry->LoadConfigured();
  std::promise<bool> done;
  ASSERT_TRUE((*registry->Acquire("m"))
                  ->replicas
                  ->Submit(CopyRequest(
                      [&done](const absl::StatusOr<engine::SequenceResult>& result) { done.set_value(result.ok()); }))
                  .ok());
  auto unload = std::async(std::launch::async, [&] { return registry->Unload("m", 1).status(); });
  unloading.Pass();
  step.Open();
  EXPECT_TRUE(done.get_future().get());
  EXPECT_TRUE(unload.get().ok());
}

TEST_F(RegistryConcurrencyTest, AnUnloadDuringALoadComesAfterIt) {
  Door door;
  loader_.Hold({"m", 1}, &door);
  const auto registry = Make({Versioned("m", {1})});
  auto load = std::async(std::launch::async, [&] { return registry->Load("m", 1).status(); });
  door.AwaitSomebody();
  auto unload = std::async(std::launch::async, [&] { return registry->Unload("m", 0).status(); });
  door.Open();
  EXPECT_TRUE(load.get().ok());
  EXPECT_TRUE(unload.get().ok());
  EXPECT_EQ(registry->Get("m")->state, VersionState::kUnloaded);
  EXPECT_EQ(loader_.alive(), 0);
}

TEST_F(RegistryConcurrencyTest, DrainLetsWorkFinishAndRefusesTheRest) {
  Door step;
  loader_.HoldSteps({"m", 1}, &step);
  const auto registry = Make({Versioned("m", {1, 2}), Versioned("idle", {1})});
  ASSERT_TRUE(registry->Load("m", 1).ok());
  ASSERT_TRUE(registry->Load("idle", 1).ok());
  std::promise<bool> done;
  ModelHandle handle = *registry->Acquire("m");
  ASSERT_TRUE(handle->replicas
                  ->Submit(CopyRequest(
                      [&done](const absl::StatusOr<engine::SequenceResult>& result) { done.set_value(result.ok()); }))
                  .ok());
  step.AwaitSomebody();
  EXPECT_FALSE(registry->Drain(absl::InfinitePast()));
  for (const absl::Status& status : {registry->Acquire("m").status(), registry->Acquire("idle", 1).status(),
                                     registry->Load("m", 2).status(), registry->SetServedVersion("m", 2).status()}) {
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("draining"));
  }
  EXPECT_TRUE(absl::IsNotFound(registry->Acquire("gone").status()));
  step.Open();
  // An idle handle does not keep it from ending.
  EXPECT_TRUE(registry->Drain(absl::InfiniteFuture()));
  EXPECT_TRUE(done.get_future().get());
  handle.reset();
  EXPECT_TRUE(registry->Unload("m", 0).ok());
}

TEST_F(RegistryConcurrencyTest, DrainKnowsOfTheVersionThatIsBeingUnloaded) {
  Door unloading;
  Door step;
  loader_.HoldSteps({"m", 1}, &step);
  const auto registry = Make({Versioned("m", {1})}, OpenWhen(VersionState::kUnloading, &unloading));
  registry->LoadConfigured();
  ModelHandle handle = *registry->Acquire("m");
  std::promise<void> done;
  ASSERT_TRUE(handle->replicas
                  ->Submit(CopyRequest(
                      [&done, handle](const absl::StatusOr<engine::SequenceResult>& /*result*/) { done.set_value(); }))
                  .ok());
  handle.reset();
  auto unload = std::async(std::launch::async, [&] { return registry->Unload("m", 1).status(); });
  unloading.Pass();
  EXPECT_FALSE(registry->Drain(absl::InfinitePast()));
  step.Open();
  EXPECT_TRUE(registry->Drain(absl::InfiniteFuture()));
  done.get_future().get();
  EXPECT_TRUE(unload.get().ok());
}

TEST_F(RegistryConcurrencyTest, TheDestructorWaitsForHandles) {
  auto registry = Make({Versioned("m", {1}), Versioned("other", {1})});
  registry->LoadConfigured();
  ModelHandle handle = *registry->Acquire("m");
  std::atomic<bool> destroyed = false;
  std::thread destroyer([&] {
    registry.reset();
    destroyed = true;
  });
  EXPECT_EQ(handle->version, 1);
  EXPECT_FALSE(destroyed);
  handle.reset();
  destroyer.join();
  EXPECT_EQ(loader_.alive(), 0);
}

TEST_F(RegistryConcurrencyTest, ReadersAndOperationsMeetWithoutHarm) {
  std::atomic<int> told = 0;
  const auto registry = Make({Versioned("a", {1, 2}), Versioned("b", {1, 2})}, [&told](const ModelStatus& status) {
    EXPECT_FALSE(status.name.empty());
    ++told;
  });
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    while (!stop) {
      for (const ModelStatus& status : registry->List()) EXPECT_LE(status.served_version, 2);
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      for (const std::int64_t version : {0, 1, 2}) {
        const absl::Status status = TranslateOnce(*registry, "a", version);
        EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
      }
    }
  });
  std::vector<std::thread> operators;
  for (const char* model : {"a", "b"}) {
    for (int i = 0; i < 2; ++i) {
      operators.emplace_back([&registry, model] {
        for (int round = 0; round < 10; ++round) {
          EXPECT_TRUE(registry->Load(model, round % 2 + 1).ok());
          EXPECT_TRUE(registry->SetServedVersion(model, 2).ok());
          EXPECT_TRUE(registry->Unload(model, round % 3).ok());
        }
      });
    }
  }
  for (std::thread& thread : operators) thread.join();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(told, 0);
}

}  // namespace
}  // namespace petit::serving
