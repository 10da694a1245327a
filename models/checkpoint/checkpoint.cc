#include "models/checkpoint/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/checkpoint/config_json.h"
#include "models/checkpoint/file.h"
#include "models/checkpoint/finite.h"
#include "models/checkpoint/json.h"
#include "models/checkpoint/sha256.h"
#include "models/checkpoint/weight_files.h"
#include "models/t5/tensors.h"

namespace petit::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and used as it lies");

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
// Read, checked and hashed while it is in the second-level cache. Even: no element lies across two chunks.
constexpr std::size_t kChunkBytes = 512 << 10;

struct LocatedTensor {
  TensorView view;
  std::size_t file = 0;
};

absl::Status CheckDirectory(const std::string& directory) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(directory, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return absl::NotFoundError(absl::StrCat(Quote(directory), ": no such directory; expected a checkpoint there"));
  }
  if (error) return ErrnoStatus(error.value(), directory, "stat");
  if (status.type() != std::filesystem::file_type::directory) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(directory), ": is not a directory; expected a checkpoint"));
  }
  return absl::OkStatus();
}

absl::StatusOr<GenerationConfig> ReadGenerationConfig(const std::string& directory, const t5::T5Config& config) {
  const std::string path = absl::StrCat(directory, "/generation_config.json");
  const absl::StatusOr<std::string> text = ReadTextFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) return ParseGenerationConfig("{}", path, config);
  if (!text.ok()) return text.status();
  return ParseGenerationConfig(*text, path, config);
}

// Hashes what the results depend on rather than config.json's bytes, which every writer arranges differently.
void HashConfig(const t5::T5Config& config, const GenerationConfig& generation, Sha256& hash) {
  hash.UpdateField("petit checkpoint digest 1");
  hash.UpdateField(absl::StrCat(
      "vocab_size=", config.vocab_size, " d_model=", config.d_model, " d_kv=", config.d_kv, " d_ff=", config.d_ff,
      " num_layers=", config.num_layers, " num_decoder_layers=", config.num_decoder_layers,
      " num_heads=", config.num_heads, " num_buckets=", config.relative_attention_num_buckets,
      " max_distance=", config.relative_attention_max_distance, " layer_norm_epsilon=",
      std::bit_cast<std::uint32_t>(config.layer_norm_epsilon), " activation=", static_cast<int>(config.activation),
      " gated=", config.gated, " tied=", config.tie_word_embeddings, " start=", generation.decoder_start_token_id,
      " pad=", generation.pad_token_id, " eos=", absl::StrJoin(generation.eos_token_ids, ",")));
}

// One pass over a file's range, in chunks. By pread, not through the mapping: a file that is cut meanwhile gives an
// error here, where a mapping would give SIGBUS, and no page becomes resident.
class Reader {
 public:
  Reader() : chunk_(kChunkBytes) {}

