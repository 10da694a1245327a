// The tables that a report has.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/report/analysis.h"
#include "client/report/format.h"
#include "client/report/table.h"

namespace petit::report {
namespace {

// "−5.19", against the teacher.
std::string LessTeacher(const Results& results, const Result& result) {
  if (result.model == results.teacher) return kMissing;
  const Result* teacher = FindResult(results, results.teacher, result.set);
  if (teacher == nullptr || !teacher->bleu.score || !result.bleu.score) return kMissing;
  return Signed(*result.bleu.score - *teacher->bleu.score, 2);
}

std::string AgainstBaselineHelp(const Results& results) {
  return results.baseline.empty() ? "no baseline was named"
                                  : "paired bootstrap against " + LabelOf(results, results.baseline);
}

std::string NoteOf(const Results& results, const Model& model) {
  return model.name == results.baseline ? model.label + " (baseline)" : model.label;
}

std::string Nats(const std::optional<Kl>& kl) { return kl ? Fixed(kl->nats, 3) : kMissing; }

std::string IdleText(const Speed& speed) {
  const auto busy = std::count_if(speed.passes.begin(), speed.passes.end(),
                                  [](const Pass& pass) { return pass.idle && !*pass.idle; });
  return busy == 0 ? "yes" : absl::StrCat("no (", busy, " of ", speed.passes.size(), ")");
}

}  // namespace

Table SummaryTable(const Results& results) {
  Table table{absl::StrCat("Summary on ", results.main_set),
              {{"Model", false, ""},
               {"BLEU", true, "with the half width of its " + Confidence(results) + " interval"},
               {"Δ teacher", true, "BLEU less the teacher's"},
               {"p, teacher", true, "of that difference by chance, paired bootstrap"},
               {"p, baseline", true, AgainstBaselineHelp(results)},
               {"Time × teacher", true, "median time for the set, to the teacher's"},
               {"Memory × teacher", true, ""},
               {"Memory", true, "of the weights as loaded"},
               {"Sentences/s", true, ""},
               {"p95 ms", true, "latency that 95 of 100 sentences keep"},
               {"KL", true, "from the teacher, nats per target token"},
               {"ROUGE-L", true, ""},
               {"chrF2", true, ""}},
              {}};
  for (const Model& model : results.models) {
    const Result none;
    const Result* found = FindResult(results, model.name, results.main_set);
    const Result& result = found == nullptr ? none : *found;
    const Speed* speed = FindSpeed(results, model.name, results.main_set);
    const Pass median = speed == nullptr ? Pass{} : speed->median;
    table.rows.push_back({NoteOf(results, model), ScoreText(result.bleu), LessTeacher(results, result),
                          PValue(result.bleu.teacher_p_value), PValue(result.bleu.p_value),
                          Ratio(speed == nullptr ? std::nullopt : speed->time_ratio), Ratio(model.memory_ratio),
                          Bytes(model.bytes_in_memory), Fixed(median.sentences_per_second, 1),
                          Milliseconds(median.latency.p95), Nats(result.kl), ScoreText(result.rouge_l),
                          ScoreText(result.chrf2)});
  }
  return table;
}

Table ModelTable(const Results& results) {
  Table table{"Models",
              {{"Model", false, ""},
               {"Name", false, "as the server knows it"},
               {"Role", false, ""},
               {"Alpha", true, "weight of KL in distillation"},
               {"Precision", false, ""},
               {"Executor", false, ""},
               {"Device", false, ""},
               {"Parameters", true, ""},
               {"Memory", true, ""},
               {"× teacher", true, "memory to the teacher's"},
               {"Disk", true, ""},
               {"× teacher", true, "disk to the teacher's"},

               {"Version", true, ""},
               {"Digest", false, ""},
               {"Server", false, ""}},
              {}};
  for (const Model& model : results.models) {
    table.rows.push_back({model.label, model.name, RoleText(model.role),
                          model.alpha ? absl::StrCat(*model.alpha) : kMissing, model.precision, model.executor,
                          model.device, Integer(model.parameters), Bytes(model.bytes_in_memory),
                          Ratio(model.memory_ratio), Bytes(model.bytes_on_disk), Ratio(model.disk_ratio),
                          Integer(model.version), model.digest.substr(0, 12), model.server});
  }
  return table;
}

Table QualityTable(const Results& results, const Set& set) {
  const std::string p_help = AgainstBaselineHelp(results);
  Table table{absl::StrCat("Quality on ", set.name, set.out_of_domain ? " (out of domain)" : " (in domain)"),
              {{"Model", false, ""},
               {"BLEU", true, ""},
               {"p", true, p_help},
               {"chrF2", true, ""},
               {"p", true, p_help},
               {"ROUGE-L", true, ""},
               {"p", true, p_help},
               {"ROUGE-L, Unicode words", true, ""},
               {"KL", true, "from the teacher, nats per target token"},
               {"Perplexity", true, ""},
               {"Equal to teacher", true, "share of translations equal to the teacher's"},
               {"BLEU to teacher", true, "against the teacher's translations"},
               {"Length", true, "ratio to the references"},
               {"Empty", true, ""},
               {"Truncated", true, ""},
               {"Unknown source", true, "share of source tokens that the tokenizer does not know"},
               {"Failed", true, ""}},
              {}};
  for (const Model& model : results.models) {
    const Result* result = FindResult(results, model.name, set.name);
    if (result == nullptr) continue;
    const Agreement agreement = result->agreement.value_or(Agreement{});
    table.rows.push_back({NoteOf(results, model), ScoreText(result->bleu), PValue(result->bleu.p_value),
                          ScoreText(result->chrf2), PValue(result->chrf2.p_value), ScoreText(result->rouge_l),
                          PValue(result->rouge_l.p_value), ScoreText(result->rouge_l_unicode), Nats(result->kl),
                          Fixed(result->perplexity, 2), Percent(agreement.exact, 1), Fixed(agreement.bleu, 1),
                          Fixed(result->length_ratio, 3), Integer(result->empty), Integer(result->truncated),
                          Percent(result->source_unknown_rate, 2), absl::StrCat(result->failures.size())});
  }
  return table;
}

Table SpeedTable(const Results& results) {
  Table table{"Speed: medians of the passes",
              {{"Model", false, ""},
               {"Set", false, ""},
               {"In flight", true, "texts at a time"},
               {"Passes", true, ""},
               {"Seconds", true, ""},
               {"Spread", true, "longest less shortest pass, to the median"},
               {"Time × teacher", true, ""},
               {"Sentences/s", true, ""},
               {"Tokens/s", true, ""},
               {"p50 ms", true, ""},
               {"p95 ms", true, ""},
               {"p99 ms", true, ""},
               {"First token p50 ms", true, ""},
               {"p95 ms", true, ""},
               {"p99 ms", true, ""},
               {"Machine idle", false, "whether nothing else ran meanwhile"}},
              {}};
  for (const Speed& speed : results.speeds) {
    const Pass& median = speed.median;
    table.rows.push_back(
        {LabelOf(results, speed.model), speed.set, Integer(speed.concurrency), absl::StrCat(speed.passes.size()),
         Fixed(median.seconds, 2), Percent(speed.spread, 1), Ratio(speed.time_ratio),
         Fixed(median.sentences_per_second, 1), Fixed(median.tokens_per_second, 0), Milliseconds(median.latency.p50),
         Milliseconds(median.latency.p95), Milliseconds(median.latency.p99), Milliseconds(median.first_token.p50),
         Milliseconds(median.first_token.p95), Milliseconds(median.first_token.p99), IdleText(speed)});
  }
  return table;
}

Table SetTable(const Results& results) {
  Table table{"Test sets",
              {{"Set", false, ""},
               {"Languages", false, ""},
               {"Domain", false, ""},
               {"Pairs", true, ""},
               {"Of", true, "pairs in the files"},
               {"Skipped", true, "at the start"},
               {"Files", false, ""},
               {"Note", false, ""}},
              {}};
  for (const Set& set : results.sets) {
    const std::string files = absl::StrJoin(set.files, ", ", [](std::string* out, const SetFile& file) {
      absl::StrAppend(out, file.path, file.sha256.empty() ? "" : " (sha256 " + file.sha256.substr(0, 12) + ")");
    });
    table.rows.push_back({set.name, absl::StrCat(set.source_language, " to ", set.target_language),
                          set.out_of_domain ? "out" : "in", Integer(set.pairs), Integer(set.pairs_there),
                          Integer(set.skip), files, set.note});
  }
  return table;
}

Table FailureTable(const Results& results, std::size_t limit) {
  Table table{
      "Failed sentences",
      {{"Model", false, ""}, {"Set", false, ""}, {"Line", true, ""}, {"Code", false, ""}, {"Message", false, ""}},
      {}};
  for (const Result& result : results.results) {
    const std::string label = LabelOf(results, result.model);
    for (std::size_t i = 0; i < result.failures.size(); ++i) {
      const Failure& failure = result.failures[i];
      if (i == limit) {
        table.rows.push_back(
            {label, result.set, kMissing, kMissing, absl::StrCat("and ", result.failures.size() - limit, " more")});
        break;
      }
      table.rows.push_back({label, result.set, Integer(failure.line), failure.code, failure.message});
    }
  }
  return table;
}

}  // namespace petit::report
