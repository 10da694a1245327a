// petit models list|get|load|unload|serve-version
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/table.h"
#include "client/cli/validators.h"

namespace petit::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ModelsFlags {
  CommonFlags common;
  std::string name;
  std::int64_t version = 0;
  bool json = false;
};

std::string Or(const std::string& text, const std::string& otherwise) { return text.empty() ? otherwise : text; }

std::string Pairs(const client::Model& model) {
  return absl::StrJoin(model.language_pairs, " ", [](std::string* out, const client::LanguagePair& pair) {
    absl::StrAppend(out, pair.source, "-", pair.target);
  });
}

Json ToJson(const client::Model& model) {
  Json json = {{"name", model.name},
               {"state", client::ModelStateName(model.state)},
               {"served_version", model.served_version},
               {"language_pairs", Json::array()},
               {"versions", Json::array()}};
  for (const client::LanguagePair& pair : model.language_pairs) {
    json["language_pairs"].push_back({{"source", pair.source}, {"target", pair.target}});
  }
  for (const client::ModelVersion& version : model.versions) {
    Json entry = {{"version", version.version},
                  {"state", client::ModelStateName(version.state)},
                  {"executor", version.executor},
                  {"precision", version.precision},
                  {"device", version.device},
                  {"replicas", version.replicas},
                  {"parameters", version.parameters},
                  {"bytes_in_memory", version.bytes_in_memory},
                  {"bytes_on_disk", version.bytes_on_disk},
                  {"digest", version.digest}};
    if (!version.error.empty()) entry["error"] = version.error;
    if (version.loaded_at != absl::InfinitePast()) {
      entry["loaded_at"] = absl::FormatTime(absl::RFC3339_full, version.loaded_at, absl::UTCTimeZone());
    }
    json["versions"].push_back(std::move(entry));
  }
  return json;
}

void PrintList(const std::vector<client::Model>& models, std::ostream& out) {
  Table table({{.title = "MODEL"},
               {.title = "STATE"},
               {.title = "VERSION"},
               {.title = "PRECISION"},
               {.title = "EXECUTOR"},
               {.title = "DEVICE"},
               {.title = "PARAMETERS", .align = Table::Align::kRight},
               {.title = "MEMORY", .align = Table::Align::kRight},
               {.title = "LANGUAGES"}});
  for (const client::Model& model : models) {
    const client::ModelVersion none;
    const client::ModelVersion& served = model.Served() != nullptr ? *model.Served() : none;
    table.AddRow({model.name, client::ModelStateName(model.state),
                  model.served_version == 0 ? "-" : absl::StrCat(model.served_version), Or(served.precision, "-"),
                  Or(served.executor, "-"), Or(served.device, "-"), FormatCount(served.parameters),
                  FormatBytes(served.bytes_in_memory), Pairs(model)});
  }
  out << table.Format();
}

void PrintModel(const client::Model& model, std::ostream& out) {
  out << "model:      " << model.name << "\n"
      << "state:      " << client::ModelStateName(model.state) << "\n"
      << "served:     "
      << (model.served_version == 0 ? std::string("no version") : absl::StrCat("version ", model.served_version))
      << "\n"
      << "languages:  " << Pairs(model) << "\n\n";
  Table table({{.title = "VERSION"},
               {.title = "STATE"},
               {.title = "PRECISION"},
               {.title = "EXECUTOR"},
               {.title = "DEVICE"},
               {.title = "REPLICAS", .align = Table::Align::kRight},
               {.title = "PARAMETERS", .align = Table::Align::kRight},
               {.title = "MEMORY", .align = Table::Align::kRight},
               {.title = "DISK", .align = Table::Align::kRight},
               {.title = "LOADED"},
               {.title = "DIGEST"}});
  for (const client::ModelVersion& version : model.versions) {
    table.AddRow({absl::StrCat(version.version), client::ModelStateName(version.state), Or(version.precision, "-"),
                  Or(version.executor, "-"), Or(version.device, "-"),
                  version.replicas == 0 ? "-" : absl::StrCat(version.replicas), FormatCount(version.parameters),
                  FormatBytes(version.bytes_in_memory), FormatBytes(version.bytes_on_disk),
                  version.loaded_at == absl::InfinitePast()
                      ? "-"
                      : absl::FormatTime("%Y-%m-%d %H:%M:%S", version.loaded_at, absl::LocalTimeZone()),
                  Or(version.digest.substr(0, 12), "-")});
  }
  out << table.Format();
  for (const client::ModelVersion& version : model.versions) {
    if (!version.error.empty()) out << "\nversion " << version.version << " did not load: " << version.error << "\n";
  }
}

int List(const ModelsFlags& flags, Io& io) {
  const absl::StatusOr<client::Client> client = Connect(flags.common);
  if (!client.ok()) return FailUsage(io, std::string(client.status().message()));
  const absl::StatusOr<std::vector<client::Model>> models = client->ListModels(CallFor(io));
  if (!models.ok()) return Fail(io, models.status());
  if (flags.json) {
    Json json = Json::array();
    for (const client::Model& model : *models) json.push_back(ToJson(model));
    *io.out << json.dump(2) << "\n";
  } else {
    PrintList(*models, *io.out);
  }
  return kExitOk;
}

using ModelCall = std::function<absl::StatusOr<client::Model>(const client::Client&, const client::CallOptions&)>;

