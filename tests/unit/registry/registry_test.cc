#include "server/registry/registry.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/registry/version_store.h"
#include "tests/unit/registry/fake_loader.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string StateName(VersionState state) {
  switch (state) {
    case VersionState::kUnloaded:
      return "UNLOADED";
    case VersionState::kLoading:
      return "LOADING";
    case VersionState::kReady:
      return "READY";
    case VersionState::kUnloading:
      return "UNLOADING";
    case VersionState::kFailed:
      return "FAILED";
  }
  return "?";
}

// "READY 2: 1 UNLOADING, 2 READY"
std::string Summary(const ModelStatus& status) {
  std::string text = absl::StrCat(StateName(status.state), " ", status.served_version, ":");
  for (const VersionStatus& version : status.versions) {
    absl::StrAppend(&text, &version == status.versions.data() ? " " : ", ", version.version, " ",
                    StateName(version.state));
  }
  return text;
}

class RegistryTest : public ::testing::Test {
 protected:
  std::unique_ptr<Registry> Make(std::vector<ModelSettings> models, StatusListener listener = nullptr) {
    return std::make_unique<Registry>(std::move(models), loader_.loader(), std::move(listener));
  }
  ModelSettings Versioned(const std::string& name, const std::vector<std::int64_t>& versions) {
    return VersionedModel(directory_.path(), name, versions);
  }
  static std::string SummaryOf(const Registry& registry, std::string_view model) {
    return Summary(*registry.Get(model));
  }

  TemporaryDirectory directory_;
  FakeLoader loader_;
};

TEST_F(RegistryTest, LoadsWhatTheConfigurationWants) {
  ModelSettings specific = Versioned("specific", {1, 2, 3});
  specific.specific_version = 2;
  ModelSettings later = CheckpointModel(directory_.path(), "later");
  later.load_later = true;
  const auto registry =
      Make({Versioned("latest", {1, 3, 10}), CheckpointModel(directory_.path(), "checkpoint"), specific, later});
  registry->LoadConfigured();
  std::vector<std::string> summaries;
  for (const ModelStatus& status : registry->List())
    summaries.push_back(absl::StrCat(status.name, " ", Summary(status)));
  EXPECT_THAT(summaries,
              ElementsAre("latest READY 10: 1 UNLOADED, 3 UNLOADED, 10 READY", "checkpoint READY 1: 1 READY",
                          "specific READY 2: 1 UNLOADED, 2 READY, 3 UNLOADED", "later UNLOADED 0: 1 UNLOADED"));
  EXPECT_TRUE(TranslateOnce(*registry, "latest").ok());
  EXPECT_EQ((*registry->Acquire("latest"))->version, 10);
}

TEST_F(RegistryTest, StatusTellsWhatIsKnownOfALoadedVersion) {
  const auto registry = Make({Versioned("m", {4})});
  const absl::Time before = absl::Now();
  registry->LoadConfigured();
  const ModelStatus status = *registry->Get("m");
  ASSERT_EQ(status.versions.size(), 1U);
  EXPECT_EQ(status.versions[0].info.executor, "SCRIPTED");
  EXPECT_EQ(status.versions[0].bytes_on_disk, 400);
  EXPECT_EQ(status.versions[0].digest, absl::StrCat("digest of ", directory_.path(), "/m/4"));
  EXPECT_GE(status.versions[0].loaded_at, before);
  ASSERT_EQ(status.prompts.size(), 1U);
  EXPECT_EQ(status.prompts[0].target_language, "fr");
}

TEST_F(RegistryTest, AnUnknownModelIsNotFoundAndTheMessageListsThoseThereAre) {
  const auto registry = Make({Versioned("teacher", {1}), Versioned("student", {1})});
  for (const absl::Status& status :
       {registry->Acquire("pupil").status(), registry->Get("pupil").status(), registry->Load("pupil", 0).status(),
        registry->Unload("pupil", 0).status(), registry->SetServedVersion("pupil", 1).status()}) {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("'pupil'"), HasSubstr("teacher, student")));
  }
}

