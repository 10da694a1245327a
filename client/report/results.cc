#include "client/report/results.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/report/json_reader.h"

namespace petit::report {
namespace {

constexpr char kSchema[] = "petit.results/1";

// What the document's parts refer to each other by.
struct Names {
  std::set<std::string> models, sets;
};

std::string Known(const JsonReader& in, const char* field, const std::set<std::string>& known, const char* where) {
  std::string name = in.Name(field);
  if (!name.empty() && known.count(name) == 0) in.Fail(field, absl::StrCat("'", name, "' is not among ", where));
  return name;
}

// The same, or nothing.
std::string MaybeKnown(const JsonReader& in, const char* field, const std::set<std::string>& known, const char* where) {
  return in.Text(field).empty() ? "" : Known(in, field, known, where);
}

Role ReadRole(const JsonReader& in) {
  const std::string role = in.Text("role");
  if (role.empty() || role == "other") return Role::kOther;
  if (role == "teacher") return Role::kTeacher;
  if (role == "student") return Role::kStudent;
  if (role == "distilled") return Role::kDistilled;
  if (role == "quantized") return Role::kQuantized;
  in.Fail("role", absl::StrCat("want teacher, student, distilled, quantized or other, not '", role, "'"));
  return Role::kOther;
}

Set ReadSet(const JsonReader& in) {
  Set set;
  set.name = in.Name("name");
  set.source_language = in.Text("source_language");
  set.target_language = in.Text("target_language");
  set.note = in.Text("note");
  set.out_of_domain = in.Bool("out_of_domain").value_or(false);
  set.pairs = in.Integer("pairs");
  set.pairs_there = in.Integer("pairs_there");
  set.skip = in.Integer("skip");
  in.List("files", [&](const JsonReader& file) { set.files.push_back({file.Text("path"), file.Text("sha256")}); });
  return set;
}

Model ReadModel(const JsonReader& in) {
  Model model;
  model.name = in.Name("name");
  model.label = in.Text("label");
  if (model.label.empty()) model.label = model.name;
  model.role = ReadRole(in);
  model.alpha = in.Number("alpha");
  model.server = in.Text("server");
  model.digest = in.Text("digest");
  model.executor = in.Text("executor");
  model.precision = in.Text("precision");
  model.device = in.Text("device");
  model.version = in.Integer("version");
  model.parameters = in.Integer("parameters");
  model.bytes_in_memory = in.Integer("bytes_in_memory");
  model.bytes_on_disk = in.Integer("bytes_on_disk");
  model.memory_ratio = in.Number("memory_ratio");
  model.disk_ratio = in.Number("disk_ratio");
  return model;
}

Score ReadScore(const JsonReader& in, const char* field) {
  Score score;
  in.Object(field, [&](const JsonReader& from) {
    score = {from.Number("score"), from.Number("mean"), from.Number("half_width"), from.Number("p_value"),
             from.Number("teacher_p_value")};
    if (score.half_width && *score.half_width < 0) from.Fail("half_width", "want a number that is not negative");
    if (score.p_value && (*score.p_value < 0 || *score.p_value > 1)) {
      from.Fail("p_value", "want a number between 0 and 1");
    }
    if (score.teacher_p_value && (*score.teacher_p_value < 0 || *score.teacher_p_value > 1)) {
      from.Fail("teacher_p_value", "want a number between 0 and 1");
    }
  });
  return score;
}

Result ReadResult(const JsonReader& in, const Names& names) {
  Result result;
  result.model = Known(in, "model", names.models, "models");
  result.set = Known(in, "set", names.sets, "sets");
  result.pairs = in.Integer("pairs");
  result.bleu = ReadScore(in, "bleu");
  result.chrf2 = ReadScore(in, "chrf2");
  result.rouge_l = ReadScore(in, "rouge_l");
  result.rouge_l_unicode = ReadScore(in, "rouge_l_unicode");
  in.Object("kl", [&](const JsonReader& kl) {
    if (const std::optional<double> nats = kl.Number("nats")) result.kl = Kl{*nats, kl.Integer("tokens")};
  });
  result.perplexity = in.Number("perplexity");
  in.Object("agreement", [&](const JsonReader& agreement) {
    result.agreement = Agreement{agreement.Number("exact"), agreement.Number("bleu")};
  });
  result.length_ratio = in.Number("length_ratio");
  result.source_unknown_rate = in.Number("source_unknown_rate");
  result.empty = in.Integer("empty");
  result.truncated = in.Integer("truncated");
  result.source_tokens = in.Integer("source_tokens");
  result.target_tokens = in.Integer("target_tokens");
  in.List("failures", [&](const JsonReader& failure) {
    result.failures.push_back({failure.Position("line"), failure.Text("code"), failure.Text("message")});
  });
  return result;
}

Quantiles ReadQuantiles(const JsonReader& in, const char* field) {
  Quantiles quantiles;
  in.Object(field, [&](const JsonReader& from) {
    quantiles = {from.Number("p50"), from.Number("p95"), from.Number("p99")};
  });
  return quantiles;
}

Pass ReadPass(const JsonReader& in) {
  return {in.Number("seconds"),         in.Number("sentences_per_second"), in.Number("tokens_per_second"),
          ReadQuantiles(in, "latency"), ReadQuantiles(in, "first_token"),  in.Bool("idle")};
}

Histogram ReadHistogram(const JsonReader& in) {
  Histogram histogram;
  histogram.edges = in.Numbers("edges");
  for (const double count : in.Numbers("counts")) {
    if (count < 0 || count > 1e15) in.Fail("counts", "want numbers of sentences");
    histogram.counts.push_back(static_cast<std::int64_t>(count));
  }
  if (histogram.edges.empty() && histogram.counts.empty()) return histogram;
  if (histogram.edges.size() != histogram.counts.size() + 1) {
    in.Fail("counts", absl::StrCat("want one less than edges, which are ", histogram.edges.size(), ", not ",
                                   histogram.counts.size()));
  }
  // A logarithmic axis shows them.
  if (!std::is_sorted(histogram.edges.begin(), histogram.edges.end()) || histogram.edges.front() <= 0) {
    in.Fail("edges", "want rising numbers above 0");
  }
  return histogram;
}

Speed ReadSpeed(const JsonReader& in, const Names& names) {
  Speed speed;
  speed.model = Known(in, "model", names.models, "models");
  speed.set = Known(in, "set", names.sets, "sets");
  speed.concurrency = in.Integer("concurrency");
  in.List("passes", [&](const JsonReader& pass) { speed.passes.push_back(ReadPass(pass)); });
  in.Object("median", [&](const JsonReader& median) { speed.median = ReadPass(median); });
  speed.spread = in.Number("spread");
  speed.time_ratio = in.Number("time_ratio");
  in.Object("latency_histogram", [&](const JsonReader& histogram) { speed.latency = ReadHistogram(histogram); });
  return speed;
}

Job ReadJob(const JsonReader& in) {
  Job job;
  job.name = in.Text("name");
  job.experiment = in.Text("experiment");
  job.state = in.Text("state");
  job.spec = in.Text("spec");
  job.seconds = in.Number("seconds");
  in.List("arms", [&](const JsonReader& arm) {
    job.arms.push_back({arm.Name("arm"), arm.Number("alpha"), arm.Number("learning_rate"), arm.Text("model")});
  });
  in.List("curves", [&](const JsonReader& point) {
    job.curves.push_back({point.Name("arm"), point.Position("step"), point.Number("cross_entropy"), point.Number("kl"),
                          point.Number("learning_rate"), point.Number("tokens_per_second")});
  });
  in.List("dev", [&](const JsonReader& point) {
    job.dev.push_back({point.Name("arm"), point.Name("set"), point.Bool("out_of_domain").value_or(false),
                       point.Position("step"), point.Number("bleu"), point.Number("chrf2"),
                       point.Number("cross_entropy"), point.Number("kl")});
  });
  return job;
}

Example ReadExample(const JsonReader& in, const Names& names) {
  Example example;
  example.set = Known(in, "set", names.sets, "sets");
  example.line = in.Position("line");
  example.source = in.Text("source");
  example.reference = in.Text("reference");
  example.disagreement = in.Number("disagreement");
  in.List("hypotheses", [&](const JsonReader& hypothesis) {
    example.hypotheses.push_back(
        {Known(hypothesis, "model", names.models, "models"), hypothesis.Text("text"), hypothesis.Number("bleu")});
  });
  return example;
}

// Labels tell models apart in tables and charts: those that are not one model's alone get its name.
void TellApart(std::vector<Model>& models) {
  std::map<std::string, int> uses;
  for (const Model& model : models) ++uses[model.label];
  for (Model& model : models) {
    if (uses[model.label] > 1) absl::StrAppend(&model.label, " (", model.name, ")");
  }
}

void ReadHead(const JsonReader& in, Results& results) {
  results.name = in.Text("name");
  results.title = in.Text("title");
  results.description = in.Text("description");
  results.random_weights = in.Bool("random_weights").value_or(false);
  results.trial = in.Bool("trial").value_or(false);
  results.started = in.Text("started");
  results.finished = in.Text("finished");
  results.command = in.Text("command");
  in.Object("versions", [&](const JsonReader& from) {
    results.versions = {from.Text("client"), from.Text("server"), from.Text("git_revision")};
  });
  in.Object("hardware", [&](const JsonReader& from) {
    results.hardware = {from.Text("cpu"), from.Text("os"), from.Integer("logical_cpus"), from.Integer("memory_bytes")};
  });
  in.Object("settings", [&](const JsonReader& from) {
    results.settings = {from.Text("decoding"),
                        from.Integer("concurrency"),
                        from.Integer("speed_concurrency"),
                        from.Integer("repeats"),
                        from.Integer("bootstrap_samples"),
                        from.Integer("seed"),
                        from.Number("confidence").value_or(0.95)};
    const double confidence = results.settings.confidence;
    if (!(confidence > 0 && confidence < 1)) from.Fail("confidence", "want a number between 0 and 1, both excluded");
  });
  in.Object("signatures", [&](const JsonReader& from) {
    results.signatures = {from.Text("bleu"), from.Text("chrf2"), from.Text("rouge_l"), from.Text("rouge_l_unicode")};
  });
}

void ReadAll(const JsonReader& in, Results& results) {
  ReadHead(in, results);
  Names names;
  in.List(
      "sets",
      [&](const JsonReader& from) {
        results.sets.push_back(ReadSet(from));
        if (!names.sets.insert(results.sets.back().name).second) from.Fail("name", "want a name of its own");
      },
      true);
  in.List(
      "models",
      [&](const JsonReader& from) {
        results.models.push_back(ReadModel(from));
        if (!names.models.insert(results.models.back().name).second) from.Fail("name", "want a name of its own");
      },
      true);
  TellApart(results.models);
  results.teacher = MaybeKnown(in, "teacher", names.models, "models");
  results.baseline = MaybeKnown(in, "baseline", names.models, "models");
  results.main_set = MaybeKnown(in, "main_set", names.sets, "sets");
  if (results.main_set.empty() && !results.sets.empty()) results.main_set = results.sets.front().name;
  std::set<std::pair<std::string, std::string>> seen;
  in.List(
      "results",
      [&](const JsonReader& from) {
        results.results.push_back(ReadResult(from, names));
        const Result& last = results.results.back();
        if (!seen.insert({last.model, last.set}).second) from.Fail("", "want one result for a model and a set");
      },
      true);
  in.List("speeds", [&](const JsonReader& from) { results.speeds.push_back(ReadSpeed(from, names)); });
  in.List("jobs", [&](const JsonReader& from) { results.jobs.push_back(ReadJob(from)); });
  in.List("examples", [&](const JsonReader& from) { results.examples.push_back(ReadExample(from, names)); });
  results.problems = in.Texts("problems");
}

}  // namespace

absl::StatusOr<Results> ParseResults(std::string_view json) {
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(json);
  } catch (const nlohmann::json::exception& error) {  // bad syntax, bad UTF-8, numbers out of range
    return absl::InvalidArgumentError(absl::StrCat("the results are not JSON: ", error.what()));
  }
  absl::Status error;
  const JsonReader in(document, "$", error);
  if (!document.is_object()) {
    in.Fail("", absl::StrCat("want an object, not ", document.type_name()));
    return error;
  }
  if (const std::string schema = in.Text("schema"); schema != kSchema) {
    in.Fail("schema", absl::StrCat("want \"", kSchema, "\", not \"", schema, "\""));
  }
  Results results;
  if (error.ok()) ReadAll(in, results);
  if (!error.ok()) return error;
  return results;
}

Stamp StampOf(const Results& results) {
  if (results.random_weights) {
    return {.text = "RANDOM WEIGHTS",
            .meaning = "the figures show that the measuring works, not what the models are worth"};
  }
  if (results.trial) {
    return {.text = "TRIAL RUN",
            .meaning = "a few pairs and a few steps show that the measuring works, not what the models are worth"};
  }
  return {};
}

}  // namespace petit::report
