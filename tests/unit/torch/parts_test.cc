// The promises of the parts: our CPU kernels compute what LibTorch's operations do; pages; quantisation; biases.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "models/t5/relative_position.h"
#include "models/torch/cpu_attention.h"
#include "models/torch/cpu_kernels.h"
#include "models/torch/decoder_step.h"
#include "models/torch/guard.h"
#include "models/torch/linear.h"
#include "models/torch/packed_attention.h"
#include "models/torch/page_pool.h"
#include "models/torch/threads.h"
#include "tests/unit/torch/fixture.h"

namespace petit::torch_executor {
namespace {

double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class Parts : public testing::Test {
 protected:
  Parts() { at::manual_seed(1); }
  const c10::InferenceMode no_autograd_;
  const c10::Device cpu_ = c10::Device(c10::DeviceType::CPU);
};

TEST_F(Parts, AModelHasAThreadForEach64MiBOfItsWeights) {
  SetTorchThreads(3);
  const std::pair<std::int64_t, int> expected[] = {{0, 1}, {64, 1}, {127, 1}, {128, 2}, {192, 3}, {3000, 3}};
  for (const auto& [mebibytes, threads] : expected) EXPECT_EQ(ThreadsFor(mebibytes << 20, 1), threads) << mebibytes;
  SetTorchThreads(1);
  EXPECT_EQ(ThreadsFor(std::int64_t{3} << 30, 1), 1);
}

TEST_F(Parts, ReplicasShareTheThreadsOut) {
  SetTorchThreads(8);
  const std::pair<int, int> expected[] = {{1, 8}, {2, 4}, {3, 2}, {8, 1}, {9, 1}};
  for (const auto& [replicas, threads] : expected) {
    EXPECT_EQ(ThreadsFor(std::int64_t{3} << 30, replicas), threads) << replicas;
  }
  EXPECT_EQ(ThreadsFor(std::int64_t{128} << 20, 2), 2);
  SetTorchThreads(1);
}

TEST_F(Parts, ThreadsAreBorrowedForAWhile) {
  SetTorchThreads(3);
  {
    const WithThreads two(2);
    EXPECT_EQ(at::get_num_threads(), 2);
    {
      const WithThreads one(1);
      EXPECT_EQ(at::get_num_threads(), 1);
    }
    EXPECT_EQ(at::get_num_threads(), 2);
  }
  EXPECT_EQ(at::get_num_threads(), 3);
  SetTorchThreads(1);
}

TEST_F(Parts, RmsNormIsTheFormulaEvenBelowEpsilon) {
  for (const int width : {1, 7, 48, 512}) {
    for (const double size : {1e-4, 1.0, 300.0}) {
      const at::Tensor x = at::randn({5, width}) * size;
      const at::Tensor w = at::rand({width}) + 0.5;
      const at::Tensor expected = w * (x * (x.square().mean(-1, true) + 1e-6).rsqrt());
      EXPECT_LT(MaxDifference(CpuRmsNorm(x, w, 1e-6F), expected), 2e-6) << width << " " << size;
    }
  }
}

TEST_F(Parts, Bf16RmsNormRoundsBeforeTheWeightAsHuggingFace) {
  const at::Tensor x = (at::randn({40, 64}) * 3).to(at::kBFloat16);
  const at::Tensor w = (at::rand({64}) + 0.5).to(at::kBFloat16);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor expected = w * (wide * (wide.square().mean(-1, true) + 1e-6).rsqrt()).to(at::kBFloat16);
  const at::Tensor ours = CpuRmsNorm(x, w, 1e-6F);
  // The sum's order may move a value across a rounding edge, seldom.
  EXPECT_LT((ours != expected).sum().item<std::int64_t>(), 26);
}

TEST_F(Parts, ActivationsAreLibTorchs) {
  const at::Tensor x =
      at::cat({at::linspace(-20, 20, 1000), at::tensor({-1e4F, -0.0F, 1e4F, 80.0F, -80.0F})}).view({1, -1});
  const at::Tensor gate = at::randn_like(x);
  const at::Tensor both = at::cat({x, gate}, 1);
  const std::vector<std::pair<t5::Activation, at::Tensor>> expected = {{t5::Activation::kRelu, at::relu(x)},
                                                                       {t5::Activation::kGeluNew, at::gelu(x, "tanh")},
                                                                       {t5::Activation::kGelu, at::gelu(x, "none")},
                                                                       {t5::Activation::kSilu, at::silu(x)}};
  for (const auto& [activation, y] : expected) {
    const at::Tensor scale = y.abs() + 1;
    EXPECT_LT(MaxDifference(CpuActivation(x, activation, false) / scale, y / scale), 2e-6);
    EXPECT_LT(MaxDifference(CpuActivation(both, activation, true) / scale, y * gate / scale), 4e-6);
    const at::Tensor low = CpuActivation(both.to(at::kBFloat16), activation, true);
    EXPECT_LT(MaxDifference(low / scale, y * gate / scale), 0.05);
  }
}

// Pages in a scattered order, lengths around page ends, garbage where no key lies.
TEST_F(Parts, RaggedAttentionIsSoftmaxOverTheRowsOwnKeys) {
  constexpr int kHeads = 3;
  constexpr int kWidth = 37;  // two vectors and a rest
  const int inner = kHeads * kWidth;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    at::Tensor pages = at::randn({64, kHeads, 2, kWidth * kPageTokens}).to(type);
    const at::Tensor page_keys = pages.select(2, 0).view({64, kHeads, kWidth, kPageTokens});
    const at::Tensor page_values = pages.select(2, 1).view({64, kHeads, kPageTokens, kWidth});
    const at::Tensor query = at::randn({6, 3 * inner}).to(type);  // a row of q, k, v
    const at::Tensor bias = at::randn({kHeads, 101}) * 2;
    const std::vector<int> lengths = {1, 4, 16, 17, 33, 100};
    std::vector<std::vector<int>> numbers;
    std::vector<RowKeys> rows;
    for (std::size_t i = 0, page = 0; i < lengths.size(); ++i) {
      std::vector<int>& own = numbers.emplace_back();
      for (std::int64_t p = 0; p < PagesFor(lengths[i]); ++p) own.push_back(static_cast<int>((page++ * 27) % 64));
      const int last = lengths[i] % kPageTokens;
      if (last != 0) {
        const float nan = std::numeric_limits<float>::quiet_NaN();
        page_keys[own.back()].narrow(2, last, kPageTokens - last).fill_(nan);
        page_values[own.back()].narrow(1, last, kPageTokens - last).fill_(nan);
      }
    }
    for (std::size_t i = 0; i < lengths.size(); ++i) rows.push_back({numbers[i], lengths[i]});
    for (const bool biased : {false, true}) {
      const at::Tensor none;
      const at::Tensor out = CpuRaggedAttention({.query = query.narrow(1, 0, inner),
                                                 .pages = pages,
                                                 .rows = rows,
                                                 .heads = kHeads,
                                                 .head_width = kWidth,
                                                 .bias = biased ? bias : none});
      for (std::size_t i = 0; i < lengths.size(); ++i) {
        const at::Tensor index = at::tensor(numbers[i], at::kInt).to(at::kLong);
        const at::Tensor k = page_keys.index_select(0, index).permute({1, 2, 0, 3}).reshape({kHeads, kWidth, -1});
        const at::Tensor v = page_values.index_select(0, index).transpose(0, 1).reshape({kHeads, -1, kWidth});
        const at::Tensor q = query[static_cast<std::int64_t>(i)].narrow(0, 0, inner).view({kHeads, 1, kWidth});
        at::Tensor scores = at::bmm(q.to(at::kFloat), k.narrow(2, 0, lengths[i]).to(at::kFloat));
        if (biased) scores = scores + bias.narrow(1, 101 - lengths[i], lengths[i]).unsqueeze(1);
        const at::Tensor expected =
            at::bmm(at::softmax(scores, -1), v.narrow(1, 0, lengths[i]).to(at::kFloat)).view({-1});
        EXPECT_LT(MaxDifference(out[static_cast<std::int64_t>(i)], expected), type == at::kFloat ? 1e-5 : 2e-2) << i;
      }
    }
  }
}

TEST_F(Parts, PackedAttentionIsTheSamePaddedOrOneByOne) {
  const std::vector<int> queries = {3, 1, 20};
  const std::vector<int> keys = {7, 2, 5};
  const at::Tensor q = at::randn({24, 30});
  const at::Tensor k = at::randn({14, 30});
  const at::Tensor v = at::randn({14, 30});
  PackedAttentionInput input{.query = q,
                             .key = k,
                             .value = v,
                             .query_lengths = queries,
                             .key_lengths = keys,
                             .heads = 3,
                             .head_width = 10,
                             .bias = nullptr,
                             .padded = false};
  const at::Tensor one_by_one = PackedAttention(input);
  input.padded = true;
  EXPECT_LT(MaxDifference(PackedAttention(input), one_by_one), 1e-5);
}

TEST_F(Parts, BiasesFollowTheBuckets) {
  t5::T5Config config;
  const at::Tensor table = at::randn({32, 4});
  for (const bool bidirectional : {true, false}) {
    PositionBias bias(table, bidirectional, config);
    for (const int length : {1, 5, 300, 64}) {
      const at::Tensor square = bias.Square(length);
      ASSERT_EQ(square.sizes(), at::IntArrayRef({4, length, length}));
      for (const auto& [i, j] :
           {std::pair(0, length - 1), std::pair(length - 1, 0), std::pair(length / 2, length / 2)}) {
        const float ours = square[2][i][j].item<float>();
        if (!bidirectional && j > i) {
          EXPECT_EQ(ours, decoding::kNegInf);
        } else {
          EXPECT_EQ(ours, table[t5::RelativePositionBucket(j - i, bidirectional, 32, 128)][2].item<float>());
        }
      }
    }
  }
  PositionBias causal(table, false, config);
  for (const int longest : {0, 5, 255, 256, 1000, 3}) {
    const at::Tensor by_distance = causal.ByDistance(longest);
    ASSERT_GT(by_distance.size(1), longest);
    for (const int distance : {0, longest / 2, longest}) {
      EXPECT_EQ(by_distance[1][by_distance.size(1) - 1 - distance].item<float>(),
                table[t5::RelativePositionBucket(-distance, false, 32, 128)][1].item<float>());
    }
  }
}

TEST_F(Parts, FusedQuantisedLayersAreTheSeparateOnesBitByBit) {
  const std::vector<at::Tensor> parts = {at::randn({30, 48}), at::randn({30, 48}) * 7, at::randn({20, 48}) * 0.01};
  const Linear fused = Linear::Quantized(parts);
  for (const int rows : {1, 5, 64}) {
    const at::Tensor x = at::randn({rows, 48}) * 2;
    std::vector<at::Tensor> separate;
    for (const at::Tensor& part : parts) separate.push_back(Linear::Quantized({part}).Apply(x));
    EXPECT_TRUE(at::equal(fused.Apply(x), at::cat(separate, 1)));
  }
}

TEST_F(Parts, AQuantisedZeroLayerIsZero) {
  EXPECT_TRUE(at::equal(Linear::Quantized({at::zeros({4, 8})}).Apply(at::randn({2, 8})), at::zeros({2, 4})));
}

TEST_F(Parts, PackedLayersComputeWhatPlainOnesDo) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor weight = at::randn({1200, 256}).to(type);
    for (const int rows : {1, 7, 33}) {
      const at::Tensor x = at::randn({rows, 256}).to(type);
      const at::Tensor expected = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t());
      const double tolerance = type == at::kFloat ? 1e-4 : 0.3;
      EXPECT_LT(MaxDifference(Linear::Dense(weight).Apply(x), expected), tolerance);
      EXPECT_LT(MaxDifference(Linear::Packed(weight).Apply(x), expected), tolerance);
    }
  }
}

