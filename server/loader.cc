#include "server/loader.h"

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/checkpoint/checkpoint.h"
#include "models/tokenizer/tokenizer.h"
#include "models/torch/torch_executor.h"
#include "server/file_digest.h"
#include "server/warm_up.h"

namespace petit::serving {
namespace {

absl::StatusOr<torch_executor::Precision> TorchPrecision(const ModelSettings& settings) {
  if (settings.executor != ExecutorKind::kTorch) {
    return absl::UnimplementedError("this server has no NATIVE executor; set executor: TORCH");
  }
  switch (settings.precision) {
    case Precision::kFp32:
      return torch_executor::Precision::kFp32;
    case Precision::kBf16:
      return torch_executor::Precision::kBf16;
    case Precision::kInt8:
      return torch_executor::Precision::kInt8;
    case Precision::kInt8Static:
      break;
  }
  return absl::UnimplementedError("the TORCH executor has no INT8_STATIC; set precision: FP32, BF16 or INT8");
}

absl::StatusOr<std::shared_ptr<const tokenizer::Tokenizer>> LoadTokenizer(const ModelSettings& settings,
                                                                          const checkpoint::Checkpoint& checkpoint) {
  const std::string path = checkpoint.tokenizer_path();
  if (!settings.tokenizer_sha256.empty()) {
    const absl::StatusOr<std::string> digest = FileSha256(path);
    if (!digest.ok()) return digest.status();
    if (*digest != settings.tokenizer_sha256) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " has the SHA-256 ", *digest, "; tokenizer_sha256 asks for ", settings.tokenizer_sha256));
    }
  }
  std::string error;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer = tokenizer::Tokenizer::Load(checkpoint.directory(), &error);
  if (tokenizer == nullptr) return absl::InvalidArgumentError(error);
  const int vocab_size = checkpoint.config().vocab_size;
  if (tokenizer->size() > vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has ", tokenizer->size(),
                                                   " ids, but config.json a vocab_size of ", vocab_size,
                                                   "; they are not of one model"));
  }
  return tokenizer;
}

decoding::SpecialTokens SpecialTokensOf(const checkpoint::Checkpoint& checkpoint,
                                        const tokenizer::Tokenizer& tokenizer) {
  const checkpoint::GenerationConfig& generation = checkpoint.generation_config();
  decoding::SpecialTokens special;
  special.decoder_start = generation.decoder_start_token_id;
  special.eos = generation.eos_token_ids;
  if (special.eos.empty()) special.eos = {tokenizer.eos_id()};
  return special;
}

absl::StatusOr<std::unique_ptr<ServedModel>> LoadModel(const ModelSettings& settings, std::int64_t version,
                                                       const std::string& directory, Metrics* metrics) {
  const absl::StatusOr<torch_executor::Precision> precision = TorchPrecision(settings);
  if (!precision.ok()) return precision.status();
  const absl::StatusOr<checkpoint::Checkpoint> checkpoint = checkpoint::Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  auto model = std::make_unique<ServedModel>();
  model->settings = settings;
  model->version = version;
  absl::StatusOr<std::shared_ptr<const tokenizer::Tokenizer>> tokenizer = LoadTokenizer(settings, *checkpoint);
  if (!tokenizer.ok()) return tokenizer.status();
  model->tokenizer = *std::move(tokenizer);
  model->special = SpecialTokensOf(*checkpoint, *model->tokenizer);
  model->digest = checkpoint->digest();
  model->bytes_on_disk = checkpoint->bytes_on_disk();
  absl::StatusOr<std::vector<std::unique_ptr<engine::Executor>>> executors =
      torch_executor::MakeTorchExecutors(*checkpoint,
                                         {.precision = *precision,
                                          .device = settings.device,
                                          .distribution_size = model->tokenizer->size(),
                                          .threads = settings.threads},
                                         settings.replicas);
  if (!executors.ok()) return executors.status();
  model->info = executors->front()->info();
  std::vector<std::shared_ptr<MutedObserver>> observers;
  std::vector<std::unique_ptr<engine::Replica>> replicas;
  for (std::unique_ptr<engine::Executor>& executor : *executors) {
    observers.push_back(std::make_shared<MutedObserver>(metrics->observer(settings.name)));
    replicas.push_back(std::make_unique<engine::Replica>(
        std::move(executor),
        engine::ReplicaOptions{.limits = settings.batching, .special = model->special, .observer = observers.back()}));
  }
  model->replicas = std::make_unique<engine::ReplicaSet>(std::move(replicas));
  if (absl::Status status = WarmUp(*model); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("warming up: ", status.message()));
  }
  for (const auto& observer : observers) observer->Unmute();
  return model;
}

}  // namespace

ModelLoader MakeModelLoader(Metrics* metrics) {
  return [metrics](const ModelSettings& settings, std::int64_t version, const std::string& directory) {
    return LoadModel(settings, version, directory, metrics);
  };
}

absl::StatusOr<std::string> EffectiveDevice(const ModelSettings& settings) {
  const absl::Status status = torch_executor::CheckDevice(settings.device);
  if (status.ok()) return settings.device;
  if (settings.allow_cpu_fallback && absl::IsUnavailable(status)) return "cpu";
  return absl::Status(
      status.code(), absl::StrCat("model \"", settings.name, "\": device \"", settings.device, "\": ", status.message(),
                                  "; allow_cpu_fallback: true would use the CPU in its place"));
}

}  // namespace petit::serving
