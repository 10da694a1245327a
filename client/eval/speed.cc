#include "client/eval/speed.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace petit::eval {
namespace {

constexpr int kBinsPerDecade = 20;
constexpr double kShortest = 1e-5;  // seconds

double PerSecond(std::int64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

// The middle one, or the mean of the middle two.
template <typename Get>
double Median(const std::vector<PassSpeed>& passes, const Get& get) {
  std::vector<double> values;
  values.reserve(passes.size());
  for (const PassSpeed& pass : passes) values.push_back(get(pass));
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Percentiles MedianPercentiles(const std::vector<PassSpeed>& passes, Percentiles PassSpeed::*which) {
  return {.p50 = Median(passes, [which](const PassSpeed& pass) { return (pass.*which).p50; }),
          .p95 = Median(passes, [which](const PassSpeed& pass) { return (pass.*which).p95; }),
          .p99 = Median(passes, [which](const PassSpeed& pass) { return (pass.*which).p99; })};
}

int BinOf(double seconds) {
  return static_cast<int>(std::floor(std::log10(std::max(seconds, kShortest)) * kBinsPerDecade));
}

double EdgeOf(int bin) { return std::pow(10.0, static_cast<double>(bin) / kBinsPerDecade); }

LatencyHistogram Histogram(const std::vector<TimedPass>& passes) {
  LatencyHistogram histogram;
  int first = 0;
  int last = 0;
  bool any = false;
  for (const TimedPass& pass : passes) {
    for (const float seconds : pass.latencies) {
      const int bin = BinOf(seconds);
      first = any ? std::min(first, bin) : bin;
      last = any ? std::max(last, bin) : bin;
      any = true;
    }
  }
  if (!any) return histogram;
  histogram.counts.resize(static_cast<std::size_t>(last - first) + 1);
  for (int bin = first; bin <= last + 1; ++bin) histogram.edges.push_back(EdgeOf(bin));
  for (const TimedPass& pass : passes) {
    for (const float seconds : pass.latencies) ++histogram.counts[static_cast<std::size_t>(BinOf(seconds) - first)];
  }
  return histogram;
}

}  // namespace

Percentiles PercentilesOf(std::vector<float> seconds) {
  if (seconds.empty()) return {};
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double share) -> double {
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(seconds.size())));
    return seconds[std::max<std::size_t>(rank, 1) - 1];
  };
  return {.p50 = at(0.50), .p95 = at(0.95), .p99 = at(0.99)};
}

Speed Summarize(const std::vector<TimedPass>& passes) {
  Speed speed;
  for (const TimedPass& pass : passes) {
    speed.passes.push_back({.seconds = pass.seconds,
                            .sentences_per_second = PerSecond(pass.texts, pass.seconds),
                            .tokens_per_second = PerSecond(pass.target_tokens, pass.seconds),
                            .latency = PercentilesOf(pass.latencies),
                            .first_token = PercentilesOf(pass.first_tokens),
                            .idle = pass.idle});
  }
  const auto [shortest, longest] =
      std::minmax_element(speed.passes.begin(), speed.passes.end(),
                          [](const PassSpeed& a, const PassSpeed& b) { return a.seconds < b.seconds; });
  speed.median = {
      .seconds = Median(speed.passes, [](const PassSpeed& pass) { return pass.seconds; }),
      .sentences_per_second = Median(speed.passes, [](const PassSpeed& pass) { return pass.sentences_per_second; }),
      .tokens_per_second = Median(speed.passes, [](const PassSpeed& pass) { return pass.tokens_per_second; }),
      .latency = MedianPercentiles(speed.passes, &PassSpeed::latency),
      .first_token = MedianPercentiles(speed.passes, &PassSpeed::first_token),
      .idle = std::all_of(speed.passes.begin(), speed.passes.end(), [](const PassSpeed& pass) { return pass.idle; })};
  if (speed.median.seconds > 0) speed.spread = (longest->seconds - shortest->seconds) / speed.median.seconds;
  speed.histogram = Histogram(passes);
  return speed;
}

}  // namespace petit::eval