TEST_F(Parts, LinearLayersAddInPlace) {
  const at::Tensor weight = at::randn({6, 8});
  const at::Tensor x = at::randn({3, 8});
  for (const Linear& linear : {Linear::Dense(weight), Linear::Packed(weight), Linear::Quantized({weight})}) {
    at::Tensor residual = at::ones({3, 6});
    linear.AddTo(x, &residual);
    EXPECT_LT(MaxDifference(residual, linear.Apply(x) + 1), 1e-5);
  }
}

TEST_F(Parts, PagesKeepTheirContentsWhenThePoolGrows) {
  PagePool pool(2, 2, 3, at::kFloat, cpu_);
  pool.Reserve(1);
  const int first = pool.Allocate();
  pool.layer(1)[first].fill_(3);
  pool.Reserve(50);
  std::vector<int> pages;
  for (int i = 0; i < 50; ++i) pages.push_back(pool.Allocate());
  EXPECT_THAT(pages, testing::Not(testing::Contains(first)));
  pages.push_back(first);
  std::sort(pages.begin(), pages.end());
  EXPECT_EQ(std::unique(pages.begin(), pages.end()), pages.end());
  EXPECT_TRUE(at::equal(pool.layer(1)[first], at::full({2, 2, 3 * kPageTokens}, 3.0F)));
  pool.Copy({first}, {pages[0] == first ? pages[1] : pages[0]});
  EXPECT_EQ(pool.layer(1).sum().item<float>(), 2 * 3 * kPageTokens * 12);
}

