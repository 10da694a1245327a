#include "client/cli/eval_report.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/table.h"

namespace petit::cli {
namespace {

using Json = nlohmann::ordered_json;

double PerSecond(std::int64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

double UnknownShare(const ModelReport& model) {
  return model.source_tokens > 0
             ? static_cast<double>(model.unknown_source_tokens) / static_cast<double>(model.source_tokens)
             : 0;
}

std::int64_t Translated(const ModelReport& model) {
  return model.pairs - static_cast<std::int64_t>(model.failures.size());
}

std::string Milliseconds(double seconds) { return absl::StrFormat("%.1f", 1000 * seconds); }

std::string Header(const EvalReport& report) {
  std::string text = "set:          ";
  for (std::size_t i = 0; i < report.set.files.size(); ++i) {
    const EvalFileInfo& file = report.set.files[i];
    absl::StrAppend(&text, i == 0 ? "" : " and ", file.path, " (sha256 ", file.sha256.substr(0, 12), ")");
  }
  absl::StrAppend(&text, ", ", report.set.pairs, " pairs");
  if (report.set.pairs != report.set.pairs_there) {
    absl::StrAppend(&text, " (the first of ", report.set.pairs_there, ")");
  }
  absl::StrAppend(&text, "\nlanguages:    ", report.options.source_language, " to ", report.options.target_language);
  if (report.options.prompt_override) absl::StrAppend(&text, ", prompt '", *report.options.prompt_override, "'");
  absl::StrAppend(&text, "\nserver:       ", report.server, ", ", report.concurrency, " texts in flight, ", report.date,
                  "\nclient:       petit ", PETIT_VERSION, "\n");
  return text;
}

std::string QualityTable(const EvalReport& report) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{.title = "MODEL"},
               {.title = "BLEU", .align = kRight},
               {.title = "chrF2", .align = kRight},
               {.title = "ROUGE-L", .align = kRight},
               {.title = "ROUGE-L/U", .align = kRight},
               {.title = report.with_kl ? "KL" : "", .align = kRight},
               {.title = "LENGTH", .align = kRight},
               {.title = "EMPTY", .align = kRight},
               {.title = "CUT", .align = kRight},
               {.title = "UNKNOWN", .align = kRight},
               {.title = "FAILED", .align = kRight}});
  for (const ModelReport& model : report.models) {
    table.AddRow(
        {model.model, absl::StrFormat("%.2f", model.quality.bleu), absl::StrFormat("%.2f", model.quality.chrf),
         absl::StrFormat("%.2f", model.quality.rouge_l), absl::StrFormat("%.2f", model.quality.rouge_l_unicode),
         model.kl         ? absl::StrFormat("%.4f", *model.kl)
         : report.with_kl ? "n/a"
                          : "",
         absl::StrFormat("%.3f", model.quality.length_ratio), absl::StrCat(model.empty), absl::StrCat(model.cut),
         absl::StrFormat("%.2f%%", 100 * UnknownShare(model)), absl::StrCat(model.failures.size())});
  }
  return table.Format();
}

std::string CostTable(const EvalReport& report) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{.title = "MODEL"},
               {.title = "VERSION", .align = kRight},
               {.title = "PRECISION"},
               {.title = "EXECUTOR"},
               {.title = "DEVICE"},
               {.title = "MEMORY", .align = kRight},
               {.title = "SENTENCES/S", .align = kRight},
               {.title = "TOKENS/S", .align = kRight},
               {.title = "P50 MS", .align = kRight},
               {.title = "P95 MS", .align = kRight},
               {.title = "P99 MS", .align = kRight}});
  for (const ModelReport& model : report.models) {
    table.AddRow({model.model, absl::StrCat(model.version), model.served.precision, model.served.executor,
                  model.served.device, FormatBytes(model.served.bytes_in_memory),
                  absl::StrFormat("%.1f", PerSecond(Translated(model), model.seconds)),
                  absl::StrFormat("%.0f", PerSecond(model.target_tokens, model.seconds)),
                  Milliseconds(model.latency.p50_s), Milliseconds(model.latency.p95_s),
                  Milliseconds(model.latency.p99_s)});
  }
  return table.Format();
}

