// The commands against a server that has no model.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"
#include "tests/unit/client/fake_server.h"

namespace petit::cli {
namespace {

using client::FakeServer;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> Translate(const FakeServer& server, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"translate", "--server", server.address(), "--model", "student"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Petit, PrintsVersionAndHelp) {
  EXPECT_THAT(RunCli({"--version"}).out, HasSubstr("petit "));
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{"--help"},
                                                                                         {"translate", "--help"},
                                                                                         {"models", "--help"},
                                                                                         {"models", "load", "-h"},
                                                                                         {"info", "--help"},
                                                                                         {"eval", "--help"},
                                                                                         {"score", "--help"},
                                                                                         {"jobs", "--help"},
                                                                                         {"jobs", "create", "--help"},
                                                                                         {"jobs", "watch", "--help"},
                                                                                         {"jobs", "publish", "--help"},
                                                                                         {"data", "demo", "--help"},
                                                                                         {"completion", "--help"}}) {
    const CliResult result = RunCli(arguments);
    EXPECT_EQ(result.code, kExitOk);
    EXPECT_THAT(result.out, HasSubstr("Example"));
    EXPECT_THAT(result.err, IsEmpty());
  }
}

TEST(Petit, EveryHelpOfACommandThatAsksAServerTellsItsExitCodes) {
  for (const char* command : {"translate", "models", "info", "jobs", "eval"}) {
    EXPECT_THAT(RunCli({command, "--help"}).out, HasSubstr("3    no server answers")) << command;
  }
}

TEST(Petit, UsageErrorsSayWhatIsWrongAndWhereHelpIs) {
  CliResult result = RunCli({"frob"});
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_EQ(result.err, "petit: 'frob' means nothing here\nTry `petit --help`.\n");
  result = RunCli({"translate", "--beams", "none", "x"});
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_EQ(result.err, "petit translate: --beams: 'none' is not a number from 1 up\nTry `petit translate --help`.\n");
  EXPECT_EQ(RunCli({"translate", "--nothing", "x"}).code, kExitUsage);
  EXPECT_EQ(RunCli({"translate", "--temperature", "0.5", "x"}).code, kExitUsage);  // without --sample
  EXPECT_EQ(RunCli({"translate", "--file", "/no/such/file"}).code, kExitUsage);
  EXPECT_EQ(RunCli({"models"}).code, kExitUsage);
  EXPECT_EQ(RunCli({}).code, kExitUsage);
}

TEST(Petit, SaysWhatToDoWhereNoServerAnswers) {
  std::string address;
  {
    FakeServer server;
    address = server.address();
  }
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"translate", "x"}, {"translate", "--model", "m"}, {"models", "list"}}) {
    std::vector<std::string> with_server = arguments;
    with_server.insert(with_server.end(), {"--server", address});
    const CliResult result = RunCli(with_server, "line\n");
    EXPECT_EQ(result.code, kExitUnreachable);
    EXPECT_EQ(result.err, "petit: no Petit server answers at " + address +
                              " (connection refused); start one with ./dev serve, or name another with --server or "
                              "PETIT_SERVER\n");
  }
}

TEST(TranslateCommand, TranslatesArguments) {
  FakeServer server;
  CliResult result = RunCli(Translate(server, {"good morning"}));
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_EQ(result.out, "GOOD MORNING\n");
  EXPECT_EQ(server.translate_calls, 1);
  result = RunCli(Translate(server, {"one", "two", "models"}));
  EXPECT_EQ(result.out, "ONE\nTWO\nMODELS\n");
  EXPECT_EQ(RunCli(Translate(server, {"--", "--minus"})).out, "--MINUS\n");
}

TEST(TranslateCommand, TranslatesLinesInOrder) {
  FakeServer server({.reverse_batches = true});
  std::string input;
  std::string wanted;
  for (int i = 0; i < 200; ++i) {
    input += "text " + std::to_string(i) + "\n";
    wanted += "TEXT " + std::to_string(i) + "\n";
  }
  const CliResult result = RunCli(Translate(server, {"--concurrency", "8"}), input);
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_EQ(result.out, wanted);
  EXPECT_EQ(server.streams, 1);
}

TEST(TranslateCommand, BlankLinesStayWithoutAskingTheServer) {
  for (const char* mode : {"--concurrency=4", "--unary"}) {
    FakeServer server;
    const CliResult result = RunCli(Translate(server, {mode}), "\none\n\n \ntwo\n\n");
    EXPECT_EQ(result.code, kExitOk) << result.err;
    EXPECT_EQ(result.out, "\nONE\n\n\nTWO\n\n");
    EXPECT_EQ(server.texts, 2);
  }
}

