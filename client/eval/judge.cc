#include "client/eval/judge.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/metrics/bleu.h"
#include "client/metrics/chrf.h"
#include "client/metrics/rouge.h"

namespace petit::eval {
namespace {

using metrics::BleuStatistics;
using metrics::ChrfStatistics;

// What the sentences of one cell contribute, from which corpus scores and their resamples are sums.
struct Sentences {
  std::vector<BleuStatistics> bleu;
  std::vector<ChrfStatistics> chrf;
  std::vector<double> rouge_l;
  std::vector<double> rouge_l_unicode;

  void Add(const std::string& hypothesis, const std::string& reference) {
    const std::span<const std::string> references(&reference, 1);
    bleu.push_back(metrics::ComputeBleuStatistics(hypothesis, references));
    chrf.push_back(metrics::ComputeChrfStatistics(hypothesis, references));
    rouge_l.push_back(metrics::SentenceRougeL(hypothesis, reference, metrics::RougeWords::kAscii).f1);
    rouge_l_unicode.push_back(metrics::SentenceRougeL(hypothesis, reference, metrics::RougeWords::kUnicode).f1);
  }
};

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

// `baseline` and `teacher` may be null.
template <typename Statistics>
MetricScore Resample(double score, const std::vector<Statistics>& system, const std::vector<Statistics>* baseline,
                     const std::vector<Statistics>* teacher, const Measurement& measurement) {
  const metrics::ResamplingOptions options{.trials = measurement.bootstrap_samples, .seed = measurement.seed};
  MetricScore result{.score = score};
  const auto compare = [&](const std::vector<Statistics>& other) -> std::optional<double> {
    const auto paired =
        metrics::PairedBootstrap(std::span<const Statistics>(other), std::span<const Statistics>(system), options);
    if (!paired) return std::nullopt;
    // sacreBLEU's definition gives equal systems a small one.
    return paired->baseline == paired->system ? 1.0 : paired->p_value;
  };
  const auto interval = metrics::BootstrapInterval(std::span<const Statistics>(system), options);
  if (baseline != nullptr) result.p_value = compare(*baseline);
  if (teacher != nullptr) result.teacher_p_value = teacher == baseline ? result.p_value : compare(*teacher);
  if (interval) {
    result.mean = interval->mean;
    result.half_width = interval->half_width;
  }
  return result;
}

// One cell while its set is read.
class CellTally {
 public:
  CellTally(const Cell& cell, bool is_teacher) : cell_(cell), is_teacher_(is_teacher) {
    scores_.model = cell.model->plan.name;
    scores_.set = cell.set->plan.name;
  }

  absl::Status OpenTexts(const std::string& directory) {
    if (directory.empty()) return absl::OkStatus();
    const std::string below = absl::StrCat(directory, "/", scores_.set);
    std::error_code error;
    std::filesystem::create_directories(below, error);
    if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make ", below));
    texts_path_ = absl::StrCat(below, "/", absl::StrReplaceAll(scores_.model, {{"/", "_"}}), ".txt");
    texts_.open(texts_path_, std::ios::binary | std::ios::trunc);
    return texts_.good() ? absl::OkStatus() : absl::UnknownError(absl::StrCat("cannot write ", texts_path_));
  }

  // The translation of a line; empty where there is none.
  absl::StatusOr<std::string> Add(const data::Pair& pair) {
    const absl::StatusOr<std::string> record = cell_.hypotheses->Read(pair.line);
    if (!record.ok()) return record.status();
    absl::StatusOr<Hypothesis> hypothesis = ParseHypothesis(*record);
    if (!hypothesis.ok()) return hypothesis.status();
    if (hypothesis->status.ok()) {
      scores_.empty += absl::StripAsciiWhitespace(hypothesis->text).empty() ? 1 : 0;
      scores_.truncated += hypothesis->truncated ? 1 : 0;
      scores_.source_tokens += hypothesis->source_tokens;
      scores_.unknown_source_tokens += hypothesis->unknown_source_tokens;
      scores_.target_tokens += hypothesis->target_tokens;
    } else {
      scores_.failures.push_back({.line = pair.line, .status = hypothesis->status});
    }
    ++scores_.pairs;
    sentences_.Add(hypothesis->text, pair.reference);
    if (texts_.is_open()) texts_ << hypothesis->text << '\n';
    if (absl::Status status = AddLikelihood(pair.line); !status.ok()) return status;
    return std::move(hypothesis->text);
  }

