#include "client/cli/eval_text.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/table.h"

namespace petit::cli {
namespace {

constexpr auto kRight = Table::Align::kRight;

std::string Fixed(const std::optional<double>& value, int digits) {
  return value ? absl::StrFormat("%.*f", digits, *value) : "";
}

std::string Times(const std::optional<double>& ratio) { return ratio ? absl::StrFormat("x%.2f", *ratio) : ""; }

std::string Percent(const std::optional<double>& share, int digits) {
  return share ? absl::StrFormat("%.*f%%", digits, 100 * *share) : "";
}

std::string Count(const std::optional<std::int64_t>& count) { return count ? absl::StrCat(*count) : ""; }

std::string WithInterval(const report::Score& score) {
  if (!score.score) return "";
  return score.half_width ? absl::StrFormat("%.2f ± %.2f", *score.score, *score.half_width)
                          : absl::StrFormat("%.2f", *score.score);
}

std::string PValue(const report::Score& score) {
  if (!score.p_value) return "";
  return *score.p_value < 0.001 ? "<.001" : absl::StrFormat("%.3f", *score.p_value);
}

std::string Milliseconds(const std::optional<double>& seconds) {
  return seconds ? absl::StrFormat("%.1f", 1000 * *seconds) : "";
}

std::string Header(const report::Results& results) {
  std::string text;
  if (const report::Stamp stamp = report::StampOf(results); !stamp.text.empty()) {
    absl::StrAppend(&text, stamp.text, ": ", stamp.meaning, "\n");
  }
  for (const report::Set& set : results.sets) {
    absl::StrAppend(&text, "set:          ", set.name);
    if (!set.source_language.empty()) {
      absl::StrAppend(&text, ", ", set.source_language, " to ", set.target_language);
    }
    for (const report::SetFile& file : set.files) {
      absl::StrAppend(&text, ", ", file.path, " (sha256 ", file.sha256.substr(0, 12), ")");
    }
    absl::StrAppend(&text, ", ", Count(set.pairs), " pairs");
    if (set.pairs != set.pairs_there) {
      absl::StrAppend(&text, " of ", Count(set.pairs_there), ", after the first ", set.skip.value_or(0));
    }
    absl::StrAppend(&text, set.out_of_domain ? ", out of domain" : "", set.note.empty() ? "" : ", ", set.note, "\n");
  }
  absl::StrAppend(&text, "decoding:     ", results.settings.decoding, "\n");
  absl::StrAppend(&text, "server:       petit ", results.versions.server, ", ", results.hardware.cpu, ", ",
                  Count(results.hardware.logical_cpus), " CPUs, ", results.started, "\n");
  absl::StrAppend(&text, "client:       petit ", results.versions.client, "\n");
  return text;
}

std::string ModelTable(const report::Results& results) {
  Table table({{.title = "MODEL"},
               {.title = "VERSION", .align = kRight},
               {.title = "PRECISION"},
               {.title = "EXECUTOR"},
               {.title = "DEVICE"},
               {.title = "PARAMETERS", .align = kRight},
               {.title = "DISK", .align = kRight},
               {.title = "MEMORY", .align = kRight},
               {.title = "OF TEACHER'S", .align = kRight}});
  for (const report::Model& model : results.models) {
    table.AddRow({model.name, Count(model.version), model.precision, model.executor, model.device,
                  FormatCount(model.parameters.value_or(0)), FormatBytes(model.bytes_on_disk.value_or(0)),
                  FormatBytes(model.bytes_in_memory.value_or(0)), Times(model.memory_ratio)});
  }
  return table.Format();
}

std::string QualityTable(const report::Results& results, const std::string& set) {
  Table table({{.title = "MODEL"},
               {.title = "BLEU", .align = kRight},
               {.title = "P", .align = kRight},
               {.title = "chrF2", .align = kRight},
               {.title = "ROUGE-L", .align = kRight},
               {.title = "ROUGE-L/U", .align = kRight},
               {.title = "KL", .align = kRight},
               {.title = "PERPLEXITY", .align = kRight},
               {.title = "SAME", .align = kRight},
               {.title = "BLEU/T", .align = kRight},
               {.title = "LENGTH", .align = kRight},
               {.title = "EMPTY", .align = kRight},
               {.title = "CUT", .align = kRight},
               {.title = "UNKNOWN", .align = kRight},
               {.title = "FAILED", .align = kRight}});
  for (const report::Result& result : results.results) {
    if (result.set != set) continue;
    const bool agrees = result.agreement.has_value();
    table.AddRow({result.model, WithInterval(result.bleu), PValue(result.bleu), Fixed(result.chrf2.score, 2),
                  Fixed(result.rouge_l.score, 2), Fixed(result.rouge_l_unicode.score, 2),
                  result.kl ? absl::StrFormat("%.4f", result.kl->nats) : "", Fixed(result.perplexity, 2),
                  agrees ? Percent(result.agreement->exact, 1) : "", agrees ? Fixed(result.agreement->bleu, 2) : "",
                  Fixed(result.length_ratio, 3), Count(result.empty), Count(result.truncated),
                  Percent(result.source_unknown_rate, 2), absl::StrCat(result.failures.size())});
  }
  return table.Format();
}

std::string SpeedTable(const report::Results& results, const std::string& set) {
  Table table({{.title = "MODEL"},
               {.title = "SECONDS", .align = kRight},
               {.title = "SPREAD", .align = kRight},
               {.title = "OF TEACHER'S", .align = kRight},
               {.title = "SENTENCES/S", .align = kRight},
               {.title = "TOKENS/S", .align = kRight},
               {.title = "P50 MS", .align = kRight},
               {.title = "P95 MS", .align = kRight},
               {.title = "P99 MS", .align = kRight},
               {.title = "FIRST TOKEN", .align = kRight}});
  bool any = false;
  for (const report::Speed& speed : results.speeds) {
    if (speed.set != set) continue;
    any = true;
    table.AddRow({speed.model, Fixed(speed.median.seconds, 2),
                  speed.passes.size() > 1 ? Percent(speed.spread, 1) : std::string(), Times(speed.time_ratio),
                  Fixed(speed.median.sentences_per_second, 1), Fixed(speed.median.tokens_per_second, 0),
                  Milliseconds(speed.median.latency.p50), Milliseconds(speed.median.latency.p95),
                  Milliseconds(speed.median.latency.p99), Milliseconds(speed.median.first_token.p50)});
  }
  return any ? table.Format() : "";
}

std::string Notes(const report::Results& results) {
  std::string text =
      absl::StrCat("BLEU ", results.signatures.bleu, "; chrF2 ", results.signatures.chrf2, ";\n", "ROUGE-L F1 ",
                   results.signatures.rouge_l, ", /U ", results.signatures.rouge_l_unicode, ".\n");
  absl::StrAppend(&text, "±: half of the interval of 95 % of ", Count(results.settings.bootstrap_samples),
                  " bootstrap samples.");
  if (!results.baseline.empty()) {
    absl::StrAppend(&text, " P: paired bootstrap, of a difference in BLEU from ", results.baseline, "'s by chance.");
  }
  text += "\n";
  if (!results.teacher.empty()) {
    absl::StrAppend(&text, "KL: KL(", results.teacher,
                    " || model) in nats, mean over the references' tokens. SAME: ", "translations that are ",
                    results.teacher, "'s.\nBLEU/T: against ", results.teacher, "'s.\n");
  }
  text +=
      "LENGTH: tokens to the references' tokens. CUT: stopped at the length limit. UNKNOWN: of the source tokens,\n"
      "prompt included. FAILED: no translation; counted as empty ones.\n";
  if (!results.speeds.empty()) {
    const report::Speed& speed = results.speeds.front();
    absl::StrAppend(&text, "SECONDS to FIRST TOKEN: medians of ", speed.passes.size(),
                    speed.passes.size() == 1 ? " pass" : " passes",
                    ", models in turn; of one text from its sending to its ",
                    "answer (first token: from its\narrival), while ", Count(speed.concurrency), " were in flight.\n");
  }
  for (const std::string& problem : results.problems) absl::StrAppend(&text, "NOTE: ", problem, "\n");
  return text;
}

}  // namespace

std::string FormatEvaluation(const report::Results& results) {
  std::string text = absl::StrCat(Header(results), "\n", ModelTable(results), "\n");
  for (const report::Set& set : results.sets) {
    if (results.sets.size() > 1) absl::StrAppend(&text, set.name, "\n");
    absl::StrAppend(&text, QualityTable(results, set.name), "\n");
    if (const std::string speeds = SpeedTable(results, set.name); !speeds.empty()) absl::StrAppend(&text, speeds, "\n");
  }
  return text + Notes(results);
}

}  // namespace petit::cli
