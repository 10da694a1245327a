#include "models/distill/functions.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "models/distill/kernels.h"

namespace petit::distill {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kGrain = 32768;  // elements below which waking a thread costs more than it brings

std::int64_t RowGrain(std::int64_t width) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width));
}

at::Tensor AsFloat(const at::Tensor& x) { return x.to(at::kFloat).contiguous(); }

// Calls f with a null pointer of the element type that the kernels have for `type`.
template <typename F>
void WithElementsOf(at::ScalarType type, F f) {
  if (type == at::kBFloat16) {
    f(static_cast<kernels::BFloat16*>(nullptr));
  } else {
    f(static_cast<float*>(nullptr));
  }
}

template <typename T>
const T* Read(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
template <typename T>
T* Write(const at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

class DropoutFunction : public Function<DropoutFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double p, std::int64_t key) {
    context->saved_data["p"] = p;
    context->saved_data["key"] = key;
    return Apply(x, p, key);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {Apply(gradients[0], context->saved_data["p"].toDouble(), context->saved_data["key"].toInt()), at::Tensor(),
            at::Tensor()};
  }

 private:
  static at::Tensor Apply(const at::Tensor& x, double p, std::int64_t key) {
    const at::Tensor from = x.contiguous();
    at::Tensor to = at::empty_like(from);
    WithElementsOf(x.scalar_type(), [&]<typename T>(T*) {
      at::parallel_for(0, from.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        kernels::Dropout(static_cast<std::uint64_t>(key), static_cast<float>(p), begin, end, Read<T>(from),
                         Write<T>(to));
      });
    });
    return to;
  }
};

// x + dropout(y), y of either type.
class AddDroppedFunction : public Function<AddDroppedFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& y, double p,
                            std::int64_t key) {
    context->saved_data["p"] = p;
    context->saved_data["key"] = key;
    context->saved_data["type"] = static_cast<std::int64_t>(y.scalar_type());
    const at::Tensor base = x.contiguous();
    const at::Tensor more = y.contiguous();
    at::Tensor sum = at::empty_like(base);
    WithElementsOf(y.scalar_type(), [&]<typename T>(T*) {
      at::parallel_for(0, x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        kernels::AddDropped(static_cast<std::uint64_t>(key), static_cast<float>(p), begin, end, Read<float>(base),
                            Read<T>(more), Write<float>(sum));
      });
    });
    return sum;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto key = static_cast<std::uint64_t>(context->saved_data["key"].toInt());
    const auto p = static_cast<float>(context->saved_data["p"].toDouble());
    const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
    const at::Tensor gradient = AsFloat(gradients[0]);
    at::Tensor dy = at::empty_like(gradient, gradient.options().dtype(type));
    WithElementsOf(type, [&]<typename T>(T*) {
      at::parallel_for(0, gradient.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        kernels::Dropout(key, p, begin, end, Read<float>(gradient), Write<T>(dy));
      });
    });
    return {gradients[0], dy, at::Tensor(), at::Tensor()};
  }
};

class RmsNormFunction : public Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double epsilon,
                            at::ScalarType type) {
    const at::Tensor from = AsFloat(x);
    const std::int64_t rows = from.size(0);
    const std::int64_t width = from.size(1);
    at::Tensor to = at::empty_like(from, from.options().dtype(type));
    at::Tensor scales = at::empty({rows}, from.options());
    WithElementsOf(type, [&]<typename T>(T*) {
      at::parallel_for(0, rows, RowGrain(width), [&](std::int64_t begin, std::int64_t end) {
        kernels::RmsNorm(Read<float>(from) + begin * width, Read<float>(weight), static_cast<float>(epsilon),
                         end - begin, width, Write<T>(to) + begin * width, Write<float>(scales) + begin);
      });
    });
    context->save_for_backward({from, weight, scales});
    return to;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous();
    const std::int64_t rows = dy.size(0);
    const std::int64_t width = dy.size(1);
    at::Tensor dx = at::empty_like(saved[0]);
    // One partial sum per part of the rows, added in order: the result depends on the number of threads alone.
    const std::int64_t parts = std::clamp<std::int64_t>(rows * width / kGrain, 1, at::get_num_threads());
    at::Tensor partial = at::zeros({parts, width}, dx.options());
    WithElementsOf(dy.scalar_type(), [&]<typename T>(T*) {
      at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t part = first; part < last; ++part) {
          const std::int64_t begin = rows * part / parts;
          const std::int64_t end = rows * (part + 1) / parts;
          kernels::RmsNormBackward(Read<T>(dy) + begin * width, Read<float>(saved[0]) + begin * width,
                                   Read<float>(saved[1]), Read<float>(saved[2]) + begin, end - begin, width,
                                   Write<float>(dx) + begin * width, Write<float>(partial) + part * width);
        }
      });
    });
    return {dx, parts == 1 ? partial.squeeze(0) : partial.sum(0), at::Tensor(), at::Tensor()};
  }
};

