#include "client/eval/results.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace petit::eval {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kSchema[] = "petit.results/1";
constexpr double kConfidence = 0.95;

const char* RoleName(Role role) {
  switch (role) {
    case Role::kTeacher:
      return "teacher";
    case Role::kStudent:
      return "student";
    case Role::kDistilled:
      return "distilled";
    case Role::kQuantized:
      return "quantized";
    case Role::kOther:
      break;
  }
  return "other";
}

std::string Moment(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

Json NameOrNull(const std::string& name) { return name.empty() ? Json() : Json(name); }

// "4f6c23c1d2e3" of "0.1.0+4f6c23c1d2e3".
std::string RevisionOf(const std::string& build) {
  const std::size_t plus = build.find('+');
  return plus == std::string::npos ? "" : build.substr(plus + 1);
}

template <typename Value>
Json OrNull(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json Ratio(double value, double base) { return base > 0 ? Json(value / base) : Json(); }

const ModelUnderTest* FindModel(const Outcome& outcome, const std::string& name) {
  for (const ModelUnderTest& model : outcome.models) {
    if (model.plan.name == name) return &model;
  }
  return nullptr;
}

Json ToJson(const SetUnderTest& set) {
  Json files = Json::array();
  for (const data::PairFileInfo& file : set.info.files) files.push_back({{"path", file.path}, {"sha256", file.sha256}});
  return {{"name", set.plan.name},
          {"source_language", set.plan.source_language},
          {"target_language", set.plan.target_language},
          {"prompt", OrNull(set.plan.prompt)},
          {"out_of_domain", set.plan.out_of_domain},
          {"pairs", set.info.pairs},
          {"pairs_there", set.info.pairs_there},
          {"skip", set.plan.files.skip},
          {"files", std::move(files)},
          {"note", set.plan.note}};
}

Json ToJson(const ModelUnderTest& model, const ModelUnderTest* teacher) {
  const auto of_teacher = [teacher](std::int64_t bytes, std::int64_t teachers) {
    return teacher == nullptr ? Json() : Ratio(static_cast<double>(bytes), static_cast<double>(teachers));
  };
  const client::ModelVersion& served = model.served;
  return {{"name", model.plan.name},
          {"label", model.plan.label},
          {"role", RoleName(model.plan.role)},
          {"alpha", OrNull(model.plan.alpha)},
          {"server", model.plan.server},
          {"version", served.version},
          {"digest", served.digest},
          {"executor", served.executor},
          {"precision", served.precision},
          {"device", served.device},
          {"replicas", served.replicas},
          {"parameters", served.parameters},
          {"bytes_in_memory", served.bytes_in_memory},
          {"bytes_on_disk", served.bytes_on_disk},
          {"memory_ratio", of_teacher(served.bytes_in_memory, teacher ? teacher->served.bytes_in_memory : 0)},
          {"disk_ratio", of_teacher(served.bytes_on_disk, teacher ? teacher->served.bytes_on_disk : 0)}};
}

Json ToJson(const MetricScore& score) {
  return {{"score", score.score},
          {"mean", score.mean},
          {"half_width", score.half_width},
          {"p_value", OrNull(score.p_value)},
          {"teacher_p_value", OrNull(score.teacher_p_value)}};
}

Json ToJson(const CellScores& cell) {
  Json failures = Json::array();
  for (const Failure& failure : cell.failures) {
    failures.push_back({{"line", failure.line},
                        {"code", absl::StatusCodeToString(failure.status.code())},
                        {"message", std::string(failure.status.message())}});
  }
  return {
      {"model", cell.model},
      {"set", cell.set},
      {"pairs", cell.pairs},
      {"bleu", ToJson(cell.bleu)},
      {"chrf2", ToJson(cell.chrf)},
      {"rouge_l", ToJson(cell.rouge_l)},
      {"rouge_l_unicode", ToJson(cell.rouge_l_unicode)},
      {"kl", cell.divergence ? Json({{"nats", cell.divergence->nats}, {"tokens", cell.divergence->tokens}}) : Json()},
      {"perplexity", OrNull(cell.perplexity)},
      {"agreement", cell.agreement ? Json({{"exact", cell.agreement->exact}, {"bleu", cell.agreement->bleu}}) : Json()},
      {"length_ratio", cell.length_ratio},
      {"empty", cell.empty},
      {"truncated", cell.truncated},
      {"source_unknown_rate", cell.source_tokens > 0 ? static_cast<double>(cell.unknown_source_tokens) /
                                                           static_cast<double>(cell.source_tokens)
                                                     : 0.0},
      {"source_tokens", cell.source_tokens},
      {"target_tokens", cell.target_tokens},
      {"failures", std::move(failures)}};
}

Json ToJson(const Percentiles& percentiles) {
  return {{"p50", percentiles.p50}, {"p95", percentiles.p95}, {"p99", percentiles.p99}};
}

Json ToJson(const PassSpeed& pass) {
  return {{"seconds", pass.seconds},
          {"sentences_per_second", pass.sentences_per_second},
          {"tokens_per_second", pass.tokens_per_second},
          {"latency", ToJson(pass.latency)},
          {"first_token", ToJson(pass.first_token)},
          {"idle", pass.idle}};
}

Json ToJson(const CellSpeed& speed, const Outcome& outcome, const std::string& teacher) {
  Json passes = Json::array();
  for (const PassSpeed& pass : speed.speed.passes) passes.push_back(ToJson(pass));
  Json time_ratio;
  for (const CellSpeed& other : outcome.speeds) {
    if (other.model == teacher && other.set == speed.set) {
      time_ratio = Ratio(speed.speed.median.seconds, other.speed.median.seconds);
    }
  }
  return {{"model", speed.model},
          {"set", speed.set},
          {"concurrency", speed.concurrency},
          {"passes", std::move(passes)},
          {"median", ToJson(speed.speed.median)},
          {"spread", speed.speed.spread},
          {"time_ratio", std::move(time_ratio)},
          {"latency_histogram", {{"edges", speed.speed.histogram.edges}, {"counts", speed.speed.histogram.counts}}}};
}

Json ToJson(const JobResult& job) {
  Json json = {{"name", job.name}, {"experiment", job.experiment}, {"state", job.state},      {"seconds", job.seconds},
               {"spec", job.spec}, {"arms", Json::array()},        {"curves", Json::array()}, {"dev", Json::array()}};
  for (const JobResult::Arm& arm : job.arms) {
    json["arms"].push_back({{"arm", arm.arm},
                            {"alpha", arm.alpha},
                            {"learning_rate", arm.learning_rate},
                            {"model", NameOrNull(arm.model)}});
  }
  for (const JobResult::Point& point : job.curves) {
    json["curves"].push_back({{"arm", point.arm},
                              {"step", point.step},
                              {"cross_entropy", point.cross_entropy},
                              {"kl", point.kl},
                              {"learning_rate", point.learning_rate},
                              {"tokens_per_second", point.tokens_per_second}});
  }
  for (const JobResult::DevPoint& point : job.dev) {
    json["dev"].push_back({{"arm", point.arm},
                           {"set", point.set},
                           {"out_of_domain", point.out_of_domain},
                           {"step", point.step},
                           {"bleu", point.bleu},
                           {"chrf2", point.chrf},
                           {"cross_entropy", point.cross_entropy},
                           {"kl", OrNull(point.kl)}});
  }
  return json;
}

Json ToJson(const Example& example) {
  Json hypotheses = Json::array();
  for (const ExampleHypothesis& hypothesis : example.hypotheses) {
    hypotheses.push_back({{"model", hypothesis.model}, {"text", hypothesis.text}, {"bleu", hypothesis.bleu}});
  }
  return {{"set", example.set},
          {"line", example.line},
          {"source", example.source},
          {"reference", example.reference},
          {"disagreement", example.disagreement},
          {"hypotheses", std::move(hypotheses)}};
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string Number(const std::optional<double>& value) { return value ? absl::StrFormat("%.6g", *value) : ""; }

}  // namespace

std::string FormatResults(const Plan& plan, const Outcome& outcome, const std::vector<JobResult>& jobs) {
  const Measurement& how = plan.measurement;
  const Signatures signatures = MetricSignatures();
  const client::ServerInfo server = outcome.servers.empty() ? client::ServerInfo() : outcome.servers[0];
  const ModelUnderTest* teacher = FindModel(outcome, plan.teacher);
  Json json = {
      {"schema", kSchema},
      {"name", plan.name},
      {"title", plan.title.empty() ? plan.name : plan.title},
      {"description", plan.description},
      {"random_weights", plan.random_weights},
      {"trial", plan.trial},
      {"started", Moment(outcome.started)},
      {"finished", Moment(outcome.finished)},
      {"command", plan.command},
      {"versions", {{"client", PETIT_VERSION}, {"server", server.build}, {"git_revision", RevisionOf(server.build)}}},
      {"hardware",
       {{"cpu", server.cpu},
        {"logical_cpus", server.logical_cpus},
        {"memory_bytes", server.memory_bytes},
        {"os", server.os}}},
      {"settings",
       {{"decoding", DescribeDecoding(plan.decoding)},
        {"concurrency", how.concurrency},
        {"speed_concurrency", how.speed_concurrency},
        {"repeats", how.repeats},
        {"bootstrap_samples", how.bootstrap_samples},
        {"seed", how.seed},
        {"confidence", kConfidence}}},
      {"signatures",
       {{"bleu", signatures.bleu},
        {"chrf2", signatures.chrf},
        {"rouge_l", signatures.rouge_l},
        {"rouge_l_unicode", signatures.rouge_l_unicode}}},
      {"teacher", NameOrNull(plan.teacher)},
      {"baseline", NameOrNull(plan.baseline)},
      {"main_set", plan.main_set.empty() ? outcome.sets.at(0).plan.name : plan.main_set}};
  json["sets"] = Json::array();
  for (const SetUnderTest& set : outcome.sets) json["sets"].push_back(ToJson(set));
  json["models"] = Json::array();
  for (const ModelUnderTest& model : outcome.models) json["models"].push_back(ToJson(model, teacher));
  json["results"] = Json::array();
  for (const CellScores& cell : outcome.scores) json["results"].push_back(ToJson(cell));
  json["speeds"] = Json::array();
  for (const CellSpeed& speed : outcome.speeds) json["speeds"].push_back(ToJson(speed, outcome, plan.teacher));
  json["jobs"] = Json::array();
  for (const JobResult& job : jobs) json["jobs"].push_back(ToJson(job));
  json["examples"] = Json::array();
  for (const Example& example : outcome.examples) json["examples"].push_back(ToJson(example));
  json["problems"] = outcome.problems;
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string FormatCsv(const Outcome& outcome) {
  std::string csv =
      "set,model,pairs,bleu,bleu_half_width,bleu_p,chrf2,chrf2_half_width,rouge_l,rouge_l_half_width,rouge_l_unicode,"
      "kl,perplexity,agreement_exact,agreement_bleu,length_ratio,empty,truncated,failed,source_unknown_rate,"
      "target_tokens,seconds,sentences_per_second,tokens_per_second,p50,p95,p99,first_token_p50,precision,device,"
      "parameters,bytes_in_memory,bytes_on_disk\r\n";
  for (const CellScores& cell : outcome.scores) {
    const ModelUnderTest* model = FindModel(outcome, cell.model);
    std::optional<PassSpeed> speed;
    for (const CellSpeed& timed : outcome.speeds) {
      if (timed.model == cell.model && timed.set == cell.set) speed = timed.speed.median;
    }
    const auto timed = [&speed](const auto& get) { return speed ? Number(get(*speed)) : std::string(); };
    const double unknown = cell.source_tokens > 0 ? static_cast<double>(cell.unknown_source_tokens) /
                                                        static_cast<double>(cell.source_tokens)
                                                  : 0.0;
    const std::vector<std::string> fields = {CsvField(cell.set),
                                             CsvField(cell.model),
                                             absl::StrCat(cell.pairs),
                                             Number(cell.bleu.score),
                                             Number(cell.bleu.half_width),
                                             Number(cell.bleu.p_value),
                                             Number(cell.chrf.score),
                                             Number(cell.chrf.half_width),
                                             Number(cell.rouge_l.score),
                                             Number(cell.rouge_l.half_width),
                                             Number(cell.rouge_l_unicode.score),
                                             cell.divergence ? Number(cell.divergence->nats) : "",
                                             Number(cell.perplexity),
                                             cell.agreement ? Number(cell.agreement->exact) : "",
                                             cell.agreement ? Number(cell.agreement->bleu) : "",
                                             Number(cell.length_ratio),
                                             absl::StrCat(cell.empty),
                                             absl::StrCat(cell.truncated),
                                             absl::StrCat(cell.failures.size()),
                                             Number(unknown),
                                             absl::StrCat(cell.target_tokens),
                                             timed([](const PassSpeed& pass) { return pass.seconds; }),
                                             timed([](const PassSpeed& pass) { return pass.sentences_per_second; }),
                                             timed([](const PassSpeed& pass) { return pass.tokens_per_second; }),
                                             timed([](const PassSpeed& pass) { return pass.latency.p50; }),
                                             timed([](const PassSpeed& pass) { return pass.latency.p95; }),
                                             timed([](const PassSpeed& pass) { return pass.latency.p99; }),
                                             timed([](const PassSpeed& pass) { return pass.first_token.p50; }),
                                             model ? model->served.precision : "",
                                             model ? model->served.device : "",
                                             model ? absl::StrCat(model->served.parameters) : "",
                                             model ? absl::StrCat(model->served.bytes_in_memory) : "",
                                             model ? absl::StrCat(model->served.bytes_on_disk) : ""};
    for (std::size_t i = 0; i < fields.size(); ++i) absl::StrAppend(&csv, i == 0 ? "" : ",", fields[i]);
    csv += "\r\n";
  }
  return csv;
}

}  // namespace petit::eval
