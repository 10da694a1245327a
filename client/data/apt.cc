#include "client/data/apt.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): only glibc with _GNU_SOURCE declares it

namespace petit::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxErrorLines = 6;

std::string ReadText(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

absl::Status WriteText(const fs::path& path, absl::string_view text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (!stream) return absl::InternalError(absl::StrCat(path.string(), ": cannot be written"));
  return absl::OkStatus();
}

bool HasAnyOf(absl::string_view text, absl::string_view characters) {
  return text.find_first_of(characters) != absl::string_view::npos;
}

absl::Status Check(const AptOptions& options) {
  // These characters end a value in apt's configuration or in a sources file.
  if (!fs::path(options.directory).is_absolute() || HasAnyOf(options.directory, "\"\\;{}\n\r")) {
    return absl::InvalidArgumentError(
        absl::StrCat("apt cannot use the directory ", options.directory, ": no quote, backslash, brace or newline"));
  }
  if (options.source.uri.empty() || HasAnyOf(options.source.uri, " \t\n\r") ||
      !absl::StrContains(options.source.uri, ":")) {
    return absl::InvalidArgumentError(
        absl::StrCat("the mirror \"", options.source.uri, "\" is not a URI like http://HOST/debian"));
  }
  const auto plain = [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("._-/", c); };
  if (options.source.suite.empty() || !std::all_of(options.source.suite.begin(), options.source.suite.end(), plain)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the suite \"", options.source.suite, "\" is not a name like bookworm"));
  }
  return absl::OkStatus();
}

std::string SourcesFile(const AptSource& source) {
  std::string text = absl::StrCat("Types: deb\nURIs: ", source.uri, "\nSuites: ", source.suite,
                                  "\nComponents: main\nTargets: Translations\n");
  if (!source.signed_by.empty()) absl::StrAppend(&text, "Signed-By: ", source.signed_by, "\n");
  if (source.trusted) absl::StrAppend(&text, "Trusted: yes\n");
  return text;
}

// Read after the machine's configuration, of which only the network settings and the keys shall count.
std::string ConfigFile(const AptOptions& options) {
  const std::string& dir = options.directory;
  std::string text;
  for (const char* list : {"Acquire::Languages", "APT::Update::Pre-Invoke", "APT::Update::Post-Invoke",
                           "APT::Update::Post-Invoke-Success"}) {
    absl::StrAppend(&text, "#clear ", list, ";\n");
  }
  absl::StrAppend(&text, "Dir::State \"", dir, "/state\";\n");
  absl::StrAppend(&text, "Dir::State::lists \"", dir, "/lists\";\n");
  absl::StrAppend(&text, "Dir::State::status \"", dir, "/state/status\";\n");
  absl::StrAppend(&text, "Dir::Cache \"", dir, "/cache\";\n");
  absl::StrAppend(&text, "Dir::Log \"", dir, "\";\n");
  absl::StrAppend(&text, "Dir::Etc::sourcelist \"", dir, "/private.sources\";\n");
  absl::StrAppend(&text, "Dir::Etc::sourceparts \"-\";\n");
  absl::StrAppend(&text, "Acquire::Languages { \"", absl::StrJoin(options.languages, "\"; \""), "\"; };\n");
  absl::StrAppend(&text, "Acquire::GzipIndexes \"false\";\nAcquire::Retries \"3\";\n");
  absl::StrAppend(&text, "APT::Update::Error-Mode \"any\";\n");
  // As root apt would fetch as its own user, who may not enter the directory.
  if (geteuid() == 0) absl::StrAppend(&text, "APT::Sandbox::User \"root\";\n");
  return text;
}

absl::Status Prepare(const AptOptions& options) {
  for (const char* part : {"lists/partial", "state", "cache/archives/partial"}) {
    std::error_code failure;
    fs::create_directories(fs::path(options.directory) / part, failure);
    if (failure) {
      return absl::InternalError(absl::StrCat(options.directory, "/", part, ": ", failure.message()));
    }
  }
  const fs::path dir = options.directory;
  if (auto status = WriteText(dir / "state" / "status", ""); !status.ok()) return status;
  if (auto status = WriteText(dir / "private.sources", SourcesFile(options.source)); !status.ok()) return status;
  return WriteText(dir / "apt.conf", ConfigFile(options));
}

