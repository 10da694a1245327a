// A trainable T5: parameters by Hugging Face's names, a forward pass over packed sequences that autograd can follow,
// dropout where Hugging Face's T5 has it.
#ifndef PETIT_MODELS_DISTILL_MODULE_H_
#define PETIT_MODELS_DISTILL_MODULE_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/distill/batch.h"
#include "models/distill/functions.h"
#include "models/distill/settings.h"
#include "models/t5/config.h"

namespace petit::distill {

struct Parameter {
  std::string name;
  at::Tensor value;  // fp32, a leaf that requires a gradient
};

class T5Module {
 public:
  // Parameters in t5::RequiredTensors' order, uninitialised.
  T5Module(const t5::T5Config& config, at::Device device);

  const t5::T5Config& config() const { return config_; }
  at::Device device() const { return device_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  at::Tensor parameter(const std::string& name) const;

  struct Outputs {
    at::Tensor encoded;  // [source tokens, d_model], the encoder's last state, after dropout
    // [target tokens, d_model], the decoder's last state, ready for the product with `output_weight`.
    at::Tensor hidden;
    at::Tensor output_weight;  // [vocab_size, d_model], of the products' precision
  };
  // LibTorch's operations in place of our CPU kernel for attention. For tests that hold the two together.
  void UseGenericAttention() { generic_attention_ = true; }

  // `random`: of dropout; null: none (evaluation).
  Outputs Forward(const Batch& batch, TrainingPrecision precision, double dropout, DropoutKeys* random) const;

 private:
  class Pass;
  t5::T5Config config_;
  at::Device device_;
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, std::size_t> index_;
  bool generic_attention_ = false;
};

at::ScalarType ScalarTypeOf(checkpoint::DType dtype);

// Copies one of the checkpoint's tensors.
void CopyTensor(const checkpoint::Checkpoint& checkpoint, const std::string& name, const at::Tensor& to);

// Copies the checkpoint's weights.
void LoadParameters(const checkpoint::Checkpoint& checkpoint, T5Module* module);

// Random weights with the deviations of Hugging Face's T5 (initializer_factor 1).
void InitialiseParameters(std::uint64_t seed, T5Module* module);

// Layers `kept` evenly spaced among `count`, the first and the last among them: of 4, 2 are {0, 3}. One is {0}.
std::vector<int> EvenlySpaced(int count, int kept);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_MODULE_H_
