// petit info
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/table.h"

namespace petit::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InfoFlags {
  CommonFlags common;
  bool json = false;
};

std::string Or(const std::string& text, const std::string& otherwise) { return text.empty() ? otherwise : text; }

std::string FormatStart(absl::Time time, const char* format, absl::TimeZone zone) {
  return time == absl::InfinitePast() ? "" : absl::FormatTime(format, time, zone);
}

Json ToJson(const client::ServerInfo& info) {
  return {{"build", info.build},
          {"start_time", FormatStart(info.start_time, absl::RFC3339_full, absl::UTCTimeZone())},
          {"cpu", info.cpu},
          {"logical_cpus", info.logical_cpus},
          {"memory_bytes", info.memory_bytes},
          {"os", info.os},
          {"texts_in_flight", info.texts_in_flight},
          {"texts_accepted", info.texts_accepted},
          {"pairs_in_flight", info.pairs_in_flight},
          {"pairs_scored", info.pairs_scored}};
}

void PrintInfo(const client::ServerInfo& info, std::ostream& out) {
  out << "build:    " << Or(info.build, "-") << "\n"
      << "started:  " << Or(FormatStart(info.start_time, "%Y-%m-%d %H:%M:%S %Z", absl::LocalTimeZone()), "-") << "\n"
      << "cpu:      " << Or(info.cpu, "-") << "\n"
      << "cpus:     " << (info.logical_cpus == 0 ? "-" : absl::StrCat(info.logical_cpus)) << "\n"
      << "memory:   " << FormatBytes(info.memory_bytes) << "\n"
      << "os:       " << Or(info.os, "-") << "\n"
      << "texts:    " << info.texts_in_flight << " in flight, " << info.texts_accepted << " accepted\n"
      << "pairs:    " << info.pairs_in_flight << " in flight, " << info.pairs_scored << " scored\n";
}

int Info(const InfoFlags& flags, Io& io) {
  const absl::StatusOr<client::Client> client = Connect(flags.common);
  if (!client.ok()) return FailUsage(io, std::string(client.status().message()));
  const absl::StatusOr<client::ServerInfo> info = client->GetServerInfo(CallFor(io));
  if (!info.ok()) return Fail(io, info.status());
  if (flags.json) {
    *io.out << ToJson(*info).dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    PrintInfo(*info, *io.out);
  }
  return kExitOk;
}

}  // namespace

void AddInfoCommand(CLI::App& app, Invocation& invocation) {
  const auto flags = std::make_shared<InfoFlags>();
  CLI::App& info = *app.add_subcommand("info",
                                       "Shows the server's build and machine, and how busy it is.\n"
                                       "\n"
                                       "Texts and pairs count over all models and clients: what is in flight, and\n"
                                       "what there was since the server's start.");
  info.footer(absl::StrCat("Example:\n  petit info --json | jq .texts_in_flight\n\n", kExitCodesHelp));
  info.add_flag("--json", flags->json, "JSON in place of text");
  AddCommonFlags(info, flags->common);
  info.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return Info(*flags, io); }; });
}

}  // namespace petit::cli