  void CompareWithTeacher(const std::string& hypothesis, const std::string& teachers) {
    same_ += hypothesis == teachers ? 1 : 0;
    to_teacher_.AddPair(hypothesis, teachers);
  }

  absl::StatusOr<CellScores> Finish(const Plan& plan, const Sentences* baseline, const Sentences* teacher) {
    if (texts_.is_open()) {
      texts_.close();
      if (texts_.fail()) return absl::ResourceExhaustedError(absl::StrCat("cannot write ", texts_path_));
    }
    const Measurement& how = plan.measurement;
    BleuStatistics bleu;
    for (const BleuStatistics& sentence : sentences_.bleu) bleu += sentence;
    ChrfStatistics chrf;
    for (const ChrfStatistics& sentence : sentences_.chrf) chrf += sentence;
    const auto resample = [&](double score, auto Sentences::*member) {
      return Resample(score, sentences_.*member, baseline ? &(baseline->*member) : nullptr,
                      teacher ? &(teacher->*member) : nullptr, how);
    };
    scores_.bleu = resample(metrics::ComputeBleu(bleu).score, &Sentences::bleu);
    scores_.chrf = resample(metrics::ComputeChrf(chrf), &Sentences::chrf);
    scores_.rouge_l = resample(100 * Mean(sentences_.rouge_l), &Sentences::rouge_l);
    scores_.rouge_l_unicode = resample(100 * Mean(sentences_.rouge_l_unicode), &Sentences::rouge_l_unicode);
    if (bleu.reference_length > 0) {
      scores_.length_ratio = static_cast<double>(bleu.hypothesis_length) / static_cast<double>(bleu.reference_length);
    }
    if (scored_tokens_ > 0) {
      const auto tokens = static_cast<double>(scored_tokens_);
      scores_.perplexity = std::exp(nats_ / tokens);
      if (!plan.teacher.empty())
        scores_.divergence = Divergence{.nats = divergence_ / tokens, .tokens = scored_tokens_};
    }
    if (!plan.teacher.empty() && scores_.pairs > 0) {
      scores_.agreement = is_teacher_
                              ? Agreement{.exact = 1, .bleu = 100}
                              : Agreement{.exact = static_cast<double>(same_) / static_cast<double>(scores_.pairs),
                                          .bleu = to_teacher_.Score().score};
    }
    return std::move(scores_);
  }

  const Sentences& sentences() const { return sentences_; }
  const std::string& model() const { return cell_.model->plan.name; }
  std::int64_t unscored() const { return unscored_; }
  const absl::Status& first_unscored() const { return first_unscored_; }

 private:
  absl::Status AddLikelihood(std::int64_t line) {
    if (cell_.likelihoods == nullptr || !cell_.likelihoods->Has(line)) return absl::OkStatus();
    const absl::StatusOr<std::string> record = cell_.likelihoods->Read(line);
    if (!record.ok()) return record.status();
    const absl::StatusOr<Likelihood> likelihood = ParseLikelihood(*record);
    if (!likelihood.ok()) return likelihood.status();
    if (!likelihood->status.ok()) {
      if (unscored_++ == 0) first_unscored_ = likelihood->status;
      return absl::OkStatus();
    }
    scored_tokens_ += likelihood->tokens;
    nats_ += likelihood->nats;
    divergence_ += likelihood->divergence;
    return absl::OkStatus();
  }

  const Cell& cell_;
  const bool is_teacher_;
  CellScores scores_;
  Sentences sentences_;
  std::string texts_path_;
  std::ofstream texts_;
  std::int64_t scored_tokens_ = 0;
  double nats_ = 0;
  double divergence_ = 0;
  std::int64_t unscored_ = 0;
  absl::Status first_unscored_;
  std::int64_t same_ = 0;
  metrics::Bleu to_teacher_;
};

double Disagreement(const std::vector<std::string>& hypotheses) {
  double sum = 0;
  int pairs = 0;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j, ++pairs) {
      if (hypotheses[i] == hypotheses[j]) continue;
      sum += 1 - metrics::SentenceChrf(hypotheses[i], std::span(&hypotheses[j], 1)) / 100;
    }
  }
  return pairs > 0 ? sum / pairs : 0;
}

// The few examples with the most disagreement.
class ExampleKeeper {
 public:
  explicit ExampleKeeper(const Plan& plan) : limit_(static_cast<std::size_t>(plan.measurement.examples)) {}

