#include "client/report/analysis.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "client/report/format.h"

namespace petit::report {
namespace {

template <typename Element>
const Element* Named(const std::vector<Element>& elements, const std::string& name) {
  const auto at = std::find_if(elements.begin(), elements.end(), [&](const Element& e) { return e.name == name; });
  return at == elements.end() ? nullptr : &*at;
}

std::optional<double> Loss(const DevPoint& point, double alpha) {
  if (alpha == 0) return point.cross_entropy;
  if (alpha == 1) return point.kl;
  if (!point.cross_entropy || !point.kl) return std::nullopt;
  return alpha * *point.kl + (1 - alpha) * *point.cross_entropy;
}

}  // namespace

const Set* FindSet(const Results& results, const std::string& name) { return Named(results.sets, name); }

const Model* FindModel(const Results& results, const std::string& name) { return Named(results.models, name); }

const Result* FindResult(const Results& results, const std::string& model, const std::string& set) {
  const auto at = std::find_if(results.results.begin(), results.results.end(),
                               [&](const Result& result) { return result.model == model && result.set == set; });
  return at == results.results.end() ? nullptr : &*at;
}

const Speed* FindSpeed(const Results& results, const std::string& model, const std::string& set) {
  const Speed* found = nullptr;
  for (const Speed& speed : results.speeds) {
    if (speed.model != model || speed.set != set) continue;
    if (found == nullptr) found = &speed;
    if (speed.concurrency && speed.concurrency == results.settings.speed_concurrency) return &speed;
  }
  return found;
}

std::string LabelOf(const Results& results, const std::string& model) {
  const Model* found = FindModel(results, model);
  return found == nullptr ? model : found->label;
}

std::optional<Interval> IntervalOf(const Score& score) {
  if (!score.half_width) return std::nullopt;
  const std::optional<double> middle = score.mean ? score.mean : score.score;
  if (!middle) return std::nullopt;
  return Interval{*middle - *score.half_width, *middle + *score.half_width};
}

std::optional<Comparison> CompareBleu(const Results& results, const Result& left, const Result& right) {
  if (!left.bleu.score || !right.bleu.score) return std::nullopt;
  Comparison comparison;
  comparison.difference = *left.bleu.score - *right.bleu.score;
  const auto tested = [&left, &right](const std::string& against, auto Score::*value) -> std::optional<double> {
    if (against.empty()) return std::nullopt;
    return right.model == against ? left.bleu.*value : left.model == against ? right.bleu.*value : std::nullopt;
  };
  std::optional<double> p = tested(results.teacher, &Score::teacher_p_value);
  if (!p) p = tested(results.baseline, &Score::p_value);
  const std::optional<Interval> ours = IntervalOf(left.bleu);
  const std::optional<Interval> theirs = IntervalOf(right.bleu);
  bool differ = false;
  if (p) {
    differ = *p < 1 - results.settings.confidence - 1e-9;  // 1 - 0.95 is a little more than 0.05
    comparison.evidence = PEquals(*p);
  } else if (ours && theirs) {
    differ = ours->low > theirs->high || theirs->low > ours->high;
    comparison.evidence =
        absl::StrCat("the ", Confidence(results), differ ? " intervals do not overlap" : " intervals overlap");
  } else {
    return comparison;
  }
  comparison.verdict = !differ ? Verdict::kNotShown : comparison.difference < 0 ? Verdict::kLower : Verdict::kHigher;
  return comparison;
}

std::vector<bool> ParetoFront(const std::vector<Point>& points) {
  const auto dominates = [](const Point& a, const Point& b) {
    return a.cost <= b.cost && a.quality >= b.quality && (a.cost < b.cost || a.quality > b.quality);
  };
  std::vector<bool> front;
  front.reserve(points.size());
  for (const Point& point : points) {
    front.push_back(
        std::none_of(points.begin(), points.end(), [&](const Point& other) { return dominates(other, point); }));
  }
  return front;
}

BestSteps FindBestSteps(const Job& job, const std::string& arm, const std::string& set) {
  const auto found = std::find_if(job.arms.begin(), job.arms.end(), [&](const Arm& a) { return a.arm == arm; });
  const double alpha = found == job.arms.end() ? 0 : found->alpha.value_or(0);
  BestSteps best;
  double least_loss = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < job.dev.size(); ++i) {
    const DevPoint& point = job.dev[i];
    if (point.arm != arm || point.set != set) continue;
    const std::optional<double> loss = Loss(point, alpha);
    if (loss && *loss < least_loss) {
      least_loss = *loss;
      best.by_loss = i;
    }
    if (point.bleu && (!best.by_bleu || *point.bleu > *job.dev[*best.by_bleu].bleu)) best.by_bleu = i;
  }
  return best;
}

}  // namespace petit::report