TEST_F(Parts, SharedPagesLiveUntilTheLastReference) {
  PagePool pool(1, 2, 3, at::kFloat, cpu_);
  pool.Reserve(1);
  const int page = pool.Allocate();
  EXPECT_FALSE(pool.IsShared(page));
  pool.Share(page);
  EXPECT_TRUE(pool.IsShared(page));
  pool.Unref(page);
  EXPECT_EQ(pool.pages_in_use(), 1);
  pool.Unref(page);
  EXPECT_EQ(pool.pages_in_use(), 0);
}

// Beams fork for 64 steps; the footprint of what was promised is never exceeded, and Release gives all back.
TEST_F(Parts, FootprintIsAnUpperBoundOfThePagesInUse) {
  const checkpoint::Checkpoint tiny = OpenTiny("v1_0");
  const ModelWeights weights = LoadWeights(tiny, Precision::kFp32, cpu_);
  Forward forward(weights, /*generic=*/false);
  DecoderStep decoder(&forward);
  const Ids source(37, 5);
  const engine::Newcomer newcomer{0, source};
  ASSERT_TRUE(decoder.Admit({&newcomer, 1}).ok());
  const RowRequest request;
  std::vector<RowResult> results;
  for (int step = 0; step < 64; ++step) {
    std::vector<engine::StepRow> rows;
    for (int i = 0; i < 4; ++i) rows.push_back({0, step == 0 ? -1 : (i * 3 + step) % 4, &request});
    ASSERT_TRUE(decoder.Step(rows, &results).ok());
    const std::int64_t page_bytes = 2LL * kPageTokens * 2 * 30 * 4;
    EXPECT_LE(decoder.pages_in_use() * page_bytes, decoder.Footprint(37, step + 1, 4));
  }
  decoder.DropRows();
  EXPECT_EQ(decoder.pages_in_use(), PagesFor(37));
  const engine::Slot slot = 0;
  decoder.Release({&slot, 1});
  EXPECT_EQ(decoder.pages_in_use(), 0);
}