class ActivationFunction : public Function<ActivationFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, std::int64_t activation, bool gated) {
    context->saved_data["activation"] = activation;
    context->saved_data["gated"] = gated;
    const at::Tensor from = x.contiguous();
    context->save_for_backward({from});
    const std::int64_t rows = from.size(0);
    const std::int64_t stride = from.size(1);
    const std::int64_t width = gated ? stride / 2 : stride;
    at::Tensor to = at::empty({rows, width}, from.options());
    WithElementsOf(x.scalar_type(), [&]<typename T>(T*) {
      at::parallel_for(0, rows, RowGrain(stride), [&](std::int64_t begin, std::int64_t end) {
        kernels::Activation(static_cast<t5::Activation>(activation), gated, Read<T>(from) + begin * stride, end - begin,
                            width, Write<T>(to) + begin * width);
      });
    });
    return to;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto activation = static_cast<t5::Activation>(context->saved_data["activation"].toInt());
    const bool gated = context->saved_data["gated"].toBool();
    const at::Tensor x = context->get_saved_variables()[0];
    const at::Tensor dy = gradients[0].contiguous();
    const std::int64_t width = dy.size(1);
    const std::int64_t stride = x.size(1);
    at::Tensor dx = at::empty_like(x);
    WithElementsOf(x.scalar_type(), [&]<typename T>(T*) {
      at::parallel_for(0, dy.size(0), RowGrain(stride), [&](std::int64_t begin, std::int64_t end) {
        kernels::ActivationBackward(activation, gated, Read<T>(x) + begin * stride, Read<T>(dy) + begin * width,
                                    end - begin, width, Write<T>(dx) + begin * stride);
      });
    });
    return {dx, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

std::uint64_t MixBits(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a + 0x9e3779b97f4a7c15ULL * (b + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::uint64_t DropoutKeys::Next() { return MixBits(base_, calls_++); }

at::Tensor Dropout(const at::Tensor& x, double p, DropoutKeys* keys) {
  if (p <= 0 || keys == nullptr) return x;
  const std::uint64_t key = keys->Next();
  if (x.is_cpu()) return DropoutFunction::apply(x, p, static_cast<std::int64_t>(key));
  at::Generator generator = at::globalContext().defaultGenerator(x.device());
  generator.set_current_seed(key);
  return x * at::empty_like(x).bernoulli_(1 - p, generator).div_(1 - p);
}

at::Tensor AddDropped(const at::Tensor& x, const at::Tensor& y, double p, DropoutKeys* keys) {
  if (!x.is_cpu()) return x + Dropout(y.to(at::kFloat), p, keys);
  const bool drops = p > 0 && keys != nullptr;
  const std::uint64_t key = drops ? keys->Next() : 0;
  return AddDroppedFunction::apply(x, y, drops ? p : 0.0, static_cast<std::int64_t>(key));
}

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::ScalarType type) {
  if (x.is_cpu()) return RmsNormFunction::apply(x, weight, epsilon, type);
  const at::Tensor wide = x.to(at::kFloat);
  return (weight * wide * (wide.square().mean(-1, /*keepdim=*/true) + epsilon).rsqrt()).to(type);
}

at::Tensor FeedForwardActivation(const at::Tensor& x, t5::Activation activation, bool gated) {
  if (x.is_cpu()) return ActivationFunction::apply(x, static_cast<std::int64_t>(activation), gated);
  const std::int64_t width = gated ? x.size(1) / 2 : x.size(1);
  const at::Tensor input = gated ? x.narrow(1, 0, width) : x;
  at::Tensor y;
  switch (activation) {
    case t5::Activation::kRelu:
      y = at::relu(input);
      break;
    case t5::Activation::kGeluNew:
      y = at::gelu(input, "tanh");
      break;
    case t5::Activation::kGelu:
      y = at::gelu(input, "none");
      break;
    case t5::Activation::kSilu:
      y = at::silu(input);
      break;
  }
  return gated ? y * x.narrow(1, width, width) : y;
}

}  // namespace petit::distill
