// Trains on a fixed list of batches by the parts of models/distill, and says what a step costs. As a worker of
// distill_bench.py it answers each line "STEPS" on its standard input with a line of JSON; with --arms it measures what
// several arms of one job cost beside as many jobs; with --make it writes a checkpoint of random weights.
// See tests/bench/README.md.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/distill/arm.h"
#include "models/distill/batch.h"
#include "models/distill/student_files.h"
#include "models/distill/teacher.h"
#include "models/distill/tensor_heap.h"
#include "models/distill/text_data.h"
#include "models/tokenizer/tokenizer.h"
#include "models/torch/torch_executor.h"

namespace {

using petit::checkpoint::Checkpoint;
using petit::distill::Batch;
using petit::distill::Example;
using petit::distill::T5Module;
using petit::distill::Teacher;
using petit::distill::TeacherOutputs;

struct Options {
  std::string teacher;
  std::string student;
  std::string texts;
  std::string prefix = "translate English to French: ";
  std::string ids;
  std::string make;
  std::string shape;
  std::string precision = "fp32";
  int threads = 1;
  int batch = 32;
  int batches = 24;
  bool by_length = false;
  double dropout = 0.1;
  int arms = 0;
  int rounds = 3;
  int steps = 8;
};

[[noreturn]] void Fail(const std::string& message) {
  std::cerr << "distill_bench: " << message << "\n";
  std::exit(1);
}

template <typename T>
T OrFail(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(std::string(value.status().message()));
  return *std::move(value);
}

struct Cost {
  double wall = 0;  // seconds
  double cpu = 0;   // of all threads

  Cost operator-(const Cost& other) const { return {.wall = wall - other.wall, .cpu = cpu - other.cpu}; }
};

Cost Now() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * t.tv_usec; };
  return {.wall = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(),
          .cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime)};
}

std::int64_t ResidentMiB() {
  std::ifstream file("/proc/self/statm");
  std::int64_t pages = 0;
  file >> pages >> pages;
  return pages * 4096 / (1 << 20);
}

std::vector<Example> ReadExamples(const Options& options, const std::string& checkpoint) {
  std::string error;
  const auto tokenizer = petit::tokenizer::Tokenizer::Load(checkpoint, &error);
  if (tokenizer == nullptr) Fail(error);
  petit::distill::TextSet set;
  set.path = options.texts;
  set.prefix = options.prefix;
  std::vector<Example> examples;
  for (const auto& pair : OrFail(petit::distill::ReadPairs(set))) {
    examples.push_back(petit::distill::Tokenize(pair, 128, 128, *tokenizer));
  }
  if (options.by_length) {
    std::stable_sort(examples.begin(), examples.end(), [](const Example& a, const Example& b) {
      return a.source.size() + a.target.size() < b.source.size() + b.target.size();
    });
  }
  return examples;
}

// The examples in their order, again and again.
std::vector<Batch> MakeBatches(const Options& options, const std::vector<Example>& examples, int decoder_start) {
  std::vector<Batch> batches;
  std::size_t next = 0;
  for (int i = 0; i < options.batches; ++i) {
    std::vector<const Example*> chosen;
    for (int j = 0; j < options.batch; ++j) chosen.push_back(&examples[next++ % examples.size()]);
    batches.push_back(petit::distill::MakeBatch(chosen, decoder_start));
  }
  return batches;
}

void WriteIds(const std::string& path, const std::vector<Batch>& batches) {
  std::ofstream file(path);
  for (const Batch& batch : batches) {
    nlohmann::json line;
    for (const Example* example : batch.examples) {
      line["sources"].push_back(example->source);
      line["targets"].push_back(example->target);
    }
    file << line.dump() << "\n";
  }
  if (!file.flush()) Fail("cannot write " + path);
}

class Trainer {
 public:
  Trainer(const Options& options, int arms)
      : precision_(options.precision == "bf16" ? petit::distill::TrainingPrecision::kBf16
                                               : petit::distill::TrainingPrecision::kFp32),
        dropout_(options.dropout) {
    const Checkpoint teacher = OrFail(Checkpoint::Open(options.teacher));
    const Checkpoint student = OrFail(Checkpoint::Open(options.student));
    examples_ = ReadExamples(options, options.student);
    batches_ = MakeBatches(options, examples_, student.config().decoder_start_token_id);
    distribution_ = student.config().vocab_size;
    teacher_ = OrFail(Teacher::Load(teacher, at::kCPU, precision_, distribution_));
    for (int i = 0; i < arms; ++i) {
      modules_.push_back(std::make_unique<T5Module>(student.config(), at::kCPU));
      LoadParameters(student, modules_.back().get());
      optimizers_.push_back(
          std::make_unique<petit::distill::Optimizer>(petit::distill::OptimizerSettings(), modules_.back().get()));
    }
  }

