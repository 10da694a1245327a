#include "models/distill/student_files.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <filesystem>
#include <regex>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/t5/tensors.h"

namespace petit::distill {
namespace {

namespace fs = std::filesystem;

// "encoder.block.3.layer..." of the student is which tensor of the teacher?
std::string TeacherName(const std::string& name, const std::vector<int>& encoder, const std::vector<int>& decoder) {
  static const std::regex pattern("(encoder|decoder)\\.block\\.([0-9]+)\\.(.*)");
  std::smatch match;
  if (!std::regex_match(name, match, pattern)) return name;
  const std::vector<int>& layers = match[1] == "encoder" ? encoder : decoder;
  // Block 0 alone has the position bias, and EvenlySpaced keeps it first.
  return absl::StrCat(match[1].str(), ".block.", layers[std::stoul(match[2])], ".", match[3].str());
}

}  // namespace

StudentOrigin MakeOrigin(const Settings& settings, const checkpoint::Checkpoint* teacher,
                         const checkpoint::Checkpoint* initial) {
  const checkpoint::Checkpoint& base = initial != nullptr ? *initial : *teacher;
  StudentOrigin origin{.config = base.config(),
                       .generation = base.generation_config(),
                       .dtype = base.tensor(t5::kSharedEmbedding).dtype,
                       .tokenizer_directory = base.directory()};
  const StudentSettings& student = settings.student;
  switch (student.kind) {
    case StudentKind::kCheckpoint:
      break;
    case StudentKind::kTeacherLayers:
      if (student.encoder_layers > 0) origin.config.num_layers = student.encoder_layers;
      if (student.decoder_layers > 0) origin.config.num_decoder_layers = student.decoder_layers;
      break;
    case StudentKind::kRandom:
      origin.config.d_model = student.d_model;
      origin.config.d_kv = student.d_kv;
      origin.config.d_ff = student.d_ff;
      origin.config.num_heads = student.num_heads;
      origin.config.num_layers = student.encoder_layers;
      origin.config.num_decoder_layers = student.decoder_layers;
      origin.config.activation = t5::Activation::kGeluNew;
      origin.config.gated = true;
      origin.config.tie_word_embeddings = false;
      break;
  }
  if (settings.dropout.has_value()) origin.config.dropout_rate = static_cast<float>(*settings.dropout);
  return origin;
}

void InitialiseStudent(const Settings& settings, const checkpoint::Checkpoint* teacher,
                       const checkpoint::Checkpoint* initial, T5Module* module) {
  switch (settings.student.kind) {
    case StudentKind::kCheckpoint:
      return LoadParameters(*initial, module);
    case StudentKind::kRandom:
      return InitialiseParameters(settings.seed, module);
    case StudentKind::kTeacherLayers:
      break;
  }
  const std::vector<int> encoder = EvenlySpaced(teacher->config().num_layers, module->config().num_layers);
  const std::vector<int> decoder =
      EvenlySpaced(teacher->config().num_decoder_layers, module->config().num_decoder_layers);
  for (Parameter& parameter : module->parameters()) {
    CopyTensor(*teacher, TeacherName(parameter.name, encoder, decoder), parameter.value);
  }
}

absl::Status WriteStudent(const std::string& directory, const StudentOrigin& origin, const T5Module& module) {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> copies;
  std::vector<checkpoint::TensorToWrite> tensors;
  for (const Parameter& parameter : module.parameters()) {
    copies.push_back(parameter.value.detach().to(at::kCPU, ScalarTypeOf(origin.dtype)).contiguous());
    const at::Tensor& copy = copies.back();
    tensors.push_back({.name = parameter.name,
                       .dtype = origin.dtype,
                       .shape = copy.sizes().vec(),
                       .data = absl::MakeConstSpan(static_cast<const std::byte*>(copy.const_data_ptr()),
                                                   static_cast<std::size_t>(copy.nbytes()))});
  }
  checkpoint::WriteOptions options;
  for (const char* name : {"spiece.model", "tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path path = fs::path(origin.tokenizer_directory) / name;
    if (fs::exists(path)) options.files_to_copy.push_back(path);
  }
  std::error_code error;
  fs::remove_all(directory, error);
  fs::create_directories(fs::path(directory).parent_path(), error);
  return checkpoint::Write(directory, origin.config, origin.generation, tensors, options);
}

}  // namespace petit::distill