  void Offer(const std::vector<Cell*>& cells, const data::Pair& pair, const std::vector<std::string>& hypotheses) {
    if (limit_ == 0 || cells.size() < 2) return;
    const double disagreement = Disagreement(hypotheses);
    if (disagreement == 0 || (kept_.size() == limit_ && disagreement <= kept_.back().disagreement)) return;
    Example example{.set = cells[0]->set->plan.name,
                    .line = pair.line,
                    .source = pair.source,
                    .reference = pair.reference,
                    .disagreement = disagreement,
                    .hypotheses = {}};
    for (std::size_t i = 0; i < cells.size(); ++i) {
      example.hypotheses.push_back({.model = cells[i]->model->plan.name,
                                    .text = hypotheses[i],
                                    .bleu = metrics::SentenceBleu(hypotheses[i], std::span(&pair.reference, 1)).score});
    }
    if (kept_.size() == limit_) kept_.pop_back();
    const auto place = std::upper_bound(kept_.begin(), kept_.end(), disagreement,
                                        [](double value, const Example& other) { return value > other.disagreement; });
    kept_.insert(place, std::move(example));
  }

  std::vector<Example> Take() { return std::move(kept_); }

 private:
  const std::size_t limit_;
  std::vector<Example> kept_;  // most disagreement first
};

}  // namespace

Signatures MetricSignatures() {
  metrics::Bleu bleu;
  metrics::Chrf chrf;
  metrics::RougeL ascii(metrics::RougeWords::kAscii);
  metrics::RougeL unicode(metrics::RougeWords::kUnicode);
  bleu.AddPair("a", "a");
  chrf.AddPair("a", "a");
  return {.bleu = bleu.Signature(),
          .chrf = chrf.Signature(),
          .rouge_l = ascii.Signature(),
          .rouge_l_unicode = unicode.Signature()};
}

absl::StatusOr<SetScores> Judge(const Plan& plan, const std::vector<Cell*>& cells,
                                const std::string& hypotheses_directory, const Surroundings& surroundings) {
  const SetUnderTest& set = *cells.at(0)->set;
  std::vector<std::unique_ptr<CellTally>> tallies;
  std::optional<std::size_t> teacher;
  std::optional<std::size_t> baseline;
  for (const Cell* cell : cells) {
    if (cell->model->plan.name == plan.teacher) teacher = tallies.size();
    if (cell->model->plan.name == plan.baseline) baseline = tallies.size();
    tallies.push_back(std::make_unique<CellTally>(*cell, cell->model->plan.name == plan.teacher));
    if (absl::Status status = tallies.back()->OpenTexts(hypotheses_directory); !status.ok()) return status;
  }
  absl::StatusOr<data::PairReader> reader = data::PairReader::Open(set.plan.files, surroundings.interrupt_fd);
  if (!reader.ok()) return reader.status();
  ExampleKeeper examples(plan);
  std::vector<std::string> hypotheses(cells.size());
  while (true) {
    const absl::StatusOr<std::optional<data::Pair>> pair = reader->Next();
    if (!pair.ok()) return pair.status();
    if (!*pair) break;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      absl::StatusOr<std::string> hypothesis = tallies[i]->Add(**pair);
      if (!hypothesis.ok()) return hypothesis.status();
      hypotheses[i] = *std::move(hypothesis);
    }
    for (std::size_t i = 0; teacher && i < cells.size(); ++i) {
      tallies[i]->CompareWithTeacher(hypotheses[i], hypotheses[*teacher]);
    }
    examples.Offer(cells, **pair, hypotheses);
  }
  SetScores scores;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto other = [&](std::optional<std::size_t> index) {
      return index && *index != i ? &tallies[*index]->sentences() : nullptr;
    };
    absl::StatusOr<CellScores> cell = tallies[i]->Finish(plan, other(baseline), other(teacher));
    if (!cell.ok()) return cell.status();
    if (tallies[i]->unscored() > 0) {
      scores.problems.push_back(
          absl::StrCat(set.plan.name, ": ", tallies[i]->model(), ": ", tallies[i]->unscored(),
                       " pairs were not scored; the first: ", std::string(tallies[i]->first_unscored().message())));
    }
    if (const std::size_t failed = cell->failures.size(); failed > 0) {
      scores.problems.push_back(absl::StrCat(set.plan.name, ": ", cell->model, ": ", failed,
                                             " sentences failed and count as empty translations"));
    }
    scores.cells.push_back(*std::move(cell));
    if (surroundings.progress) {
      surroundings.progress(absl::StrCat("resampling ", set.plan.name), static_cast<std::int64_t>(i) + 1,
                            static_cast<std::int64_t>(cells.size()));
    }
  }
  scores.examples = examples.Take();
  return scores;
}

}  // namespace petit::eval