  // visit(span of bytes, offset in the range) -> Status
  template <typename Visit>
  absl::Status Read(const ReadableFile& file, std::uint64_t begin, std::uint64_t end, Visit visit) {
    for (std::uint64_t at = begin; at < end; at += chunk_.size()) {
      const auto bytes = absl::MakeSpan(chunk_).subspan(0, std::min<std::uint64_t>(chunk_.size(), end - at));
      if (auto status = file.ReadAt(at, bytes); !status.ok()) return status;
      if (absl::Status status = visit(absl::Span<const std::byte>(bytes), at - begin); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  std::vector<std::byte> chunk_;
};

absl::Status CheckFinite(const ReadableFile& file, const SafetensorsEntry& entry, absl::Span<const std::byte> data,
                         std::uint64_t offset) {
  const auto bad = FirstNonFinite(entry.dtype, data);
  if (!bad) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      file.path(), ": tensor ", Quote(entry.name), " has ", NonFiniteName(entry.dtype, data, *bad), " at element ",
      offset / DTypeSize(entry.dtype) + static_cast<std::uint64_t>(*bad), "; expected finite numbers only"));
}

// Checks every tensor's values and hashes the required ones.
absl::Status ReadTensors(const WeightFiles& weights, const std::vector<ResolvedTensor>& resolved, Sha256& hash) {
  Reader reader;
  absl::flat_hash_set<const FoundTensor*> done;
  for (const ResolvedTensor& tensor : resolved) {
    done.insert(tensor.found);
    const SafetensorsEntry& entry = tensor.found->entry;
    hash.UpdateField(tensor.name);
    hash.UpdateField(absl::StrCat(std::string(DTypeName(entry.dtype)), "[", absl::StrJoin(entry.shape, ","), "]"));
    const ReadableFile& file = weights.files[tensor.found->file];
    auto status =
        reader.Read(file, entry.begin, entry.end, [&](absl::Span<const std::byte> data, std::uint64_t offset) {
          hash.Update(data);
          return CheckFinite(file, entry, data, offset);
        });
    if (!status.ok()) return status;
  }
  for (const auto& [name, found] : weights.tensors) {
    if (done.contains(&found)) continue;
    const SafetensorsEntry& entry = found.entry;
    const ReadableFile& file = weights.files[found.file];
    auto status = reader.Read(
        file, found.entry.begin, found.entry.end,
        [&](absl::Span<const std::byte> data, std::uint64_t offset) { return CheckFinite(file, entry, data, offset); });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// A checkpoint without a tokenizer is one that cannot translate text, but its weights are whole: whoever needs the
// tokenizer says that it is missing.
absl::Status HashTokenizer(const std::string& path, Sha256& hash) {
  absl::StatusOr<ReadableFile> file = ReadableFile::Open(path);
  if (absl::IsNotFound(file.status())) return absl::OkStatus();
  if (!file.ok()) return file.status();
  hash.UpdateField("spiece.model");
  hash.UpdateNumber(file->size());
  Reader reader;
  return reader.Read(*file, 0, file->size(), [&hash](absl::Span<const std::byte> data, std::uint64_t) {
    hash.Update(data);
    return absl::OkStatus();
  });
}

}  // namespace

struct Checkpoint::Impl {
  std::string directory;
  t5::T5Config config;
  GenerationConfig generation_config;
  std::vector<Mapping> mappings;
  absl::flat_hash_map<std::string, LocatedTensor> tensors;
  std::int64_t bytes_on_disk = 0;
  std::int64_t parameters = 0;
  std::string digest;
};

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& directory) {
  if (auto status = CheckDirectory(directory); !status.ok()) return status;
  auto impl = std::make_unique<Impl>();
  impl->directory = directory;

  const std::string config_path = absl::StrCat(directory, "/config.json");
  const absl::StatusOr<std::string> config_text = ReadTextFile(config_path, kMaxConfigBytes);
  if (!config_text.ok()) return config_text.status();
  absl::StatusOr<t5::T5Config> config = ParseConfig(*config_text, config_path);
  if (!config.ok()) return config.status();
  impl->config = *std::move(config);
  absl::StatusOr<GenerationConfig> generation = ReadGenerationConfig(directory, impl->config);
  if (!generation.ok()) return generation.status();
  impl->generation_config = *std::move(generation);

  const absl::StatusOr<WeightFiles> weights = OpenWeightFiles(directory);
  if (!weights.ok()) return weights.status();
  const absl::StatusOr<std::vector<ResolvedTensor>> resolved = ResolveTensors(*weights, impl->config);
  if (!resolved.ok()) return resolved.status();

  Sha256 hash;
  HashConfig(impl->config, impl->generation_config, hash);
  if (auto status = ReadTensors(*weights, *resolved, hash); !status.ok()) return status;
  if (auto status = HashTokenizer(absl::StrCat(directory, "/spiece.model"), hash); !status.ok()) return status;
  absl::StatusOr<std::string> digest = hash.HexDigest();
  if (!digest.ok()) return digest.status();
  impl->digest = *std::move(digest);

  for (const ReadableFile& file : weights->files) {
    absl::StatusOr<Mapping> mapping = Mapping::Map(file);
    if (!mapping.ok()) return mapping.status();
    impl->mappings.push_back(*std::move(mapping));
    impl->bytes_on_disk += static_cast<std::int64_t>(file.size());
  }
  for (const ResolvedTensor& tensor : *resolved) {
    const SafetensorsEntry& entry = tensor.found->entry;
    TensorView view = {.dtype = entry.dtype,
                       .shape = entry.shape,
                       .data = impl->mappings[tensor.found->file].data() + entry.begin,
                       .bytes = static_cast<std::size_t>(entry.end - entry.begin)};
    impl->parameters += static_cast<std::int64_t>(view.bytes / DTypeSize(view.dtype));
    impl->tensors.emplace(tensor.name, LocatedTensor{.view = std::move(view), .file = tensor.found->file});
  }
  return Checkpoint(std::move(impl));
}

const std::string& Checkpoint::directory() const { return impl_->directory; }
const t5::T5Config& Checkpoint::config() const { return impl_->config; }
const GenerationConfig& Checkpoint::generation_config() const { return impl_->generation_config; }
std::string Checkpoint::tokenizer_path() const { return absl::StrCat(impl_->directory, "/spiece.model"); }

TensorView Checkpoint::tensor(std::string_view name) const {
  const auto found = impl_->tensors.find(absl::string_view(name.data(), name.size()));
  return found == impl_->tensors.end() ? TensorView() : found->second.view;
}

void Checkpoint::Evict(std::string_view name) const {
  const auto found = impl_->tensors.find(absl::string_view(name.data(), name.size()));
  if (found == impl_->tensors.end()) return;
  impl_->mappings[found->second.file].Evict(found->second.view.data, found->second.view.bytes);
}

std::int64_t Checkpoint::bytes_on_disk() const { return impl_->bytes_on_disk; }
std::int64_t Checkpoint::parameters() const { return impl_->parameters; }
const std::string& Checkpoint::digest() const { return impl_->digest; }

}  // namespace petit::checkpoint