  const std::vector<Batch>& batches() const { return batches_; }

  const Batch& Next() { return batches_[next_++ % batches_.size()]; }
  TeacherOutputs Teach(const Batch& batch) { return teacher_->Run(batch, loss_.temperature, 0, false); }
  // A student's part alone.
  void StudentStep(const Batch& batch, const TeacherOutputs& taught) {
    Accumulate(batch, taught, 0);
    Update(0);
  }
  // The teacher, then the arms [0, arms).
  void Step(const Batch& batch, int arms) {
    const TeacherOutputs taught = Teach(batch);
    for (int i = 0; i < arms; ++i) {
      Accumulate(batch, taught, i);
      Update(i);
    }
  }

 private:
  void Accumulate(const Batch& batch, const TeacherOutputs& taught, int arm) {
    petit::distill::DropoutKeys random(petit::distill::MixBits(next_, arm));
    petit::distill::StepSums sums;
    AddGradients({.module = modules_[arm].get(),
                  .batch = batch,
                  .taught = taught,
                  .alpha = 0.5,
                  .loss = loss_,
                  .distribution_size = distribution_,
                  .total_target_tokens = batch.target_tokens(),
                  .total_source_tokens = batch.source_tokens(),
                  .precision = precision_,
                  .dropout = dropout_,
                  .random = &random},
                 &sums);
  }
  void Update(int arm) { optimizers_[arm]->Step(1e-5); }

  const petit::distill::TrainingPrecision precision_;
  const double dropout_;
  const petit::distill::LossSettings loss_;
  std::vector<Example> examples_;
  std::vector<Batch> batches_;
  std::size_t next_ = 0;
  int distribution_ = 0;
  std::unique_ptr<Teacher> teacher_;
  std::vector<std::unique_ptr<T5Module>> modules_;
  std::vector<std::unique_ptr<petit::distill::Optimizer>> optimizers_;
};

void Answer(const Options& options) {
  Trainer trainer(options, 1);
  std::string line;
  std::size_t done = 0;
  while (std::getline(std::cin, line)) {
    const int steps = std::stoi(line);
    std::int64_t tokens = 0;
    for (int i = 0; i < steps; ++i) {
      const Batch& batch = trainer.batches()[done++ % trainer.batches().size()];
      tokens += batch.source_tokens() + batch.target_tokens();
    }
    const Cost began = Now();
    for (int i = 0; i < steps; ++i) trainer.Step(trainer.Next(), 1);
    const Cost took = Now() - began;
    std::cout << nlohmann::json{{"tokens", tokens}, {"wall", took.wall}, {"cpu", took.cpu}, {"mib", ResidentMiB()}}
              << std::endl;
  }
}

Cost Median(std::vector<Cost> costs) {
  Cost median;
  const auto middle = costs.begin() + static_cast<std::ptrdiff_t>(costs.size() / 2);
  std::nth_element(costs.begin(), middle, costs.end(), [](const Cost& a, const Cost& b) { return a.wall < b.wall; });
  median.wall = middle->wall;
  std::nth_element(costs.begin(), middle, costs.end(), [](const Cost& a, const Cost& b) { return a.cpu < b.cpu; });
  median.cpu = middle->cpu;
  return median;
}

