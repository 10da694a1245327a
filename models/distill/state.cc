#include "models/distill/state.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "models/checkpoint/file.h"
#include "models/checkpoint/safetensors.h"
#include "models/checkpoint/safetensors_writer.h"

namespace petit::distill {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kStateFile[] = "state.json";
constexpr std::uint64_t kMaxStateBytes = std::uint64_t{16} << 20;
constexpr absl::string_view kPrefix = "step-";
constexpr absl::string_view kEvaluated = "-evaluated";

std::string ArmFile(const fs::path& directory, std::size_t arm) {
  return directory / absl::StrCat("arm-", arm, ".safetensors");
}

// Every tensor of an arm with the name that it has in a file.
std::vector<std::pair<std::string, at::Tensor>> Named(const ArmTensors& arm) {
  std::vector<std::pair<std::string, at::Tensor>> named;
  const std::vector<Parameter>& parameters = arm.module->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    named.emplace_back(parameters[i].name, parameters[i].value);
    named.emplace_back("exp_avg." + parameters[i].name, arm.optimizer->first_moments()[i]);
    named.emplace_back("exp_avg_sq." + parameters[i].name, arm.optimizer->second_moments()[i]);
  }
  return named;
}

absl::Status WriteArm(const std::string& path, const ArmTensors& arm) {
  std::vector<at::Tensor> copies;  // on the host, for as long as the writer reads
  std::vector<checkpoint::TensorToWrite> tensors;
  for (const auto& [name, value] : Named(arm)) {
    copies.push_back(value.detach().to(at::kCPU).contiguous());
    const at::Tensor& copy = copies.back();
    tensors.push_back({.name = name,
                       .dtype = checkpoint::DType::kF32,
                       .shape = copy.sizes().vec(),
                       .data = absl::MakeConstSpan(static_cast<const std::byte*>(copy.const_data_ptr()),
                                                   static_cast<std::size_t>(copy.nbytes()))});
  }
  std::vector<const checkpoint::TensorToWrite*> pointers;
  pointers.reserve(tensors.size());
  for (const checkpoint::TensorToWrite& tensor : tensors) pointers.push_back(&tensor);
  return checkpoint::WriteSafetensors(path, pointers);
}

absl::Status ReadArm(const std::string& path, const ArmTensors& arm) {
  const absl::StatusOr<checkpoint::ReadableFile> file = checkpoint::ReadableFile::Open(path);
  if (!file.ok()) return file.status();
  const auto entries = checkpoint::ReadSafetensorsHeader(*file);
  if (!entries.ok()) return entries.status();
  std::map<std::string, const checkpoint::SafetensorsEntry*> by_name;
  for (const checkpoint::SafetensorsEntry& entry : *entries) by_name[entry.name] = &entry;
  const at::NoGradGuard no_gradient;
  for (auto& [name, value] : Named(arm)) {
    const auto found = by_name.find(name);
    if (found == by_name.end() || found->second->shape != value.sizes().vec()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor ", name, " is missing or has another shape"));
    }
    const at::Tensor copy = at::empty(value.sizes(), at::kFloat);
    absl::Status read = file->ReadAt(
        found->second->begin,
        absl::MakeSpan(static_cast<std::byte*>(copy.mutable_data_ptr()), static_cast<std::size_t>(copy.nbytes())));
    if (!read.ok()) return read;
    value.copy_(copy);
  }
  return absl::OkStatus();
}

json ToJson(const RunState& state) {
  json arms = json::array();
  for (const ArmState& arm : state.arms) {
    arms.push_back({{"name", arm.name},
                    {"dropped", arm.dropped},
                    {"optimizer_steps", arm.optimizer_steps},
                    {"best_bleu", arm.best_bleu},
                    {"best_step", arm.best_step},
                    {"best_checkpoint", arm.best_checkpoint}});
  }
  return {{"step", state.step},
          {"tokens", state.tokens},
          {"seconds", state.seconds},
          {"evaluated_step", state.evaluated_step},
          {"fingerprint", state.fingerprint},
          {"arms", arms}};
}