TEST(TranslateCommand, NamesLinesThatFailAndTranslatesTheOthers) {
  for (const char* mode : {"--concurrency=4", "--unary"}) {
    FakeServer server;
    const CliResult result = RunCli(Translate(server, {mode}), "one\nnot \xFF utf-8\nbad\ntwo\n");
    EXPECT_EQ(result.code, kExitTextsFailed);
    EXPECT_EQ(result.out, "ONE\n\n\nTWO\n");
    EXPECT_THAT(result.err, HasSubstr("petit: line 2: INVALID_ARGUMENT: byte 5 of the text is not valid UTF-8\n"));
    EXPECT_THAT(result.err, HasSubstr("petit: line 3: INVALID_ARGUMENT: text 'bad' is bad\n"));
    EXPECT_THAT(result.err, HasSubstr("petit: 2 of 4 texts failed\n"));
    EXPECT_EQ(server.texts, 3);
  }
}

TEST(TranslateCommand, ReadsFilesOneAfterTheOther) {
  FakeServer server;
  const TempFile first("one\nbad");
  const TempFile second("two\n");
  const CliResult result = RunCli(Translate(server, {"-f", first.path(), "-f", second.path(), "-f", "-"}), "three\n");
  EXPECT_EQ(result.out, "ONE\n\nTWO\nTHREE\n");
  EXPECT_THAT(result.err, HasSubstr(first.path() + ": line 2: "));
}

TEST(TranslateCommand, SendsItsOptions) {
  FakeServer server;
  const CliResult result = RunCli(Translate(server, {"--from",
                                                     "fr",
                                                     "--to",
                                                     "en",
                                                     "--prompt",
                                                     "p: ",
                                                     "--max-new-tokens",
                                                     "9",
                                                     "--length-penalty",
                                                     "0.5",
                                                     "--sample",
                                                     "--temperature",
                                                     "0.7",
                                                     "--top-k",
                                                     "5",
                                                     "--top-p",
                                                     "0.9",
                                                     "--seed",
                                                     "3",
                                                     "--split-paragraphs",
                                                     "x"}));
  EXPECT_EQ(result.code, kExitOk) << result.err;
  const petit::v1::TranslateOptions options = server.last_options();
  EXPECT_EQ(options.model(), "student");
  EXPECT_EQ(options.source_language(), "fr");
  EXPECT_EQ(options.target_language(), "en");
  EXPECT_EQ(options.prompt_override(), "p: ");
  EXPECT_TRUE(options.split_paragraphs());
  EXPECT_EQ(options.decoding().max_new_tokens(), 9);
  EXPECT_FALSE(options.decoding().has_num_beams());
  EXPECT_FLOAT_EQ(options.decoding().length_penalty(), 0.5F);
  EXPECT_TRUE(options.decoding().do_sample());
  EXPECT_FLOAT_EQ(options.decoding().temperature(), 0.7F);
  EXPECT_EQ(options.decoding().top_k(), 5);
  EXPECT_FLOAT_EQ(options.decoding().top_p(), 0.9F);
  EXPECT_EQ(options.decoding().seed(), 3);
}

TEST(TranslateCommand, PrintsAlternatives) {
  FakeServer server;
  const CliResult result = RunCli(Translate(server, {"--beams", "2", "--alternatives", "2", "one"}));
  EXPECT_EQ(result.out, "1\t1\t-0.5000\tONE\n1\t2\t-1.5000\tONE 1\n");
}