// The child's environment: ours with apt's messages in English.
std::vector<std::string> Environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "LC_") && !absl::StartsWith(*variable, "LANG")) variables.emplace_back(*variable);
  }
  variables.emplace_back("LC_ALL=C");
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& string : *strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The exit status, or an error where the program could not be started. Its output goes to `log`.
absl::StatusOr<int> Run(std::vector<std::string> arguments, const std::string& log) {
  std::vector<std::string> environment = Environment();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = -1;
  const int failure = posix_spawnp(&pid, arguments[0].c_str(), &actions, nullptr, Pointers(&arguments).data(),
                                   Pointers(&environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failure == ENOENT) {
    return absl::FailedPreconditionError(
        absl::StrCat(arguments[0], " is not there: the demo data is rebuilt on Debian or Ubuntu only"));
  }
  if (failure != 0) return absl::InternalError(absl::StrCat(arguments[0], ": ", std::strerror(failure)));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return absl::InternalError(absl::StrCat(arguments[0], ": ", std::strerror(errno)));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Errors and warnings of apt's output, the last ones.
std::string Complaints(const std::string& log) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    if (absl::StartsWith(line, "E: ") || absl::StartsWith(line, "W: ") || absl::StartsWith(line, "Err:")) {
      lines.emplace_back(line);
    }
  }
  if (lines.size() > kMaxErrorLines) lines.erase(lines.begin(), lines.end() - kMaxErrorLines);
  return lines.empty() ? std::string(absl::StripAsciiWhitespace(log)) : absl::StrJoin(lines, "; ");
}

std::string ReleaseDate(const std::string& release) {
  for (absl::string_view line : absl::StrSplit(release, '\n')) {
    if (absl::ConsumePrefix(&line, "Date:")) return std::string(absl::StripAsciiWhitespace(line));
  }
  return "";
}

absl::StatusOr<AptLists> CollectLists(const AptOptions& options) {
  AptLists lists;
  lists.translations.resize(options.languages.size());
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(fs::path(options.directory) / "lists", failure)) {
    const std::string name = entry.path().filename().string();
    if (absl::EndsWith(name, "Release")) lists.release_date = ReleaseDate(ReadText(entry.path()));
    for (std::size_t i = 0; i < options.languages.size(); ++i) {
      if (absl::EndsWith(name, absl::StrCat("_main_i18n_Translation-", options.languages[i]))) {
        lists.translations[i] = entry.path().string();
      }
    }
  }
  if (failure) return absl::InternalError(absl::StrCat(options.directory, "/lists: ", failure.message()));
  for (std::size_t i = 0; i < options.languages.size(); ++i) {
    if (lists.translations[i].empty()) {
      return absl::NotFoundError(absl::StrCat("the mirror ", options.source.uri, " has no Translation-",
                                              options.languages[i], " for ", options.source.suite, "/main"));
    }
  }
  return lists;
}

}  // namespace

absl::StatusOr<AptLists> FetchTranslations(const AptOptions& options) {
  if (auto status = Check(options); !status.ok()) return status;
  if (auto status = Prepare(options); !status.ok()) return status;
  const std::string log = options.directory + "/log";
  const auto exit = Run({options.program, "-q", "-c", options.directory + "/apt.conf", "update"}, log);
  if (!exit.ok()) return exit.status();
  if (*exit != 0) {
    return absl::UnavailableError(absl::StrCat("apt-get could not fetch the descriptions of ", options.source.suite,
                                               " from ", options.source.uri, " (exit ", *exit,
                                               "): ", Complaints(ReadText(log))));
  }
  return CollectLists(options);
}

}  // namespace petit::data
