// The trainer's differentiable functions against LibTorch's own operations, in both precisions.
#include "models/distill/functions.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <string>
#include <vector>

#include "models/distill/product.h"
#include "models/distill/rows.h"

namespace petit::distill {
namespace {

struct Precision {
  const char* name;
  at::ScalarType type;
  double tolerance;
};

class Functions : public testing::TestWithParam<Precision> {
 protected:
  using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

  void SetUp() override { at::manual_seed(1); }
  at::Tensor Random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam().type); }

  // Values and all gradients. `expected` computes in fp32.
  void ExpectEqual(const std::vector<at::Tensor>& inputs, const Function& actual, const Function& expected) const {
    std::vector<at::Tensor> ours;
    std::vector<at::Tensor> theirs;
    for (const at::Tensor& input : inputs) {
      ours.push_back(input.clone().set_requires_grad(true));
      theirs.push_back(input.to(at::kFloat).clone().set_requires_grad(true));
    }
    const at::Tensor a = actual(ours);
    const at::Tensor b = expected(theirs);
    ExpectNear(a, b, "value");
    const at::Tensor gradient = at::randn(b.sizes()).to(a.scalar_type());
    torch::autograd::backward({a}, {gradient});
    torch::autograd::backward({b}, {gradient.to(at::kFloat)});
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ExpectNear(ours[i].grad(), theirs[i].grad(), "gradient " + std::to_string(i));
    }
  }

  void ExpectNear(const at::Tensor& a, const at::Tensor& b, const std::string& what) const {
    ASSERT_EQ(a.sizes(), b.sizes()) << what;
    const double scale = b.detach().abs().max().item<double>();
    EXPECT_LT((a.detach().to(at::kFloat) - b.detach()).abs().max().item<double>(), GetParam().tolerance * scale)
        << what;
  }
};

// Widths beyond one block of the kernels, and no multiple of anything.
TEST_P(Functions, RmsNormIsTheFormula) {
  const at::ScalarType type = GetParam().type;
  ExpectEqual(
      {at::randn({5, 397}), at::randn({397})}, [type](const auto& in) { return RmsNorm(in[0], in[1], 1e-6, type); },
      [](const auto& in) { return in[1] * in[0] * (in[0].square().mean(-1, true) + 1e-6).rsqrt(); });
}

TEST_P(Functions, ActivationsAreLibTorchs) {
  const auto gelu_new = [](const at::Tensor& x) { return at::gelu(x, "tanh"); };
  ExpectEqual(
      {Random({7, 2 * 309})},
      [](const auto& in) { return FeedForwardActivation(in[0], t5::Activation::kGeluNew, true); },
      [&](const auto& in) { return gelu_new(in[0].narrow(1, 0, 309)) * in[0].narrow(1, 309, 309); });
  const std::vector<std::pair<t5::Activation, std::function<at::Tensor(const at::Tensor&)>>> plain = {
      {t5::Activation::kRelu, [](const at::Tensor& x) { return at::relu(x); }},
      {t5::Activation::kGeluNew, gelu_new},
      {t5::Activation::kGelu, [](const at::Tensor& x) { return at::gelu(x, "none"); }},
      {t5::Activation::kSilu, [](const at::Tensor& x) { return at::silu(x); }},
  };
  for (const auto& [activation, function] : plain) {
    SCOPED_TRACE(static_cast<int>(activation));
    ExpectEqual(
        {Random({7, 309})},
        [activation = activation](const auto& in) { return FeedForwardActivation(in[0], activation, false); },
        [function = function](const auto& in) { return function(in[0]); });
  }
}

TEST_P(Functions, AddDroppedAddsWhatDropoutGives) {
  const at::ScalarType type = GetParam().type;
  for (const double p : {0.0, 0.25}) {
    SCOPED_TRACE(p);
    ExpectEqual(
        {at::randn({9, 123}), Random({9, 123})},
        [p, type](const auto& in) {
          DropoutKeys keys(3);
          return AddDropped(in[0], in[1].to(type), p, &keys);
        },
        [p](const auto& in) {
          DropoutKeys keys(3);
          return in[0] + Dropout(in[1], p, &keys);
        });
  }
}

TEST_P(Functions, ProductsAreLibTorchs) {
  for (const std::int64_t rows : {1, 33, 64}) {
    SCOPED_TRACE(rows);
    ExpectEqual(
        {Random({rows, 48}), Random({80, 48})}, [](const auto& in) { return Product(in[0], in[1]); },
        [](const auto& in) { return at::mm(in[0], in[1].t()); });
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, Functions,
                         testing::Values(Precision{"Fp32", at::kFloat, 1e-5}, Precision{"Bf16", at::kBFloat16, 8e-3}),
                         [](const auto& info) { return info.param.name; });

TEST(Rows, AreFewNumbersAndNotManyMore) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t tokens = 1; tokens <= 8192; ++tokens) {
    const std::int64_t rows = RowsToCompute(tokens);
    EXPECT_GE(rows, tokens);
    EXPECT_EQ(rows % kRowUnit, 0);
    EXPECT_EQ(RowsToCompute(rows), rows);
    EXPECT_TRUE(rows - tokens < kRowUnit || 16 * (rows - tokens) < tokens) << tokens;
    if (numbers.empty() || numbers.back() != rows) numbers.push_back(rows);
  }
  EXPECT_LT(numbers.size(), 100);
}

}  // namespace
}  // namespace petit::distill
