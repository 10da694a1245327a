// The answer in three sentences.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/report/analysis.h"
#include "client/report/format.h"

namespace petit::report {
namespace {

// A model with its figures on the main set.
struct Candidate {
  const Model* model = nullptr;
  const Result* result = nullptr;
  std::optional<double> time, memory;  // to the teacher's
};

std::optional<Candidate> CandidateOf(const Results& results, const Model& model) {
  const Result* result = FindResult(results, model.name, results.main_set);
  if (result == nullptr || !result->bleu.score) return std::nullopt;
  const Speed* speed = FindSpeed(results, model.name, results.main_set);
  return Candidate{&model, result, speed == nullptr ? std::nullopt : speed->time_ratio, model.memory_ratio};
}

double BleuOf(const Candidate& candidate) { return *candidate.result->bleu.score; }

std::string Cost(const Candidate& candidate) {
  std::vector<std::string> parts;
  if (candidate.time) parts.push_back(absl::StrCat(Ratio(candidate.time), " the teacher's time"));
  if (candidate.memory) {
    parts.push_back(absl::StrCat(Ratio(candidate.memory), parts.empty() ? " the teacher's" : " its", " memory"));
  }
  return absl::StrJoin(parts, " and ");
}

// "25.3 BLEU (95 % interval 24.3 to 26.3)", or shorter "25.3 (24.3 to 26.3)".
std::string BleuWithInterval(const Results& results, const Result& result, bool in_full) {
  std::string text = Fixed(result.bleu.score, 1) + (in_full ? " BLEU" : "");
  if (const std::optional<Interval> interval = IntervalOf(result.bleu)) {
    absl::StrAppend(&text, " (", in_full ? Confidence(results) + " interval " : "", Fixed(interval->low, 1), " to ",
                    Fixed(interval->high, 1), ")");
  }
  return text;
}

// "5.2 below the teacher's 25.3 (24.3 to 26.3): the intervals do not overlap".
std::string AgainstTeacher(const Results& results, const Result& result, const Result& teacher) {
  const std::optional<Comparison> comparison = CompareBleu(results, result, teacher);
  if (!comparison) return "";
  const std::string theirs = "the teacher's " + BleuWithInterval(results, teacher, false);
  const std::string by = Fixed(std::abs(comparison->difference), 1);
  const std::string evidence = comparison->evidence.empty() ? "" : ": " + comparison->evidence;
  switch (comparison->verdict) {
    case Verdict::kNotShown:
      return absl::StrCat("which is not shown to differ from ", theirs, evidence);
    case Verdict::kUnknown:
      return absl::StrCat(by, comparison->difference < 0 ? " below " : " above ", theirs,
                          ", with no interval to judge that by");
    default:
      return absl::StrCat(by, comparison->difference < 0 ? " below " : " above ", theirs, evidence);
  }
}

std::string AgainstBaseline(const Results& results, const Result& result) {
  if (results.baseline.empty() || results.baseline == results.teacher || results.baseline == result.model) return "";
  const Result* baseline = FindResult(results, results.baseline, results.main_set);
  if (baseline == nullptr) return "";
  const std::optional<Comparison> comparison = CompareBleu(results, result, *baseline);
  if (!comparison || comparison->verdict == Verdict::kUnknown) return "";
  const std::string label = LabelOf(results, results.baseline);
  if (comparison->verdict == Verdict::kNotShown) {
    return absl::StrCat("; its difference of ", Signed(comparison->difference, 1), " from the baseline, ", label,
                        ", is not significant (", comparison->evidence, ")");
  }
  return absl::StrCat("; that is ", Fixed(std::abs(comparison->difference), 1),
                      comparison->difference > 0 ? " above" : " below", " the baseline, ", label, " (",
                      comparison->evidence, ")");
}

// What making models of this role cost and lost, by the best of them.
std::string About(const Results& results, Role role, const char* what, const char* kind) {
  std::vector<Candidate> candidates;
  int there = 0;
  for (const Model& model : results.models) {
    if (model.role != role) continue;
    ++there;
    if (const std::optional<Candidate> candidate = CandidateOf(results, model)) candidates.push_back(*candidate);
  }
  if (there == 0) return absl::StrCat(what, ": no ", kind, " model was measured, so nothing can be said of it.");
  if (candidates.empty()) {
    return absl::StrCat(what, ": no ", kind, " model has a BLEU on ", results.main_set, ", so its loss is not known.");
  }
  const Candidate best =
      *std::max_element(candidates.begin(), candidates.end(),
                        [](const Candidate& a, const Candidate& b) { return BleuOf(a) < BleuOf(b); });
  std::string text = absl::StrCat(what, ": ", best.model->label);
  if (there > 1)
    absl::StrAppend(&text, ", the best of ", there, " ", kind, " models by BLEU on ", results.main_set, ",");
  const std::string cost = Cost(best);
  if (!cost.empty()) absl::StrAppend(&text, " takes ", cost, " and");
  absl::StrAppend(&text, " reaches ", BleuWithInterval(results, *best.result, true));
  if (there == 1) absl::StrAppend(&text, " on ", results.main_set);
  const Result* teacher = FindResult(results, results.teacher, results.main_set);
  const std::string against = teacher == nullptr ? "" : AgainstTeacher(results, *best.result, *teacher);
  absl::StrAppend(&text, against.empty() ? "; there is no teacher's BLEU to hold it against" : ", " + against,
                  role == Role::kDistilled ? AgainstBaseline(results, *best.result) : "", ".");
  return text;
}

// The worst loss that is shown on a set which is not the main one.
std::string LossElsewhere(const Results& results, const std::string& model) {
  const Set* worst = nullptr;
  Comparison loss;
  for (const Set& set : results.sets) {
    const Result* ours = FindResult(results, model, set.name);
    const Result* teacher = FindResult(results, results.teacher, set.name);
    if (set.name == results.main_set || ours == nullptr || teacher == nullptr) continue;
    const std::optional<Comparison> comparison = CompareBleu(results, *ours, *teacher);
    if (!comparison || comparison->verdict != Verdict::kLower) continue;
    if (worst != nullptr && comparison->difference >= loss.difference) continue;
    worst = &set;
    loss = *comparison;
  }
  if (worst == nullptr) return "";
  return absl::StrCat("; but on ", worst->name, worst->out_of_domain ? ", out of domain," : "", " it loses ",
                      Fixed(-loss.difference, 1), " BLEU (", loss.evidence, ")");
}

// The cheapest of those that cost less than the teacher: by time, or if none is faster by memory.
const Candidate* Cheapest(const std::vector<Candidate>& candidates) {
  for (const auto cost : {&Candidate::time, &Candidate::memory}) {
    const Candidate* best = nullptr;
    for (const Candidate& candidate : candidates) {
      const std::optional<double> ratio = candidate.*cost;
      if (!ratio || *ratio >= 1) continue;
      if (best == nullptr || *ratio < *(best->*cost)) best = &candidate;
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

std::string WithoutTeacher(const Results& results, const std::vector<Candidate>& candidates) {
  if (candidates.empty()) return absl::StrCat("Which to take: no model has a BLEU on ", results.main_set, ".");
  const Candidate best =
      *std::max_element(candidates.begin(), candidates.end(),
                        [](const Candidate& a, const Candidate& b) { return BleuOf(a) < BleuOf(b); });
  return absl::StrCat("Which to take: without a teacher's figures to measure costs against, what can be said is that ",
                      best.model->label, " scores highest on ", results.main_set, ", ",
                      BleuWithInterval(results, *best.result, true), ".");
}

std::string Choice(const Results& results) {
  if (const Stamp stamp = StampOf(results); !stamp.text.empty()) {
    return absl::StrCat("Which to take: nothing can be said; ",
                        results.random_weights ? "the weights are random, and " : "", stamp.meaning, ".");
  }
  const Model* teacher_model = FindModel(results, results.teacher);
  const Candidate teacher =
      teacher_model == nullptr ? Candidate{} : CandidateOf(results, *teacher_model).value_or(Candidate{});
  std::vector<Candidate> others, lossless, losing, unjudged;
  for (const Model& model : results.models) {
    if (model.name == results.teacher) continue;
    const std::optional<Candidate> candidate = CandidateOf(results, model);
    if (candidate) others.push_back(*candidate);
  }
  if (teacher.result == nullptr) return WithoutTeacher(results, others);
  for (const Candidate& candidate : others) {
    const Comparison comparison = *CompareBleu(results, *candidate.result, *teacher.result);
    (comparison.verdict == Verdict::kLower     ? losing
     : comparison.verdict == Verdict::kUnknown ? unjudged
                                               : lossless)
        .push_back(candidate);
  }
  const std::string on = " on " + results.main_set;
  const Candidate* fastest = Cheapest(losing);
  if (const Candidate* pick = Cheapest(lossless)) {
    const Comparison comparison = *CompareBleu(results, *pick->result, *teacher.result);
    std::string text = absl::StrCat(
        "Which to take: ", pick->model->label, ", whose BLEU",
        comparison.verdict == Verdict::kHigher ? " is above the teacher's" : " is not shown to be below the teacher's",
        on, " (", Signed(comparison.difference, 1), ", ", comparison.evidence, ") at ", Cost(*pick),
        LossElsewhere(results, pick->model->name));
    const bool faster = fastest != nullptr && fastest->time && pick->time && *fastest->time < *pick->time;
    if (faster) {
      absl::StrAppend(&text, "; where speed counts more, ", fastest->model->label, " takes ", Ratio(fastest->time),
                      " the time for ", Fixed(BleuOf(teacher) - BleuOf(*fastest), 1), " BLEU less");
    }
    return text + ".";
  }
  std::vector<Candidate> cheaper;
  for (const Candidate& candidate : losing) {
    if ((candidate.time && *candidate.time < 1) || (candidate.memory && *candidate.memory < 1)) {
      cheaper.push_back(candidate);
    }
  }
  if (cheaper.empty()) {
    return absl::StrCat("Which to take: ", teacher_model->label, ", the teacher, for ",
                        unjudged.empty() ? "nothing that was measured is shown to be cheaper"
                                         : "there are no intervals to judge the others' BLEU by",
                        on, ".");
  }
  const Candidate best = *std::max_element(
      cheaper.begin(), cheaper.end(), [](const Candidate& a, const Candidate& b) { return BleuOf(a) < BleuOf(b); });
  std::string text = absl::StrCat(
      "Which to take: ", teacher_model->label, ", the teacher, where quality counts, for every cheaper model",
      unjudged.empty() ? "" : " that can be judged", " is shown to lose BLEU", on, "; where cost counts, ",
      best.model->label, ", which loses ", Fixed(BleuOf(teacher) - BleuOf(best), 1), " at ", Cost(best));
  if (fastest->model != best.model && fastest->time && best.time && *fastest->time < *best.time) {
    absl::StrAppend(&text, ", or for speed ", fastest->model->label, ", which loses ",
                    Fixed(BleuOf(teacher) - BleuOf(*fastest), 1), " at ", Ratio(fastest->time), " the time");
  }
  return text + ".";
}

}  // namespace

Answer AnswerOf(const Results& results) {
  return {About(results, Role::kDistilled, "Distillation", "distilled"),
          About(results, Role::kQuantized, "Quantization", "quantized"), Choice(results)};
}

}  // namespace petit::report