absl::StatusOr<RunState> FromJson(const std::string& path, const std::string& text) {
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    RunState state{.step = parsed.at("step"),
                   .tokens = parsed.at("tokens"),
                   .seconds = parsed.at("seconds"),
                   .evaluated_step = parsed.at("evaluated_step"),
                   .fingerprint = parsed.at("fingerprint"),
                   .arms = {}};
    for (const json& arm : parsed.at("arms")) {
      state.arms.push_back({.name = arm.at("name"),
                            .dropped = arm.at("dropped"),
                            .optimizer_steps = arm.at("optimizer_steps"),
                            .best_bleu = arm.at("best_bleu"),
                            .best_step = arm.at("best_step"),
                            .best_checkpoint = arm.at("best_checkpoint")});
    }
    return state;
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrCat(path, ": ", error.what()));
  }
}

absl::Status WriteFiles(const fs::path& directory, const RunState& state, const std::vector<ArmTensors>& arms) {
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (state.arms[i].dropped) continue;
    if (absl::Status status = WriteArm(ArmFile(directory, i), arms[i]); !status.ok()) return status;
  }
  absl::StatusOr<checkpoint::WritableFile> file = checkpoint::WritableFile::Create(directory / kStateFile);
  if (!file.ok()) return file.status();
  if (absl::Status status = file->Append(ToJson(state).dump(1)); !status.ok()) return status;
  if (absl::Status status = file->Close(); !status.ok()) return status;
  return checkpoint::SyncDirectory(directory);
}

std::string NameOf(std::int64_t step, bool evaluated) {
  return absl::StrCat(kPrefix, step, evaluated ? kEvaluated : "");
}

// States in the order of their making: 2 N, or 2 N + 1 after the evaluation of step N; -1 for other names.
std::int64_t RankOf(const fs::path& path) {
  const std::string file_name = path.filename();
  absl::string_view name = file_name;
  std::int64_t step = -1;
  if (!absl::ConsumePrefix(&name, kPrefix)) return -1;
  const bool evaluated = absl::ConsumeSuffix(&name, kEvaluated);
  return absl::SimpleAtoi(name, &step) && step >= 0 ? 2 * step + (evaluated ? 1 : 0) : -1;
}

}  // namespace

absl::Status WriteState(const std::string& directory, const RunState& state, const std::vector<ArmTensors>& arms) {
  std::error_code error;
  const fs::path root = directory;
  const fs::path final = root / NameOf(state.step, state.evaluated_step == state.step);
  if (fs::exists(final, error)) return absl::OkStatus();  // nothing has happened since
  const fs::path temporary = root / "writing";
  fs::remove_all(temporary, error);
  if (!fs::create_directories(temporary, error) && error) {
    return checkpoint::ErrnoStatus(error.value(), temporary, "create");
  }
  if (absl::Status status = WriteFiles(temporary, state, arms); !status.ok()) {
    fs::remove_all(temporary, error);
    return status;
  }
  fs::rename(temporary, final, error);
  if (error) return checkpoint::ErrnoStatus(error.value(), final, "rename");
  if (absl::Status status = checkpoint::SyncDirectory(root); !status.ok()) return status;
  for (const fs::directory_entry& entry : fs::directory_iterator(root, error)) {
    const std::int64_t rank = RankOf(entry.path());
    std::error_code ignored;
    if (rank >= 0 && rank < RankOf(final)) fs::remove_all(entry.path(), ignored);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<FoundState>> FindState(const std::vector<std::string>& directories) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  for (const std::string& directory : directories) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
      if (const std::int64_t rank = RankOf(entry.path()); rank >= 0) found.emplace_back(rank, entry.path());
    }
  }
  std::sort(found.rbegin(), found.rend());
  if (found.empty()) return std::nullopt;
  const std::string path = found.front().second / kStateFile;
  const absl::StatusOr<std::string> text = checkpoint::ReadTextFile(path, kMaxStateBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<RunState> state = FromJson(path, *text);
  if (!state.ok()) return state.status();
  return FoundState{.path = found.front().second, .state = *std::move(state)};
}

absl::Status ReadState(const FoundState& found, const std::vector<ArmTensors>& arms) {
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (found.state.arms[i].dropped) continue;
    if (absl::Status status = ReadArm(ArmFile(found.path, i), arms[i]); !status.ok()) return status;
    arms[i].optimizer->set_steps(found.state.arms[i].optimizer_steps);
  }
  return absl::OkStatus();
}

}  // namespace petit::distill