int PrintOne(const ModelsFlags& flags, Io& io, const ModelCall& call) {
  const absl::StatusOr<client::Client> client = Connect(flags.common);
  if (!client.ok()) return FailUsage(io, std::string(client.status().message()));
  const absl::StatusOr<client::Model> model = call(*client, CallFor(io));
  if (!model.ok()) return Fail(io, model.status());
  if (flags.json) {
    *io.out << ToJson(*model).dump(2) << "\n";
  } else {
    PrintModel(*model, *io.out);
  }
  return kExitOk;
}

struct Subcommand {
  const char* name;
  const char* description;
  const char* example;
  bool names_model = true;
  const char* version_help = nullptr;  // of --version; null: there is no such option
  double timeout_s = 60;
};

// Loading reads gigabytes; unloading waits for requests in flight.
constexpr double kLongTimeoutSeconds = 600;

CLI::App& Add(CLI::App& models, const std::shared_ptr<ModelsFlags>& flags, const Subcommand& subcommand) {
  CLI::App& command = *models.add_subcommand(subcommand.name, subcommand.description);
  command.footer(absl::StrCat("Example:\n  ", subcommand.example, "\n\n", kExitCodesHelp));
  if (subcommand.names_model) {
    command.add_option("MODEL", flags->name, "Name of a configured model")->required()->type_name("");
  }
  if (subcommand.version_help != nullptr) {
    command.add_option("--version", flags->version, subcommand.version_help)->type_name("N")->check(AtLeast(1));
  }
  command.add_flag("--json", flags->json, "JSON in place of a table");
  AddCommonFlags(command, flags->common, subcommand.timeout_s);
  return command;
}

using FlagsCall = absl::StatusOr<client::Model> (*)(const client::Client&, const ModelsFlags&,
                                                    const client::CallOptions&);

// A subcommand that prints the one model that its call returns.
CLI::App& AddOne(CLI::App& models, const std::shared_ptr<ModelsFlags>& flags, Invocation& invocation,
                 const Subcommand& subcommand, FlagsCall call) {
  CLI::App& command = Add(models, flags, subcommand);
  command.callback([&invocation, flags, call] {
    invocation.run = [flags, call](Io& io) {
      return PrintOne(*flags, io, [&](const client::Client& client, const client::CallOptions& options) {
        return call(client, *flags, options);
      });
    };
  });
  return command;
}

void AddList(CLI::App& models, Invocation& invocation) {
  const auto flags = std::make_shared<ModelsFlags>();
  Add(models, flags,
      {.name = "list",
       .description = "Lists the configured models and what serves each.",
       .example = "petit models list --json | jq -r '.[].name'",
       .names_model = false})
      .callback([&invocation, flags] { invocation.run = [flags](Io& io) { return List(*flags, io); }; });
}

void AddServeVersion(CLI::App& models, Invocation& invocation) {
  const auto flags = std::make_shared<ModelsFlags>();
  CLI::App& serve = AddOne(
      models, flags, invocation,
      {.name = "serve-version",
       .description = "Switches a model to a version, forward or back, without a failed request.\n"
                      "\n"
                      "The version is loaded first; if it does not load, the one before goes on serving. The choice\n"
                      "survives a restart.",
       .example = "petit models serve-version student 2",
       .timeout_s = kLongTimeoutSeconds},
      [](const client::Client& client, const ModelsFlags& given, const client::CallOptions& call) {
        return client.SetServedVersion(given.name, given.version, call);
      });
  serve.add_option("VERSION", flags->version, "Version to serve")->required()->type_name("")->check(AtLeast(1));
}

}  // namespace

void AddModelsCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& models = *app.add_subcommand(
      "models",
      "Shows, loads, unloads and switches the server's models and their versions.\n"
      "\n"
      "The server's configuration names the models; a model's versions are checkpoints on its disk.");
  models.require_subcommand(1);
  models.footer(std::string("Examples:\n"
                            "  petit models list\n"
                            "  petit models get student\n"
                            "  petit models serve-version student 2\n\n") +
                kExitCodesHelp);
  AddList(models, invocation);
  AddOne(
      models, std::make_shared<ModelsFlags>(), invocation,
      {.name = "get", .description = "Shows one model and all of its versions.", .example = "petit models get student"},
      [](const client::Client& client, const ModelsFlags& given, const client::CallOptions& call) {
        return client.GetModel(given.name, call);
      });
  AddOne(models, std::make_shared<ModelsFlags>(), invocation,
         {.name = "load",
          .description = "Loads a version, and serves it if the model serves none. Returns when it is ready.",
          .example = "petit models load student --version 2",
          .version_help = "Version to load; default: the one that the server's configuration chooses",
          .timeout_s = kLongTimeoutSeconds},
         [](const client::Client& client, const ModelsFlags& given, const client::CallOptions& call) {
           return client.LoadModel(given.name, given.version, call);
         });
  AddOne(models, std::make_shared<ModelsFlags>(), invocation,
         {.name = "unload",
          .description = "Unloads a version, or the whole model. Requests in flight finish first.",
          .example = "petit models unload student",
          .version_help = "Version to unload; default: all of them",
          .timeout_s = kLongTimeoutSeconds},
         [](const client::Client& client, const ModelsFlags& given, const client::CallOptions& call) {
           return client.UnloadModel(given.name, given.version, call);
         });
  AddServeVersion(models, invocation);
}

}  // namespace petit::cli
