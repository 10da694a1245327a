#include "client/eval/evaluation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace petit::eval {
namespace {

using Json = nlohmann::json;

std::string NamesOf(const std::vector<client::Model>& models) {
  return absl::StrJoin(models, ", ",
                       [](std::string* out, const client::Model& model) { absl::StrAppend(out, model.name); });
}

// The version that answers under this name, and its model.
absl::StatusOr<std::pair<client::ModelVersion, client::Model>> FindVersion(const std::vector<client::Model>& models,
                                                                           const std::string& name) {
  for (const client::Model& model : models) {
    if (name == model.name) {
      if (const client::ModelVersion* served = model.Served(); served != nullptr) return std::pair(*served, model);
      return absl::FailedPreconditionError(absl::StrCat("model '", name, "' serves no version"));
    }
    for (const client::ModelVersion& version : model.versions) {
      if (name != absl::StrCat(model.name, "/versions/", version.version)) continue;
      if (version.state == client::ModelState::kReady) return std::pair(version, model);
      return absl::FailedPreconditionError(
          absl::StrCat("'", name, "' is ", client::ModelStateName(version.state), "; load it first"));
    }
  }
  return absl::NotFoundError(absl::StrCat("there is no model '", name, "'; the server has: ", NamesOf(models)));
}

template <typename Item, typename Name>
absl::Status CheckUnique(const std::vector<Item>& items, const char* what, const Name& name) {
  if (items.empty()) return absl::InvalidArgumentError(absl::StrCat("there is no ", what, " to evaluate"));
  std::set<std::string> seen;
  for (const Item& item : items) {
    if (!seen.insert(name(item)).second) {
      return absl::InvalidArgumentError(absl::StrCat(what, " '", name(item), "' is there twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const Plan& plan) {
  absl::Status status = CheckUnique(plan.models, "model", [](const ModelPlan& model) { return model.name; });
  if (status.ok()) status = CheckUnique(plan.sets, "set", [](const SetPlan& set) { return set.name; });
  if (!status.ok()) return status;
  const auto is_model = [&](const std::string& name) {
    return name.empty() || std::any_of(plan.models.begin(), plan.models.end(),
                                       [&](const ModelPlan& model) { return model.name == name; });
  };
  if (!is_model(plan.teacher)) {
    return absl::InvalidArgumentError(absl::StrCat("the teacher '", plan.teacher, "' is none of the models"));
  }
  if (!is_model(plan.baseline)) {
    return absl::InvalidArgumentError(absl::StrCat("the baseline '", plan.baseline, "' is none of the models"));
  }
  if (plan.measurement.all_at_once && plan.measurement.repeats > 0) {
    return absl::InvalidArgumentError("models that translate at a time cannot be timed; ask for 0 timed passes");
  }
  return absl::OkStatus();
}

Json DecodingKey(const client::DecodingOptions& decoding) {
  Json json = Json::object();
  const auto add = [&json](const char* name, const auto& value) {
    if (value) json[name] = *value;
  };
  add("max_new_tokens", decoding.max_new_tokens);
  add("min_new_tokens", decoding.min_new_tokens);
  add("num_beams", decoding.num_beams);
  add("length_penalty", decoding.length_penalty);
  add("repetition_penalty", decoding.repetition_penalty);
  add("no_repeat_ngram_size", decoding.no_repeat_ngram_size);
  add("temperature", decoding.temperature);
  add("top_k", decoding.top_k);
  add("top_p", decoding.top_p);
  add("seed", decoding.seed);
  json["early_stopping"] = static_cast<int>(decoding.early_stopping);
  json["do_sample"] = decoding.do_sample;
  return json;
}

// What the model gets before each source; empty where its server has no prompt for the languages, and will say so.
std::string PromptOf(const SetPlan& set, const client::Model& model) {
  if (set.prompt) return *set.prompt;
  for (const client::LanguagePair& pair : model.language_pairs) {
    if (pair.source == set.source_language && pair.target == set.target_language) return pair.prompt;
  }
  return "";
}

}  // namespace

std::string DescribeDecoding(const client::DecodingOptions& decoding) {
  std::vector<std::string> parts;
  if (decoding.num_beams) {
    parts.push_back(*decoding.num_beams == 1 ? "greedy" : absl::StrCat(*decoding.num_beams, " beams"));
  }
  if (decoding.do_sample) parts.emplace_back("sampling");
  if (decoding.length_penalty) parts.push_back(absl::StrCat("length penalty ", *decoding.length_penalty));
  if (decoding.max_new_tokens) parts.push_back(absl::StrCat("at most ", *decoding.max_new_tokens, " tokens"));
  if (parts.empty()) return "as the server is configured";
  return absl::StrCat(absl::StrJoin(parts, ", "), "; the rest as the server is configured");
}

absl::StatusOr<std::vector<SetUnderTest>> InspectSets(const std::vector<SetPlan>& plans, int interrupt_fd) {
  std::vector<SetUnderTest> sets;
  for (const SetPlan& plan : plans) {
    absl::StatusOr<data::PairSetInfo> info = data::InspectPairs(plan.files, interrupt_fd);
    if (!info.ok()) return info.status();
    sets.push_back({.plan = plan, .info = *std::move(info)});
  }
  return sets;
}

absl::StatusOr<std::unique_ptr<Evaluation>> Evaluation::Prepare(const Plan& plan, std::vector<SetUnderTest> sets,
                                                                const Connect& connect,
                                                                const Surroundings& surroundings) {
  if (absl::Status status = Check(plan); !status.ok()) return status;
  std::unique_ptr<Evaluation> evaluation(new Evaluation(plan, surroundings));
  evaluation->started_ = absl::Now();
  evaluation->sets_ = std::move(sets);
  absl::Status status = evaluation->FindModels(connect);
  if (status.ok()) status = evaluation->OpenJournals();
  if (!status.ok()) return status;
  return evaluation;
}

absl::Status Evaluation::FindModels(const Connect& connect) {
  std::map<std::string, std::vector<client::Model>> listed;
  const client::CallOptions call{.cancellation = surroundings_.cancellation};
  for (const ModelPlan& plan : plan_.models) {
    std::shared_ptr<const client::Client>& client = clients_[plan.server];
    if (client == nullptr) {
      absl::StatusOr<client::Client> connected = connect(plan.server);
      if (!connected.ok()) return connected.status();
      client = std::make_shared<const client::Client>(*std::move(connected));
      absl::StatusOr<std::vector<client::Model>> models = client->ListModels(call);
      if (!models.ok()) return models.status();
      listed[plan.server] = *std::move(models);
      absl::StatusOr<client::ServerInfo> info = client->GetServerInfo(call);
      if (!info.ok()) return info.status();
      addresses_.push_back(plan.server);
      servers_.push_back(*std::move(info));
    }
    auto found = FindVersion(listed[plan.server], plan.name);
    if (!found.ok()) return found.status();
    models_.push_back(
        {.plan = plan, .client = client, .served = std::move(found->first), .model = std::move(found->second)});
    if (models_.back().plan.label.empty()) models_.back().plan.label = plan.name;
  }
  return absl::OkStatus();
}

// All that a translation depends on.
std::string Evaluation::KeyOf(const Cell& cell) const {
  const ModelUnderTest& model = *cell.model;
  const SetPlan& set = cell.set->plan;
  const auto server = std::find(addresses_.begin(), addresses_.end(), model.plan.server) - addresses_.begin();
  Json files = Json::array();
  for (const data::PairFileInfo& file : cell.set->info.files) files.push_back(file.sha256);
  Json key = {{"digest", model.served.digest},
              {"precision", model.served.precision},
              {"executor", model.served.executor},
              {"device", model.served.device},
              {"build", servers_[static_cast<std::size_t>(server)].build},
              {"decoding", DecodingKey(plan_.decoding)},
              {"default_decoding", DecodingKey(model.model.default_decoding)},
              {"prompt", PromptOf(set, model.model)},
              {"languages", {set.source_language, set.target_language}},
              {"files", std::move(files)},
              {"format", static_cast<int>(set.files.format)},
              {"fields", {set.files.source_field, set.files.reference_field}},
              {"swap", set.files.swap_columns},
              {"skip", set.files.skip},
              {"take", set.files.take}};
  return key.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const ModelUnderTest* Evaluation::Teacher() const {
  for (const ModelUnderTest& model : models_) {
    if (model.plan.name == plan_.teacher) return &model;
  }
  return nullptr;
}

absl::Status Evaluation::OpenJournals() {
  const ModelUnderTest* teacher = Teacher();
  std::string run;
  for (const SetUnderTest& set : sets_) {
    for (const ModelUnderTest& model : models_) {
      Cell cell{.model = &model, .set = &set, .hypotheses = nullptr, .likelihoods = nullptr};
      const std::string key = KeyOf(cell);
      const std::string stem = absl::StrCat(set.plan.name, ".", model.plan.name);
      absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(plan_.directory, stem, key);
      if (!journal.ok()) return journal.status();
      cell.hypotheses = *std::move(journal);
      if (plan_.measurement.divergence) {
        journal = Journal::Open(plan_.directory, stem + ".score",
                                absl::StrCat(key, teacher == nullptr ? "" : teacher->served.digest,
                                             teacher == nullptr ? "" : teacher->served.precision));
        if (!journal.ok()) return journal.status();
        cell.likelihoods = *std::move(journal);
      }
      absl::StrAppend(&run, key, "\v");
      cells_.push_back(std::move(cell));
    }
  }
  const Measurement& how = plan_.measurement;
  absl::StatusOr<std::unique_ptr<Journal>> passes = Journal::Open(
      plan_.directory, "passes", absl::StrCat(run, how.concurrency, " ", how.speed_concurrency, " ", how.speed_take));
  if (!passes.ok()) return passes.status();
  passes_ = *std::move(passes);
  return absl::OkStatus();
}

std::int64_t Evaluation::PassNumber(std::size_t cell, int repeat) const {
  return static_cast<std::int64_t>(repeat) * static_cast<std::int64_t>(cells_.size()) +
         static_cast<std::int64_t>(cell) + 1;
}

absl::Status Evaluation::TranslateAll() {
  if (plan_.measurement.all_at_once) return TranslateAtOnce();
  const Measurement& how = plan_.measurement;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const absl::StatusOr<std::optional<TimedPass>> pass = Translate(plan_, cells_[i], surroundings_);
    if (!pass.ok()) return pass.status();
    const bool counts = how.repeats > 0 && cells_[i].set->plan.speed && how.speed_concurrency == how.concurrency &&
                        how.speed_take == 0 && !passes_->Has(PassNumber(i, 0));
    if (!counts || !*pass) continue;
    if (absl::Status status = passes_->Append(PassNumber(i, 0), Format(**pass)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Evaluation::TranslateAtOnce() {
  std::vector<absl::Status> statuses(models_.size());
  std::vector<std::thread> threads;
  threads.reserve(models_.size());
  for (std::size_t m = 0; m < models_.size(); ++m) {
    threads.emplace_back([this, m, &statuses] {
      for (Cell& cell : cells_) {
        if (cell.model != &models_[m] || !statuses[m].ok()) continue;
        statuses[m] = Translate(plan_, cell, surroundings_).status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// After all translations for quality, so that no model's times suffer from another's scoring.
absl::Status Evaluation::ScoreAll() {
  const ModelUnderTest* teacher = Teacher();
  for (Cell& cell : cells_) {
    if (cell.likelihoods == nullptr) continue;
    const bool apart = teacher != nullptr && teacher->plan.server != cell.model->plan.server;
    if (apart) {
      problems_.push_back(
          absl::StrCat(cell.set->plan.name, ": ", cell.model->plan.name, ": no KL: the teacher is on another server"));
      cell.likelihoods = nullptr;
      continue;
    }
    if (absl::Status status = Score(cell, teacher, surroundings_); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Evaluation::TimeAll() {
  const Measurement& how = plan_.measurement;
  for (int repeat = 0; repeat < how.repeats; ++repeat) {
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      if (!cells_[i].set->plan.speed || passes_->Has(PassNumber(i, repeat))) continue;
      const absl::StatusOr<TimedPass> pass = Time(plan_, cells_[i], surroundings_);
      if (!pass.ok()) return pass.status();
      if (absl::Status status = passes_->Append(PassNumber(i, repeat), Format(*pass)); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status Evaluation::CollectSpeeds(Outcome& outcome) {
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    std::vector<TimedPass> passes;
    for (int repeat = 0; repeat < plan_.measurement.repeats; ++repeat) {
      if (!passes_->Has(PassNumber(i, repeat))) continue;
      const absl::StatusOr<std::string> record = passes_->Read(PassNumber(i, repeat));
      if (!record.ok()) return record.status();
      absl::StatusOr<TimedPass> pass = ParseTimedPass(*record);
      if (!pass.ok()) return pass.status();
      passes.push_back(*std::move(pass));
    }
    if (passes.empty()) continue;
    CellSpeed speed{.model = cells_[i].model->plan.name,
                    .set = cells_[i].set->plan.name,
                    .concurrency = plan_.measurement.speed_concurrency,
                    .speed = Summarize(passes)};
    if (!speed.speed.median.idle) {
      outcome.problems.push_back(absl::StrCat(speed.set, ": ", speed.model,
                                              ": the server worked for others, too, while it was timed; take its "
                                              "speeds for nothing"));
    }
    outcome.speeds.push_back(std::move(speed));
  }
  return absl::OkStatus();
}

absl::Status Evaluation::JudgeAll(const std::string& hypotheses_directory, Outcome& outcome) {
  for (std::size_t begin = 0; begin < cells_.size(); begin += models_.size()) {
    std::vector<Cell*> cells;
    for (std::size_t i = 0; i < models_.size(); ++i) cells.push_back(&cells_[begin + i]);
    absl::StatusOr<SetScores> scores = Judge(plan_, cells, hypotheses_directory, surroundings_);
    if (!scores.ok()) return scores.status();
    std::move(scores->cells.begin(), scores->cells.end(), std::back_inserter(outcome.scores));
    std::move(scores->problems.begin(), scores->problems.end(), std::back_inserter(outcome.problems));
    const std::string& main_set = plan_.main_set.empty() ? sets_[0].plan.name : plan_.main_set;
    if (cells[0]->set->plan.name == main_set) outcome.examples = std::move(scores->examples);
  }
  return absl::OkStatus();
}

absl::Status Evaluation::Forget() {
  absl::Status status = ForgetPasses();
  for (Cell& cell : cells_) {
    if (status.ok()) status = cell.hypotheses->Clear();
    if (status.ok() && cell.likelihoods != nullptr) status = cell.likelihoods->Clear();
  }
  return status;
}

absl::Status Evaluation::ForgetPasses() { return passes_->Clear(); }

absl::StatusOr<Outcome> Evaluation::Run(const std::string& hypotheses_directory) {
  problems_.clear();
  absl::Status status = TranslateAll();
  if (status.ok()) status = ScoreAll();
  if (status.ok()) status = TimeAll();
  if (!status.ok()) return status;
  Outcome outcome;
  outcome.problems = problems_;
  status = JudgeAll(hypotheses_directory, outcome);
  if (status.ok()) status = CollectSpeeds(outcome);
  if (!status.ok()) return status;
  outcome.started = started_;
  outcome.finished = absl::Now();
  outcome.servers = servers_;
  outcome.models = models_;
  outcome.sets = sets_;
  return outcome;
}

}  // namespace petit::eval
