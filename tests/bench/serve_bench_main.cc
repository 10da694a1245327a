// A closed-loop load on a running server: for each model in turn, N streams each keep one sentence in flight.
// Prints a Markdown table of generated tokens per second and latency, medians over interleaved rounds, and the ratio
// of each model's figure to the continuous variant's. See tests/bench/README.md.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "petit/v1/translation.grpc.pb.h"

namespace {

using petit::v1::TranslateRequest;
using petit::v1::TranslateResponse;
using petit::v1::TranslationService;

struct Options {
  std::string server;
  std::string texts_file;
  std::vector<std::string> models;  // "NAME" or "NAME,VARIANT..." groups are given in order
  std::vector<int> streams = {1, 8, 32};
  double seconds = 6;
  int rounds = 3;
};

struct Figures {
  double tokens_per_second = 0;
  double sentences_per_second = 0;
  double p50_ms = 0;
  double p99_ms = 0;
};

// `streams` calls in flight until the time is up; each completion starts the next.
class ClosedLoop {
 public:
  ClosedLoop(TranslationService::Stub* stub, const std::vector<std::string>& texts, std::string model)
      : stub_(stub), texts_(texts), model_(std::move(model)) {}

  Figures Run(int streams, absl::Duration duration) {
    start_ = absl::Now();
    end_ = start_ + duration;
    in_flight_ = streams;
    for (int i = 0; i < streams; ++i) StartCall();
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](int* in_flight) { return *in_flight == 0; }, &in_flight_));
    }
    if (!error_.empty()) {
      std::cerr << "serve_bench: " << model_ << ": " << error_ << "\n";
      std::exit(1);
    }
    Figures figures;
    const double seconds = absl::ToDoubleSeconds(duration);
    figures.tokens_per_second = static_cast<double>(tokens_) / seconds;
    figures.sentences_per_second = static_cast<double>(latencies_ms_.size()) / seconds;
    std::sort(latencies_ms_.begin(), latencies_ms_.end());
    figures.p50_ms = Percentile(0.50);
    figures.p99_ms = Percentile(0.99);
    return figures;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    TranslateRequest request;
    TranslateResponse response;
    absl::Time started;
  };

  void StartCall() {
    auto call = std::make_shared<Call>();
    auto* options = call->request.mutable_options();
    options->set_model(model_);
    options->set_source_language("en");
    options->set_target_language("fr");
    {
      absl::MutexLock lock(&mutex_);
      call->request.add_texts(texts_[next_text_++ % texts_.size()]);
    }
    call->started = absl::Now();
    stub_->async()->Translate(&call->context, &call->request, &call->response,
                              [this, call](const grpc::Status& status) { Finish(*call, status); });
  }

  void Finish(const Call& call, const grpc::Status& status) {
    const absl::Time now = absl::Now();
    bool again = now < end_;
    {
      absl::MutexLock lock(&mutex_);
      if (!status.ok()) {
        error_ = status.error_message();
        again = false;
      } else if (now <= end_) {  // what ends later does not count
        tokens_ += call.response.results(0).translation().target_tokens();
        latencies_ms_.push_back(absl::ToDoubleMilliseconds(now - call.started));
      }
      if (!again) --in_flight_;
    }
    if (again) StartCall();
  }

  double Percentile(double p) const {
    if (latencies_ms_.empty()) return 0;
    const auto last = static_cast<double>(latencies_ms_.size() - 1);
    return latencies_ms_[static_cast<std::size_t>(std::lround(p * last))];
  }

  TranslationService::Stub* stub_;
  const std::vector<std::string>& texts_;
  std::string model_;
  absl::Time start_, end_;
  absl::Mutex mutex_;
  int in_flight_ = 0;
  std::size_t next_text_ = 0;
  std::int64_t tokens_ = 0;
  std::vector<double> latencies_ms_;
  std::string error_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<std::string> ReadTexts(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> texts;
  for (std::string line; std::getline(file, line);) {
    line = line.substr(0, line.find('\t'));
    if (!line.empty()) texts.push_back(line);
  }
  return texts;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Closed-loop load on a running server");
  app.add_option("--server", options.server, "HOST:PORT")->required();
  app.add_option("--texts", options.texts_file, "file whose first tab-separated column is translated")->required();
  app.add_option("--model", options.models, "models; NAME-static and NAME-single are compared with NAME")->required();
  app.add_option("--streams", options.streams, "concurrent streams")->delimiter(',');
  app.add_option("--seconds", options.seconds, "measured per model, streams and round");
  app.add_option("--rounds", options.rounds, "interleaved rounds; medians are printed");
  CLI11_PARSE(app, argc, argv);

  const std::vector<std::string> texts = ReadTexts(options.texts_file);
  if (texts.empty()) {
    std::cerr << "serve_bench: no texts in " << options.texts_file << "\n";
    return 1;
  }
  auto stub = TranslationService::NewStub(grpc::CreateChannel(options.server, grpc::InsecureChannelCredentials()));

  for (const std::string& model : options.models) {  // kernels compiled, caches warm
    ClosedLoop(stub.get(), texts, model).Run(options.streams.back(), absl::Seconds(1));
  }
  std::map<std::pair<std::string, int>, std::vector<Figures>> measured;
  for (int round = 0; round < options.rounds; ++round) {
    for (int streams : options.streams) {
      for (const std::string& model : options.models) {
        measured[{model, streams}].push_back(
            ClosedLoop(stub.get(), texts, model).Run(streams, absl::Seconds(options.seconds)));
        std::cerr << "." << std::flush;
      }
    }
  }
  std::cerr << "\n";

  const auto median = [&](const std::string& model, int streams, double Figures::*field) {
    std::vector<double> values;
    for (const Figures& figures : measured[{model, streams}]) values.push_back(figures.*field);
    return Median(values);
  };
  std::printf("| model | streams | tokens/s | min-max | sentences/s | p50 ms | p99 ms | continuous is faster by |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  for (const std::string& model : options.models) {
    for (int streams : options.streams) {
      const auto& rounds = measured[{model, streams}];
      const auto [low, high] = std::minmax_element(rounds.begin(), rounds.end(), [](const auto& a, const auto& b) {
        return a.tokens_per_second < b.tokens_per_second;
      });
      const double tokens = median(model, streams, &Figures::tokens_per_second);
      std::string ratio;
      for (const char* variant : {"-static", "-single"}) {
        const std::size_t at = model.rfind(variant);
        if (at == std::string::npos || !measured.count({model.substr(0, at), streams})) continue;
        ratio = absl::StrFormat("%.2f x", median(model.substr(0, at), streams, &Figures::tokens_per_second) / tokens);
      }
      std::printf("| %s | %d | %.0f | %.0f-%.0f | %.1f | %.1f | %.1f | %s |\n", model.c_str(), streams, tokens,
                  low->tokens_per_second, high->tokens_per_second,
                  median(model, streams, &Figures::sentences_per_second), median(model, streams, &Figures::p50_ms),
                  median(model, streams, &Figures::p99_ms), ratio.c_str());
    }
  }
  return 0;
}
