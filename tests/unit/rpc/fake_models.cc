#include "tests/unit/rpc/fake_models.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace petit::serving {

std::shared_ptr<const tokenizer::Tokenizer> TinyTokenizer() {
  static const std::shared_ptr<const tokenizer::Tokenizer> tokenizer = [] {
    std::string error;
    std::shared_ptr<const tokenizer::Tokenizer> loaded =
        tokenizer::Tokenizer::Load(PETIT_SOURCE_DIR "/tests/data/tiny/v1_1", &error);
    if (loaded == nullptr) throw std::runtime_error(error);
    return loaded;
  }();
  return tokenizer;
}

ModelSettings FakeSettings(const std::string& name) {
  ModelSettings settings;
  settings.name = name;
  settings.checkpoint = "not read";
  settings.prompts = {{.source_language = "en", .target_language = "fr", .prefix = ""},
                      {.source_language = "en", .target_language = "de", .prefix = "to german: "}};
  return settings;
}

std::unique_ptr<ServedModel> MakeFakeModel(const ModelSettings& settings, std::int64_t version,
                                           const FakeModelOptions& options) {
  auto model = std::make_unique<ServedModel>();
  model->settings = settings;
  model->version = version;
  model->digest = "digest of version " + std::to_string(version);
  model->tokenizer = TinyTokenizer();
  const int vocab_size = model->tokenizer->size();
  engine::ScriptedOptions scripted;
  scripted.script = options.script ? options.script : engine::CopySourceScript(vocab_size);
  scripted.vocab_size = vocab_size;
  scripted.distribution_size = options.distribution_size;
  scripted.before = options.before;
  scripted.log = options.log;
  std::vector<std::unique_ptr<engine::Replica>> replicas;
  for (int i = 0; i < settings.replicas; ++i) {
    replicas.push_back(std::make_unique<engine::Replica>(
        engine::MakeScriptedExecutor(scripted),
        engine::ReplicaOptions{.limits = settings.batching, .special = {}, .observer = options.observer}));
  }
  model->replicas = std::make_unique<engine::ReplicaSet>(std::move(replicas));
  model->info = model->replicas->info();
  return model;
}

engine::Script EndlessScript(engine::TokenId id) {
  return
      [id, vocab_size = TinyTokenizer()->size()](std::span<const engine::TokenId>, std::span<const engine::TokenId>) {
        std::vector<float> logits(vocab_size, 0.0F);
        logits[id] = 20.0F;
        return logits;
      };
}

void RecordingObserver::OnQueueLength(int sequences) {
  const absl::MutexLock lock(&mutex_);
  longest_queue_ = std::max(longest_queue_, sequences);
}

void RecordingObserver::OnAdmitted(absl::Duration /*queued*/, int /*source_tokens*/) {
  const absl::MutexLock lock(&mutex_);
  ++admitted_;
}

void RecordingObserver::OnRejected(std::string_view /*reason*/) {
  const absl::MutexLock lock(&mutex_);
  ++rejected_;
}

void RecordingObserver::OnFinished(const absl::Status& status, int /*target_tokens*/) {
  const absl::MutexLock lock(&mutex_);
  ++finished_[status.code()];
}

void RecordingObserver::WaitForQueueLength(int length) {
  const absl::MutexLock lock(&mutex_);
  const auto enough = [this, length]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return longest_queue_ >= length; };
  mutex_.Await(absl::Condition(&enough));
}

void RecordingObserver::WaitForAdmitted(int count) {
  const absl::MutexLock lock(&mutex_);
  const auto enough = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return admitted_ >= count; };
  mutex_.Await(absl::Condition(&enough));
}

void RecordingObserver::WaitForRejected(int count) {
  const absl::MutexLock lock(&mutex_);
  const auto enough = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return rejected_ >= count; };
  mutex_.Await(absl::Condition(&enough));
}

void RecordingObserver::WaitForFinished(absl::StatusCode code, int count) {
  const absl::MutexLock lock(&mutex_);
  const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return finished_[code] >= count; };
  mutex_.Await(absl::Condition(&enough));
}

int RecordingObserver::admitted() const {
  const absl::MutexLock lock(&mutex_);
  return admitted_;
}

}  // namespace petit::serving