TEST(TranslateCommand, PrintsJson) {
  FakeServer server;
  const CliResult result = RunCli(Translate(server, {"--json"}), "one\n\nbad\n\xFF\n");
  EXPECT_EQ(result.code, kExitTextsFailed);
  std::istringstream lines(result.out);
  std::vector<nlohmann::json> json;
  for (std::string line; std::getline(lines, line);) json.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(json.size(), 4);
  EXPECT_EQ(json[0]["line"], 1);
  EXPECT_EQ(json[0]["translation"], "ONE");
  EXPECT_EQ(json[0]["finish_reason"], "EOS");
  EXPECT_EQ(json[0]["model_version"], 1);
  EXPECT_EQ(json[1]["translation"], "");
  EXPECT_EQ(json[2]["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(json[3]["source"], "\xEF\xBF\xBD");
}

TEST(TranslateCommand, TakesTheFirstServedModelOfTheLanguages) {
  FakeServer server;
  CliResult result = RunCli({"translate", "--server", server.address(), "one"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_EQ(server.last_options().model(), "teacher");
  result = RunCli({"translate", "--server", server.address(), "--from", "ko", "one"});
  EXPECT_EQ(result.code, kExitServerError);
  EXPECT_THAT(result.err, HasSubstr("serves no model from ko to fr; it is configured with: teacher, student"));
}

TEST(TranslateCommand, ReportsTheServersError) {
  FakeServer server;
  for (const char* text : {"one", ""}) {
    std::vector<std::string> arguments = {"translate", "--server", server.address(), "--model", "nobody"};
    if (*text != '\0') arguments.emplace_back(text);
    const CliResult result = RunCli(arguments, "one\n");
    EXPECT_EQ(result.code, kExitServerError);
    EXPECT_THAT(result.err, HasSubstr("petit: NOT_FOUND: there is no model 'nobody'"));
    EXPECT_THAT(result.err, HasSubstr("(request request-7)"));
  }
}

TEST(ModelsCommand, ListsAndShows) {
  FakeServer server;
  CliResult result = RunCli({"models", "list", "--server", server.address()});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_THAT(result.out, HasSubstr("student  READY  1        INT8"));
  EXPECT_THAT(result.out, HasSubstr("en-fr"));
  result = RunCli({"models", "get", "student", "--server", server.address()});
  EXPECT_THAT(result.out, HasSubstr("served:     version 1\n"));
  EXPECT_THAT(result.out, HasSubstr("0123456789ab"));
  result = RunCli({"models", "list", "--json", "--server", server.address()});
  EXPECT_EQ(nlohmann::json::parse(result.out)[1]["versions"][0]["precision"], "INT8");
}

TEST(ModelsCommand, ChangesModels) {
  FakeServer server;
  const std::vector<std::string> at = {"--server", server.address()};
  EXPECT_EQ(RunCli({"models", "load", "student", "--version", "1", at[0], at[1]}).code, kExitOk);
  EXPECT_THAT(RunCli({"models", "unload", "student", at[0], at[1]}).out, HasSubstr("no version"));
  EXPECT_THAT(RunCli({"models", "serve-version", "student", "2", at[0], at[1]}).out, HasSubstr("version 2"));
  EXPECT_EQ(RunCli({"models", "serve-version", "student", at[0], at[1]}).code, kExitUsage);
  EXPECT_EQ(RunCli({"models", "serve-version", "student", "0", at[0], at[1]}).code, kExitUsage);
  const CliResult result = RunCli({"models", "get", "nobody", at[0], at[1]});
  EXPECT_EQ(result.code, kExitServerError);
  EXPECT_THAT(result.err, HasSubstr("NOT_FOUND: there is no model 'nobody'"));
}

TEST(InfoCommand, ShowsTheServersMachineAndItsWork) {
  FakeServer server;
  const std::vector<std::string> at = {"--server", server.address()};
  EXPECT_EQ(RunCli(Translate(server, {"one", "two"})).code, kExitOk);
  CliResult result = RunCli({"info", at[0], at[1]});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_THAT(result.out, StartsWith("build:    0.1.0+fake\nstarted:  2023-11-1"));
  EXPECT_THAT(result.out, HasSubstr("\ncpu:      Abacus 3000\ncpus:     8\nmemory:   17.2 GB\n"));
  EXPECT_THAT(result.out, HasSubstr("\ntexts:    0 in flight, 2 accepted\npairs:    0 in flight, 0 scored\n"));
  result = RunCli({"info", "--json", at[0], at[1]});
  EXPECT_EQ(nlohmann::json::parse(result.out), nlohmann::json({{"build", "0.1.0+fake"},
                                                               {"start_time", "2023-11-14T22:13:20+00:00"},
                                                               {"cpu", "Abacus 3000"},
                                                               {"logical_cpus", 8},
                                                               {"memory_bytes", std::int64_t{16} << 30},
                                                               {"os", "Fake GNU/Linux 12"},
                                                               {"texts_in_flight", 0},
                                                               {"texts_accepted", 2},
                                                               {"pairs_in_flight", 0},
                                                               {"pairs_scored", 0}}));
}

TEST(InfoCommand, LeavesOutWhatTheServerDoesNotKnow) {
  FakeServer server;
  server.SetInfo({});
  const CliResult result = RunCli({"info", "--server", server.address()});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_THAT(result.out, StartsWith("build:    -\nstarted:  -\ncpu:      -\ncpus:     -\nmemory:   -\nos:       -\n"));
}

TEST(Petit, EndsQuietlyWhereNobodyReadsItsOutput) {
  FakeServer server;
  std::ostringstream err;
  std::ostream closed(nullptr);  // every write fails
  Io io{.out = &closed, .err = &err};
  EXPECT_EQ(RunPetit(Translate(server, {"one", "two"}), io), kExitBrokenPipe);
  EXPECT_THAT(err.str(), IsEmpty());
}

}  // namespace
}  // namespace petit::cli