std::string Notes(const EvalReport& report) {
  const QualitySignatures signatures = QualityMeter::Signatures();
  std::string text = absl::StrCat("BLEU ", signatures.bleu, "; chrF2 ", signatures.chrf, ";\n", "ROUGE-L F1 ",
                                  signatures.rouge_l, ", /U ", signatures.rouge_l_unicode, ".\n");
  if (report.with_kl) {
    absl::StrAppend(&text, "KL: KL(", report.models.front().model,
                    " || model) in nats, mean over the references' tokens.\n");
  }
  absl::StrAppend(
      &text,
      "LENGTH: tokens to the references' tokens. CUT: stopped at the length limit. UNKNOWN: of the source tokens,\n",
      "prompt included. FAILED: no translation; counted as empty ones.\n",
      "P50, P95, P99: time of one text from its sending to its answer, while ", report.concurrency,
      " were in flight.\n");
  for (const ModelReport& model : report.models) {
    if (!model.kl_problem.empty()) absl::StrAppend(&text, model.model, ": no KL: ", model.kl_problem, "\n");
    if (model.version_changed) {
      absl::StrAppend(&text, model.model, ": its served version changed during the run; the figures mix versions\n");
    }
  }
  return text;
}

Json ToJson(const ModelReport& model, bool with_kl) {
  Json json = {{"model", model.model},
               {"version", model.version},
               {"version_changed", model.version_changed},
               {"digest", model.served.digest},
               {"precision", model.served.precision},
               {"executor", model.served.executor},
               {"device", model.served.device},
               {"parameters", model.served.parameters},
               {"bytes_in_memory", model.served.bytes_in_memory},
               {"bytes_on_disk", model.served.bytes_on_disk},
               {"bleu", model.quality.bleu},
               {"chrf2", model.quality.chrf},
               {"rouge_l_f1", model.quality.rouge_l},
               {"rouge_l_unicode_f1", model.quality.rouge_l_unicode},
               {"length_ratio", model.quality.length_ratio}};
  if (with_kl) {
    json["kl_nats"] = model.kl ? Json(*model.kl) : Json();
    json["kl_tokens"] = model.kl_tokens;
    if (!model.kl_problem.empty()) json["kl_problem"] = model.kl_problem;
  }
  json["pairs"] = model.pairs;
  json["empty"] = model.empty;
  json["cut_at_length_limit"] = model.cut;
  json["source_tokens"] = model.source_tokens;
  json["unknown_source_tokens"] = model.unknown_source_tokens;
  json["target_tokens"] = model.target_tokens;
  json["seconds"] = model.seconds;
  json["sentences_per_second"] = PerSecond(Translated(model), model.seconds);
  json["tokens_per_second"] = PerSecond(model.target_tokens, model.seconds);
  json["latency_seconds"] = {{"p50", model.latency.p50_s}, {"p95", model.latency.p95_s}, {"p99", model.latency.p99_s}};
  json["failures"] = Json::array();
  for (const EvalFailure& failure : model.failures) {
    json["failures"].push_back({{"line", failure.line},
                                {"code", absl::StatusCodeToString(failure.status.code())},
                                {"message", std::string(failure.status.message())}});
  }
  return json;
}

}  // namespace

std::string FormatReport(const EvalReport& report) {
  return absl::StrCat(Header(report), "\n", QualityTable(report), "\n", CostTable(report), "\n", Notes(report));
}

std::string FormatReportJson(const EvalReport& report) {
  const QualitySignatures signatures = QualityMeter::Signatures();
  Json json = {
      {"client", "petit " PETIT_VERSION},
      {"date", report.date},
      {"server", report.server},
      {"set", {{"files", Json::array()}, {"pairs", report.set.pairs}, {"pairs_there", report.set.pairs_there}}},
      {"source_language", report.options.source_language},
      {"target_language", report.options.target_language},
      {"concurrency", report.concurrency},
      {"latency_is", "of one text, from its sending to its answer, at this concurrency"},
      {"signatures",
       {{"bleu", signatures.bleu},
        {"chrf2", signatures.chrf},
        {"rouge_l_f1", signatures.rouge_l},
        {"rouge_l_unicode_f1", signatures.rouge_l_unicode}}}};
  for (const EvalFileInfo& file : report.set.files) {
    json["set"]["files"].push_back({{"path", file.path}, {"sha256", file.sha256}});
  }
  if (report.options.prompt_override) json["prompt"] = *report.options.prompt_override;
  if (report.options.decoding.num_beams) json["num_beams"] = *report.options.decoding.num_beams;
  if (report.options.decoding.max_new_tokens) json["max_new_tokens"] = *report.options.decoding.max_new_tokens;
  if (report.options.decoding.length_penalty) json["length_penalty"] = *report.options.decoding.length_penalty;
  if (report.with_kl && !report.models.empty()) json["kl_reference"] = report.models.front().model;
  json["models"] = Json::array();
  for (const ModelReport& model : report.models) json["models"].push_back(ToJson(model, report.with_kl));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace petit::cli