TEST_F(Parts, EncoderStatesAreHuggingFaces) {
  for (const char* version : {"v1_0", "v1_1"}) {
    const nlohmann::json golden = Golden(version);
    const checkpoint::Checkpoint tiny = OpenTiny(version);
    const ModelWeights weights = LoadWeights(tiny, Precision::kFp32, cpu_);
    const auto sources = golden["sources"].get<std::vector<Ids>>();
    PackedIds ids;
    for (const Ids& source : sources) ids.Append(source);
    for (const bool generic : {false, true}) {
      Forward forward(weights, generic);
      const at::Tensor states = forward.Encode(ids).narrow(0, 21, 150);
      const nlohmann::json& expected = golden["encoder_every_10th"];
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const at::Tensor row = at::tensor(expected[i].get<std::vector<float>>());
        EXPECT_LT(MaxDifference(states[static_cast<std::int64_t>(i) * 10], row), 1e-4) << version << " " << i;
      }
    }
  }
}

TEST_F(Parts, ExceptionsBecomeStatuses) {
  const auto status_of = [](auto&& thrower) {
    return Guarded("trying", [&] {
      thrower();
      return absl::OkStatus();
    });
  };
  EXPECT_EQ(status_of([] { throw std::bad_alloc(); }).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status_of([] { at::empty({std::int64_t{1} << 60}); }).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status_of([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "full"); }).code(),
            absl::StatusCode::kResourceExhausted);
  const absl::Status internal = status_of([] { TORCH_CHECK(false, "no such thing"); });
  EXPECT_EQ(internal.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(internal.ToString(), testing::HasSubstr("trying: LibTorch: no such thing"));
  EXPECT_THAT(internal.ToString(), testing::Not(testing::HasSubstr("frame #")));
}

}  // namespace
}  // namespace petit::torch_executor