// One job of n arms beside n jobs: T + n S of nT + nS.
void MeasureArms(const Options& options) {
  const int n = options.arms;
  Trainer trainer(options, n);
  std::vector<std::vector<Cost>> costs(4);
  const auto timed = [](const std::function<void()>& work) {
    const Cost began = Now();
    work();
    return Now() - began;
  };
  for (int round = 0; round < options.rounds + 1; ++round) {
    for (int step = 0; step < options.steps; ++step) {
      // All four on the same batch, one after the other, so that a busy machine slows all alike; each first in its
      // turn.
      const Batch& batch = trainer.Next();
      const TeacherOutputs taught = trainer.Teach(batch);
      const std::vector<std::function<void()>> works = {
          [&] { trainer.Teach(batch); },
          [&] { trainer.StudentStep(batch, taught); },
          [&] { trainer.Step(batch, n); },
          [&] { trainer.Step(batch, 1); },
      };
      for (std::size_t i = 0; i < works.size(); ++i) {
        const std::size_t turn = (i + static_cast<std::size_t>(step)) % works.size();
        const Cost cost = timed(works[turn]);
        if (round > 0) costs[turn].push_back(cost);  // the first round warms up
      }
    }
  }
  const Cost t = Median(costs[0]);
  const Cost s = Median(costs[1]);
  const Cost together = Median(costs[2]);
  const Cost single = Median(costs[3]);
  std::printf("| milliseconds a step, medians of %zu | wall | CPU |\n|---|---|---|\n", costs[0].size());
  const auto row = [](const std::string& name, double wall, double cpu, double unit, const char* format) {
    std::printf("| %s | ", name.c_str());
    std::printf(format, wall * unit);
    std::printf(" | ");
    std::printf(format, cpu * unit);
    std::printf(" |\n");
  };
  const std::string jobs = std::to_string(n);
  row("T: the teacher's forward", t.wall, t.cpu, 1e3, "%.1f");
  row("S: one student's step", s.wall, s.cpu, 1e3, "%.1f");
  row("one arm (T + S)", single.wall, single.cpu, 1e3, "%.1f");
  row(jobs + " arms of one job", together.wall, together.cpu, 1e3, "%.1f");
  row(jobs + " jobs of one arm", n * single.wall, n * single.cpu, 1e3, "%.1f");
  const auto bound = [n](double teacher, double student) {
    return (teacher + n * student) / (n * teacher + n * student);
  };
  row("one job's share of " + jobs + " jobs", together.wall / (n * single.wall), together.cpu / (n * single.cpu), 1,
      "%.3f");
  row("(T + nS) / (nT + nS), n = " + jobs, bound(t.wall, s.wall), bound(t.cpu, s.cpu), 1, "%.3f");
  row("the first over the second; 1.1 is the most", together.wall / (n * single.wall) / bound(t.wall, s.wall),
      together.cpu / (n * single.cpu) / bound(t.cpu, s.cpu), 1, "%.3f");
}

// The shapes of google/flan-t5-*, with the demo's tokenizer.
void MakeCheckpoint(const Options& options) {
  petit::distill::StudentOrigin origin;
  const Checkpoint demo = OrFail(Checkpoint::Open(options.student));
  origin.config = demo.config();
  origin.generation = demo.generation_config();
  origin.tokenizer_directory = options.student;
  origin.dtype = petit::checkpoint::DType::kBF16;
  petit::t5::T5Config& config = origin.config;
  config.vocab_size = 32128;
  config.d_kv = 64;
  const auto shape = [&config](int d_model, int d_ff, int heads, int layers) {
    config.d_model = d_model;
    config.d_ff = d_ff;
    config.num_heads = heads;
    config.num_layers = config.num_decoder_layers = layers;
  };
  if (options.shape == "small") shape(512, 1024, 6, 8);
  if (options.shape == "base") shape(768, 2048, 12, 12);
  if (options.shape == "large") shape(1024, 2816, 16, 24);
  T5Module module(config, at::kCPU);
  InitialiseParameters(1, &module);
  if (const absl::Status status = WriteStudent(options.make, origin, module); !status.ok()) {
    Fail(std::string(status.message()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Speed of training by distillation.", "petit_distill_bench");
  app.add_option("--teacher", options.teacher, "checkpoint");
  app.add_option("--student", options.student, "checkpoint that the student begins as")->required();
  app.add_option("--texts", options.texts, "lines SOURCE TAB TARGET");
  app.add_option("--precision", options.precision)->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber);
  app.add_option("--batch", options.batch, "examples of a step")->check(CLI::PositiveNumber);
  app.add_option("--batches", options.batches, "different batches")->check(CLI::PositiveNumber);
  app.add_flag("--by-length", options.by_length, "batches of examples of like length, which pad little");
  app.add_option("--dropout", options.dropout)->check(CLI::Range(0.0, 0.9));
  app.add_option("--ids", options.ids, "write the batches here, and end");
  app.add_option("--arms", options.arms, "measure a job of so many arms, and end");
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "steps of a round")->check(CLI::PositiveNumber);
  app.add_option("--make", options.make, "write a checkpoint of random weights there, and end");
  app.add_option("--shape", options.shape, "its shape")->check(CLI::IsMember({"small", "base", "large"}));
  CLI11_PARSE(app, argc, argv);
  petit::torch_executor::SetTorchThreads(options.threads);
  petit::distill::UseTensorHeap();
  if (!options.make.empty()) {
    MakeCheckpoint(options);
  } else if (!options.ids.empty()) {
    WriteIds(options.ids, MakeBatches(options, ReadExamples(options, options.student), 0));
  } else if (options.arms > 0) {
    MeasureArms(options);
  } else {
    Answer(options);
  }
  return 0;
}