TEST_F(RegistryTest, AnUnknownVersionIsNotFoundAndTheMessageListsThoseThereAre) {
  const auto registry = Make({Versioned("m", {1, 2})});
  registry->LoadConfigured();
  for (const std::int64_t version : {7, -1}) {
    for (const absl::Status& status :
         {registry->Acquire("m", version).status(), registry->Load("m", version).status(),
          registry->Unload("m", version).status(), registry->SetServedVersion("m", version).status()}) {
      EXPECT_TRUE(absl::IsNotFound(status)) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("it has 1, 2"));
    }
  }
  EXPECT_TRUE(absl::IsInvalidArgument(registry->SetServedVersion("m", 0).status()));
}

TEST_F(RegistryTest, AModelThatIsNotReadyIsUnavailableAndTheMessageSaysWhy) {
  loader_.Fail({"broken", 1}, absl::InvalidArgumentError("model.safetensors: cut off"));
  ModelSettings later = Versioned("later", {1});
  later.load_later = true;
  const auto registry = Make({Versioned("broken", {1}), later, Versioned("none", {})});
  for (const char* name : {"broken", "none"}) {
    const absl::Status due = registry->Acquire(name).status();
    EXPECT_TRUE(absl::IsUnavailable(due)) << due;
    EXPECT_THAT(std::string(due.message()), HasSubstr("will be loaded")) << "start-up has not come to it";
  }
  registry->LoadConfigured();
  for (const std::int64_t version : {0, 1}) {
    const absl::Status broken = registry->Acquire("broken", version).status();
    EXPECT_TRUE(absl::IsUnavailable(broken)) << broken;
    EXPECT_THAT(std::string(broken.message()), HasSubstr("model.safetensors: cut off"));
    const absl::Status unloaded = registry->Acquire("later", version).status();
    EXPECT_TRUE(absl::IsUnavailable(unloaded)) << unloaded;
    EXPECT_THAT(std::string(unloaded.message()), HasSubstr("is not loaded"));
  }
  const absl::Status none = registry->Acquire("none").status();
  EXPECT_TRUE(absl::IsUnavailable(none)) << none;
  EXPECT_THAT(std::string(none.message()), HasSubstr("has no version below"));
}

TEST_F(RegistryTest, OneModelThatDoesNotLoadLeavesTheOthersServing) {
  loader_.Fail({"broken", 1}, absl::ResourceExhaustedError("device full"));
  const auto registry = Make({Versioned("broken", {1}), Versioned("good", {1})});
  registry->LoadConfigured();
  EXPECT_EQ(SummaryOf(*registry, "broken"), "FAILED 0: 1 FAILED");
  EXPECT_EQ(registry->Get("broken")->versions[0].error, "device full");
  EXPECT_TRUE(TranslateOnce(*registry, "good").ok());
}

TEST_F(RegistryTest, AFailedLoadCanBeTriedAgain) {
  loader_.Fail({"m", 1}, absl::UnavailableError("no"));
  const auto registry = Make({Versioned("m", {1})});
  registry->LoadConfigured();
  EXPECT_TRUE(absl::IsUnavailable(registry->Load("m", 1).status()));
  loader_.Heal({"m", 1});
  EXPECT_TRUE(registry->Load("m", 0).ok());
  EXPECT_EQ(registry->Get("m")->versions[0].error, "");
  EXPECT_TRUE(TranslateOnce(*registry, "m").ok());
}

