#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/data/apt.h"

namespace petit::data {
namespace {

using Words = std::vector<std::string>;

Words SplitWords(absl::string_view text) { return absl::StrSplit(text, absl::ByAnyChar(" \t\n\r"), absl::SkipEmpty()); }

bool Contains(const Words& words, absl::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// deb [option=value ...] uri suite component...
bool ParseLine(absl::string_view line, AptSource* source) {
  line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
  if (!absl::ConsumePrefix(&line, "deb") || line.empty() || !absl::ascii_isspace(line[0])) return false;
  line = absl::StripLeadingAsciiWhitespace(line);
  if (absl::ConsumePrefix(&line, "[")) {
    const std::size_t close = line.find(']');
    if (close == absl::string_view::npos) return false;
    for (const std::string& option : SplitWords(line.substr(0, close))) {
      absl::string_view value = option;
      if (absl::ConsumePrefix(&value, "signed-by=")) source->signed_by = std::string(value);
      if (option == "trusted=yes") source->trusted = true;
    }
    line.remove_prefix(close + 1);
  }
  const Words words = SplitWords(line);
  if (words.size() < 3 || !Contains(Words(words.begin() + 2, words.end()), "main")) return false;
  source->uri = words[0];
  source->suite = words[1];
  return true;
}

using Stanza = std::map<std::string, std::string>;

absl::string_view Get(const Stanza& stanza, const std::string& field) {
  const auto found = stanza.find(field);
  return found == stanza.end() ? absl::string_view() : absl::string_view(found->second);
}

std::vector<Stanza> ParseStanzas(absl::string_view text) {
  std::vector<Stanza> stanzas(1);
  std::string field;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "#")) continue;
    if (absl::StripAsciiWhitespace(line).empty()) {
      if (!stanzas.back().empty()) stanzas.emplace_back();
      field.clear();
    } else if (absl::ascii_isspace(line[0])) {
      if (!field.empty()) absl::StrAppend(&stanzas.back()[field], "\n", line);
    } else if (const std::size_t colon = line.find(':'); colon != absl::string_view::npos) {
      field = absl::AsciiStrToLower(line.substr(0, colon));
      stanzas.back()[field] = std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
  }
  return stanzas;
}

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// Whether this looks like the distribution's own release, not an overlay or a third party.
bool IsDistribution(const AptSource& source) {
  constexpr std::array<absl::string_view, 4> kOverlays = {"-updates", "-security", "-backports", "-proposed"};
  for (const absl::string_view overlay : kOverlays) {
    if (absl::StrContains(source.suite, overlay)) return false;
  }
  const absl::string_view path = absl::StripSuffix(source.uri, "/");
  return absl::EndsWith(path, "/debian") || absl::EndsWith(path, "/ubuntu") || absl::EndsWith(path, "/ubuntu-ports");
}

}  // namespace

std::vector<AptSource> ParseOneLineSources(absl::string_view text) {
  std::vector<AptSource> sources;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    AptSource source;
    if (ParseLine(line, &source)) sources.push_back(std::move(source));
  }
  return sources;
}

std::vector<AptSource> ParseDeb822Sources(absl::string_view text) {
  std::vector<AptSource> sources;
  for (const Stanza& stanza : ParseStanzas(text)) {
    const std::string enabled = absl::AsciiStrToLower(Get(stanza, "enabled"));
    if (enabled == "no" || enabled == "false" || enabled == "0") continue;
    if (!Contains(SplitWords(Get(stanza, "types")), "deb")) continue;
    if (!Contains(SplitWords(Get(stanza, "components")), "main")) continue;
    for (const std::string& uri : SplitWords(Get(stanza, "uris"))) {
      for (const std::string& suite : SplitWords(Get(stanza, "suites"))) {
        sources.push_back({.uri = uri,
                           .suite = suite,
                           .signed_by = std::string(Get(stanza, "signed-by")),
                           .trusted = absl::AsciiStrToLower(Get(stanza, "trusted")) == "yes"});
      }
    }
  }
  return sources;
}

absl::StatusOr<AptSource> FindMachineSource(const std::string& etc_apt) {
  namespace fs = std::filesystem;
  std::vector<AptSource> sources = ParseOneLineSources(ReadText(fs::path(etc_apt) / "sources.list"));
  std::vector<fs::path> parts;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(fs::path(etc_apt) / "sources.list.d", ignored)) {
    parts.push_back(entry.path());
  }
  std::sort(parts.begin(), parts.end());
  for (const fs::path& part : parts) {
    std::vector<AptSource> more;
    if (part.extension() == ".list") more = ParseOneLineSources(ReadText(part));
    if (part.extension() == ".sources") more = ParseDeb822Sources(ReadText(part));
    std::move(more.begin(), more.end(), std::back_inserter(sources));
  }
  if (sources.empty()) {
    return absl::NotFoundError(absl::StrCat("no deb entry with component main in ", etc_apt, "/sources.list or ",
                                            etc_apt,
                                            "/sources.list.d: give the mirror and the suite of a Debian or Ubuntu"));
  }
  const auto own = std::find_if(sources.begin(), sources.end(), IsDistribution);
  return own != sources.end() ? *own : sources.front();
}

}  // namespace petit::data
