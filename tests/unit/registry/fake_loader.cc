#include "tests/unit/registry/fake_loader.h"

#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/registry/version_store.h"
#include "tests/unit/engine/scripted_executor.h"

namespace petit::serving {
namespace {

// Counts itself while it lives.
class CountedExecutor : public engine::Executor {
 public:
  CountedExecutor(std::unique_ptr<engine::Executor> inner, std::atomic<int>* alive)
      : inner_(std::move(inner)), alive_(alive) {
    ++*alive_;
  }
  ~CountedExecutor() override { --*alive_; }

  const engine::ExecutorInfo& info() const override { return inner_->info(); }
  std::int64_t Footprint(int source_tokens, int max_new_tokens, int rows) const override {
    return inner_->Footprint(source_tokens, max_new_tokens, rows);
  }
  absl::Status Admit(absl::Span<const engine::Newcomer> newcomers) override { return inner_->Admit(newcomers); }
  absl::Status Step(absl::Span<const engine::StepRow> rows, std::vector<decoding::RowResult>* results) override {
    return inner_->Step(rows, results);
  }
  absl::StatusOr<std::vector<engine::ScoreResult>> Score(absl::Span<const engine::ScorePair> pairs) override {
    return inner_->Score(pairs);
  }
  void Release(absl::Span<const engine::Slot> slots) override { inner_->Release(slots); }

 private:
  std::unique_ptr<engine::Executor> inner_;
  std::atomic<int>* alive_;
};

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = ::testing::TempDir() + "petit_XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() { std::filesystem::remove_all(path_); }

void Door::Open() {
  const std::lock_guard<std::mutex> lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

void Door::Pass() {
  std::unique_lock<std::mutex> lock(mutex_);
  visited_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return open_; });
}

void Door::AwaitSomebody() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return visited_; });
}

bool Door::IsOpen() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return open_;
}

struct FakeLoader::State {
  mutable std::mutex mutex;
  std::map<Key, Door*> doors;
  std::map<Key, Door*> step_doors;
  std::map<Key, absl::Status> failures;
  std::map<Key, int> loads;
  std::atomic<int> alive = 0;
};

std::shared_ptr<FakeLoader::State> FakeLoader::MakeState() { return std::make_shared<State>(); }

void FakeLoader::Hold(const Key& key, Door* door) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->doors[key] = door;
}

void FakeLoader::HoldSteps(const Key& key, Door* door) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->step_doors[key] = door;
}

void FakeLoader::Fail(const Key& key, absl::Status status) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->failures[key] = std::move(status);
}

void FakeLoader::Heal(const Key& key) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->failures.erase(key);
}

int FakeLoader::loads(const Key& key) const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto found = state_->loads.find(key);
  return found == state_->loads.end() ? 0 : found->second;
}

int FakeLoader::alive() const { return state_->alive; }

ModelLoader FakeLoader::loader() {
  return [state = state_](const ModelSettings& settings, std::int64_t version,
                          const std::string& directory) -> absl::StatusOr<std::unique_ptr<ServedModel>> {
    const Key key(settings.name, version);
    Door* door = nullptr;
    Door* step_door = nullptr;
    absl::Status failure;
    {
      const std::lock_guard<std::mutex> lock(state->mutex);
      ++state->loads[key];
      if (const auto found = state->doors.find(key); found != state->doors.end()) door = found->second;
      if (const auto found = state->step_doors.find(key); found != state->step_doors.end()) step_door = found->second;
      if (const auto found = state->failures.find(key); found != state->failures.end()) failure = found->second;
    }
    if (door != nullptr) door->Pass();
    if (!failure.ok()) return failure;

    engine::ScriptedOptions scripted;
    scripted.vocab_size = 16;
    scripted.script = engine::CopySourceScript(scripted.vocab_size);
    if (step_door != nullptr) {
      scripted.before = [step_door](const engine::Call& call) {
        if (call.kind == engine::Call::Kind::kStep) step_door->Pass();
        return absl::OkStatus();
      };
    }
    engine::ReplicaOptions options;
    options.limits = settings.batching;
    auto model = std::make_unique<ServedModel>();
    model->settings = settings;
    model->digest = absl::StrCat("digest of ", directory);
    model->bytes_on_disk = 100 * version;
    model->replicas = std::make_unique<engine::ReplicaSet>(std::make_unique<engine::Replica>(
        std::make_unique<CountedExecutor>(engine::MakeScriptedExecutor(std::move(scripted)), &state->alive), options));
    model->info = model->replicas->info();
    return model;
  };
}

ModelSettings VersionedModel(const std::string& root, const std::string& name,
                             const std::vector<std::int64_t>& versions) {
  ModelSettings settings;
  settings.name = name;
  settings.versions_root = absl::StrCat(root, "/", name);
  settings.prompts = {{"en", "fr", "translate English to French: "}};
  std::filesystem::create_directories(settings.versions_root);
  for (const std::int64_t version : versions) AddVersion(settings, version);
  return settings;
}

ModelSettings CheckpointModel(const std::string& root, const std::string& name) {
  ModelSettings settings;
  settings.name = name;
  settings.checkpoint = absl::StrCat(root, "/", name);
  return settings;
}

void AddVersion(const ModelSettings& settings, std::int64_t version) {
  const std::string directory = VersionDirectory(settings.versions_root, version);
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/config.json") << "{}";
}

void RemoveVersion(const ModelSettings& settings, std::int64_t version) {
  std::filesystem::remove_all(VersionDirectory(settings.versions_root, version));
}

engine::SequenceRequest CopyRequest(std::function<void(absl::StatusOr<engine::SequenceResult>)> done,
                                    int source_tokens) {
  engine::SequenceRequest request;
  request.source_ids.assign(static_cast<std::size_t>(source_tokens), 5);
  request.options.max_new_tokens = source_tokens + 1;
  request.done = std::move(done);
  return request;
}

absl::Status TranslateOnce(const Registry& registry, const std::string& model, std::int64_t version) {
  absl::StatusOr<ModelHandle> handle = registry.Acquire(model, version);
  if (!handle.ok()) return handle.status();
  auto promise = std::make_shared<std::promise<bool>>();
  std::future<bool> ok = promise->get_future();
  // As the server does: the request's callback holds a handle, so the last one may go on the worker's thread. This
  // thread's own goes when Submit has returned.
  const absl::Status status = (*handle)->replicas->Submit(
      CopyRequest([promise, pinned = *handle](const absl::StatusOr<engine::SequenceResult>& result) {
        promise->set_value(result.ok() && result->hypotheses.at(0).ids == std::vector<engine::TokenId>(3, 5));
      }));
  handle->reset();
  if (!status.ok()) return status;
  return ok.get() ? absl::OkStatus() : absl::InternalError("a wrong result");
}

}  // namespace petit::serving