TEST_F(RegistryTest, AModelWithoutVersionsFailsUntilOneAppears) {
  const ModelSettings settings = Versioned("m", {});
  const auto registry = Make({settings});
  registry->LoadConfigured();
  EXPECT_EQ(SummaryOf(*registry, "m"), "FAILED 0:");
  EXPECT_THAT(registry->Get("m")->warning, HasSubstr("no version below"));
  AddVersion(settings, 1);
  EXPECT_TRUE(registry->Load("m", 0).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 1: 1 READY");
  EXPECT_EQ(registry->Get("m")->warning, "");
}

TEST_F(RegistryTest, AFailedNewVersionLeavesTheOldOneServing) {
  const ModelSettings settings = Versioned("m", {1});
  const auto registry = Make({settings});
  registry->LoadConfigured();
  AddVersion(settings, 2);
  loader_.Fail({"m", 2}, absl::InvalidArgumentError("bad tensor"));
  EXPECT_TRUE(absl::IsInvalidArgument(registry->SetServedVersion("m", 2).status()));
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 1: 1 READY, 2 FAILED");
  EXPECT_EQ(registry->Get("m")->versions[1].error, "bad tensor");
  EXPECT_TRUE(TranslateOnce(*registry, "m").ok());
  EXPECT_TRUE(absl::IsNotFound(ReadServedVersion(settings.versions_root).status()));
}

TEST_F(RegistryTest, ALoadedVersionWaitsUntilItIsSetServed) {
  const auto registry = Make({Versioned("m", {1, 2})});
  ASSERT_TRUE(registry->Load("m", 1).ok());
  ASSERT_TRUE(registry->Load("m", 2).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 1: 1 READY, 2 READY");
  EXPECT_EQ((*registry->Acquire("m"))->version, 1);
  EXPECT_EQ((*registry->Acquire("m", 2))->version, 2);
  ASSERT_TRUE(registry->SetServedVersion("m", 2).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 2: 1 UNLOADED, 2 READY");
  EXPECT_EQ(loader_.alive(), 1);
}

TEST_F(RegistryTest, LoadingWhatIsLoadedDoesNothing) {
  const auto registry = Make({Versioned("m", {1})});
  registry->LoadConfigured();
  EXPECT_TRUE(registry->Load("m", 1).ok());
  EXPECT_TRUE(registry->Load("m", 0).ok());
  EXPECT_TRUE(registry->SetServedVersion("m", 1).ok());
  EXPECT_EQ(loader_.loads({"m", 1}), 1);
}

TEST_F(RegistryTest, LoadServesALoadedVersionWhereNoneIsServed) {
  const auto registry = Make({Versioned("m", {1, 2})});
  ASSERT_TRUE(registry->Load("m", 1).ok());
  ASSERT_TRUE(registry->Load("m", 2).ok());
  ASSERT_TRUE(registry->Unload("m", 1).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "UNLOADED 0: 1 UNLOADED, 2 READY");
  EXPECT_TRUE(absl::IsUnavailable(registry->Acquire("m").status()));
  ASSERT_TRUE(registry->Load("m", 2).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 2: 1 UNLOADED, 2 READY");
  EXPECT_EQ(loader_.loads({"m", 2}), 1);
}

TEST_F(RegistryTest, UnloadFreesOneVersionOrAll) {
  const auto registry = Make({Versioned("m", {1, 2, 3})});
  for (const std::int64_t version : {1, 2, 3}) ASSERT_TRUE(registry->Load("m", version).ok());
  EXPECT_EQ(loader_.alive(), 3);
  ASSERT_TRUE(registry->Unload("m", 2).ok());
  EXPECT_EQ(loader_.alive(), 2);
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 1: 1 READY, 2 UNLOADED, 3 READY");
  ASSERT_TRUE(registry->Unload("m", 2).ok()) << "unloading what is not loaded does nothing";
  ASSERT_TRUE(registry->Unload("m", 0).ok());
  EXPECT_EQ(loader_.alive(), 0);
  EXPECT_EQ(SummaryOf(*registry, "m"), "UNLOADED 0: 1 UNLOADED, 2 UNLOADED, 3 UNLOADED");
}

TEST_F(RegistryTest, UnloadForgetsAFailure) {
  loader_.Fail({"m", 1}, absl::InternalError("no"));
  const auto registry = Make({Versioned("m", {1})});
  registry->LoadConfigured();
  ASSERT_TRUE(registry->Unload("m", 0).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "UNLOADED 0: 1 UNLOADED");
}

TEST_F(RegistryTest, TheServedVersionSurvivesARestart) {
  const ModelSettings settings = Versioned("m", {1, 2, 3});
  {
    const auto registry = Make({settings});
    registry->LoadConfigured();
    EXPECT_EQ(SummaryOf(*registry, "m"), "READY 3: 1 UNLOADED, 2 UNLOADED, 3 READY");
    ASSERT_TRUE(registry->SetServedVersion("m", 2).ok());
  }
  AddVersion(settings, 4);
  const auto registry = Make({settings});
  registry->LoadConfigured();
  EXPECT_EQ(registry->Get("m")->served_version, 2);
  EXPECT_EQ(registry->Get("m")->warning, "");
}

TEST_F(RegistryTest, AChoiceThatIsGoneOrDamagedIsIgnoredWithAWarning) {
  const ModelSettings settings = Versioned("m", {1, 2});
  ASSERT_TRUE(WriteServedVersion(settings.versions_root, 7).ok());
  auto registry = Make({settings});
  registry->LoadConfigured();
  EXPECT_EQ(registry->Get("m")->served_version, 2);
  EXPECT_THAT(registry->Get("m")->warning, AllOf(HasSubstr("version 7"), HasSubstr("gone")));

  registry.reset();
  std::ofstream(settings.versions_root + "/SERVED_VERSION") << "\xff\xfe";
  registry = Make({settings});
  registry->LoadConfigured();
  EXPECT_EQ(registry->Get("m")->served_version, 2);
  EXPECT_THAT(registry->Get("m")->warning, HasSubstr("SERVED_VERSION does not hold a version number"));
  ASSERT_TRUE(registry->SetServedVersion("m", 1).ok());
  EXPECT_EQ(registry->Get("m")->warning, "");
  EXPECT_EQ(*ReadServedVersion(settings.versions_root), 1);
}

TEST_F(RegistryTest, AChoiceThatCannotBeWrittenDownIsRefused) {
  const ModelSettings settings = Versioned("m", {1, 2});
  const auto registry = Make({settings});
  ASSERT_TRUE(registry->Load("m", 1).ok());
  std::filesystem::create_directories(settings.versions_root + "/SERVED_VERSION/in_the_way");
  EXPECT_FALSE(registry->SetServedVersion("m", 2).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 1: 1 READY, 2 UNLOADED");
  EXPECT_EQ(loader_.alive(), 1);
}

TEST_F(RegistryTest, ACheckpointIsVersionOneAndHasNoOther) {
  const auto registry = Make({CheckpointModel(directory_.path(), "m")});
  ASSERT_TRUE(registry->SetServedVersion("m", 1).ok());
  EXPECT_TRUE(absl::IsNotFound(registry->SetServedVersion("m", 2).status()));
  EXPECT_EQ(registry->Get("m")->versions[0].digest, absl::StrCat("digest of ", directory_.path(), "/m"));
  EXPECT_THAT(std::vector<std::filesystem::path>(std::filesystem::directory_iterator(directory_.path()),
                                                 std::filesystem::directory_iterator()),
              IsEmpty());
}

TEST_F(RegistryTest, ASpecificVersionIsPinned) {
  ModelSettings settings = Versioned("m", {1, 2});
  settings.specific_version = 1;
  const auto registry = Make({settings});
  ASSERT_TRUE(registry->Load("m", 2).ok());
  EXPECT_EQ(registry->Get("m")->served_version, 0) << "loaded for those who name it, not served";
  ASSERT_TRUE(registry->Load("m", 0).ok());
  EXPECT_EQ(registry->Get("m")->served_version, 1);
  const absl::Status status = registry->SetServedVersion("m", 2).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("pinned to version 1"));
}

TEST_F(RegistryTest, ASpecificVersionThatIsMissingFailsWithThoseThereAre) {
  ModelSettings settings = Versioned("m", {1, 2});
  settings.specific_version = 5;
  const auto registry = Make({settings});
  registry->LoadConfigured();
  EXPECT_EQ(SummaryOf(*registry, "m"), "FAILED 0: 1 UNLOADED, 2 UNLOADED");
  EXPECT_THAT(registry->Get("m")->warning, HasSubstr("it has 1, 2"));
}

TEST_F(RegistryTest, ALoadedVersionOutlivesItsDirectory) {
  const ModelSettings settings = Versioned("m", {1, 2});
  const auto registry = Make({settings});
  registry->LoadConfigured();
  RemoveVersion(settings, 2);
  EXPECT_TRUE(TranslateOnce(*registry, "m").ok());
  EXPECT_TRUE(registry->SetServedVersion("m", 2).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "READY 2: 1 UNLOADED, 2 READY");
  EXPECT_TRUE(registry->Unload("m", 2).ok());
  EXPECT_EQ(SummaryOf(*registry, "m"), "UNLOADED 0: 1 UNLOADED");
}

TEST_F(RegistryTest, TheListenerIsToldEachChangeInOrder) {
  std::vector<std::string> told;
  const auto registry =
      Make({Versioned("m", {1, 2})}, [&told](const ModelStatus& status) { told.push_back(Summary(status)); });
  loader_.Fail({"m", 2}, absl::InternalError("no"));
  registry->Load("m", 0).IgnoreError();
  EXPECT_THAT(told, ElementsAre("LOADING 0: 1 UNLOADED, 2 LOADING", "FAILED 0: 1 UNLOADED, 2 FAILED"));
  told.clear();
  ASSERT_TRUE(registry->Load("m", 1).ok());
  EXPECT_THAT(told, ElementsAre("LOADING 0: 1 LOADING, 2 FAILED", "READY 1: 1 READY, 2 FAILED"));
  told.clear();
  loader_.Heal({"m", 2});
  ASSERT_TRUE(registry->SetServedVersion("m", 2).ok());
  EXPECT_THAT(told, ElementsAre("READY 1: 1 READY, 2 LOADING", "READY 1: 1 READY, 2 READY", "READY 2: 1 READY, 2 READY",
                                "READY 2: 1 UNLOADING, 2 READY", "READY 2: 1 UNLOADED, 2 READY"));
  told.clear();
  ASSERT_TRUE(registry->Unload("m", 0).ok());
  EXPECT_THAT(told, ElementsAre("UNLOADING 0: 1 UNLOADED, 2 UNLOADING", "UNLOADED 0: 1 UNLOADED, 2 UNLOADED"));
}

TEST_F(RegistryTest, TheListenerMayReadButNotChangeTheRegistry) {
  Registry* registry_pointer = nullptr;
  std::vector<absl::StatusCode> codes;
  std::vector<bool> acquired;
  const auto registry = Make({Versioned("m", {1}), Versioned("other", {1})}, [&](const ModelStatus& /*status*/) {
    EXPECT_EQ(registry_pointer->List().size(), 2U);
    acquired.push_back(registry_pointer->Acquire("m").ok());
    codes.push_back(registry_pointer->Load("other", 1).status().code());
    codes.push_back(registry_pointer->Unload("m", 1).status().code());
    codes.push_back(registry_pointer->SetServedVersion("m", 1).status().code());
  });
  registry_pointer = registry.get();
  ASSERT_TRUE(registry->Load("m", 1).ok());
  EXPECT_THAT(acquired, ElementsAre(false, true));
  EXPECT_THAT(codes, ::testing::Each(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(codes.size(), 6U);
}

TEST_F(RegistryTest, ALoaderThatReturnsNothingIsAnError) {
  Registry registry(
      {CheckpointModel(directory_.path(), "m")},
      [](const ModelSettings&, std::int64_t, const std::string&) { return nullptr; }, nullptr);
  EXPECT_TRUE(absl::IsInternal(registry.Load("m", 0).status()));
}

}  // namespace
}  // namespace petit::serving
