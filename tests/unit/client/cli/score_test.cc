// petit score, on files alone.
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "client/metrics/significance.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"

namespace petit::cli {
namespace {

using ::testing::HasSubstr;

constexpr char kData[] = PETIT_SOURCE_DIR "/tests/data/metrics/";

std::string Data(const std::string& name) { return kData + name + ".txt"; }

CliResult Score(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), "score");
  return RunCli(arguments, input);
}

nlohmann::json Golden() {
  std::ifstream file(std::string(kData) + "significance.json");
  return nlohmann::json::parse(file);
}

TEST(ScoreCommand, PrintsSacrebleusLine) {
  const nlohmann::json golden = Golden()["scores"]["teacher"];
  const CliResult result = Score({Data("teacher"), Data("references"), "--metrics", "bleu", "--confidence"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  const std::string line = golden["bleu"]["text"];  // "BLEU = ..."
  EXPECT_EQ(result.out, "BLEU|nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp" + line.substr(4) + "\n");
}

TEST(ScoreCommand, AlignsItsMetrics) {
  const TempFile hypotheses("a b c d\n\xC3\xA9t\xC3\xA9\n");
  const TempFile references("a b c d\n\xC3\xAAt\xC3\xA9\n");
  const CliResult result = Score({hypotheses.path(), references.path(), "--width", "1"});
  EXPECT_EQ(
      result.out,
      "  BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp = 94.6 80.0/100.0/100.0/100.0 (BP = 1.000 ratio = 1.000 "
      "hyp_len = 5 ref_len = 5)\n"
      "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no = 83.1\n"
      "                         ROUGE-L|rougeL|words:ascii = 100.0\n"
      "             ROUGE-L (Unicode)|rougeL|words:unicode = 50.0\n");
}

TEST(ScoreCommand, ReadsOneFileFromStandardInput) {
  const TempFile references("x\ny\n");
  EXPECT_THAT(Score({"-", references.path(), "--metrics", "chrf"}, "x\ny\n").out, HasSubstr(" = 100.00\n"));
  EXPECT_THAT(Score({references.path(), "-", "--metrics", "chrf"}, "x\ny\n").out, HasSubstr(" = 100.00\n"));
  const CliResult result = Score({"-", "-"}, "x\n");
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_EQ(result.err, "petit: only one file can be standard input (-)\n");
}

TEST(ScoreCommand, SaysHowManyLinesEachFileHas) {
  const TempFile three("a\nb\nc\n");
  const TempFile two("a\nb");
  CliResult result = Score({three.path(), two.path()});
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_EQ(result.err, "petit: " + three.path() + " has 3 lines and " + two.path() +
                            " has 2; the n-th lines belong together, so both need equally many\n");
  result = Score({two.path(), two.path(), "--baseline", three.path()});
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_THAT(result.err, HasSubstr(three.path() + " has 3 lines and " + two.path() + " has 2"));
}

TEST(ScoreCommand, RefusesWhatItCannotScore) {
  const TempFile good("a\n");
  const TempFile bad("a\nb\xFF\n");
  const TempFile empty("");
  EXPECT_EQ(Score({bad.path(), good.path()}).err, "petit: " + bad.path() + ":2: byte 2 is not valid UTF-8\n");
  EXPECT_EQ(Score({empty.path(), empty.path()}).err, "petit: " + empty.path() + " holds no lines\n");
  EXPECT_THAT(Score({"/no/such/file", good.path()}).err, HasSubstr("cannot open /no/such/file"));
  EXPECT_EQ(Score({good.path(), good.path(), "--metrics", "bleu,ter"}).err,
            "petit: --metrics: there is no metric 'ter'; there are: bleu, chrf, rouge\n");
  EXPECT_EQ(Score({good.path(), good.path(), "--metrics", ","}).code, kExitUsage);
  EXPECT_EQ(Score({good.path()}).code, kExitUsage);
  EXPECT_EQ(Score({good.path(), good.path(), "--paired-ar"}).code, kExitUsage);  // with whom?
  EXPECT_EQ(Score({good.path(), good.path(), "--baseline", good.path(), "--paired-ar", "--paired-bs"}).code,
            kExitUsage);
  EXPECT_EQ(Score({good.path(), good.path(), "--baseline", good.path(), "--confidence"}).code, kExitUsage);
  EXPECT_EQ(Score({good.path(), good.path(), "--trials", "0"}).code, kExitUsage);
}

TEST(ScoreCommand, EmptyTranslationsScoreZero) {
  const TempFile hypotheses("\n\n");
  const TempFile references("a b\nc\n");
  const CliResult result = Score({hypotheses.path(), references.path(), "--metrics", "bleu"});
  EXPECT_EQ(result.code, kExitOk);
  EXPECT_THAT(result.out, HasSubstr(" = 0.00 0.0/0.0/0.0/0.0 (BP = 0.000 ratio = 0.000 hyp_len = 0 ref_len = 3)\n"));
}

// The first case of the golden file: the student against the teacher, on all pairs.
TEST(ScoreCommand, ComparesWithABaselineByBootstrap) {
  const nlohmann::json golden = Golden()["cases"][0];
  ASSERT_EQ(golden["baseline"], "teacher");
  ASSERT_EQ(golden["system"], "student");
  const CliResult result =
      Score({Data("student"), Data("references"), "--baseline", Data("teacher"), "--json", "--paired-bs"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  const nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["test"], "paired bootstrap");
  EXPECT_EQ(json["trials"], 1000);
  const std::vector<std::string> names = {"bleu", "chrf", "rouge"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const nlohmann::json& expected = golden["bs"][names[i]];
    const nlohmann::json& metric = json["metrics"][i];
    // The tests round a sentence's ROUGE.
    EXPECT_NEAR(metric["score"].get<double>(), expected["system"].get<double>(), i == 2 ? 1e-10 : 1e-13);
    EXPECT_DOUBLE_EQ(metric["p_value"].get<double>(), expected["p"].get<double>());
    EXPECT_DOUBLE_EQ(metric["confidence"]["mean"].get<double>(), expected["system_interval"]["mean"].get<double>());
    EXPECT_DOUBLE_EQ(metric["baseline"]["score"].get<double>(), expected["baseline"].get<double>());
    EXPECT_DOUBLE_EQ(metric["baseline"]["confidence"]["half_width"].get<double>(),
                     expected["baseline_interval"]["half_width"].get<double>());
    if (i == 2) continue;  // sacreBLEU has no ROUGE
    const std::string signature = expected["signature"];
    EXPECT_EQ(metric["signature"], signature.substr(0, signature.find("|version:")));
  }
}

TEST(ScoreCommand, PrintsATableOfBothSystems) {
  const CliResult result = Score(
      {Data("student"), Data("references"), "--baseline", Data("teacher"), "--metrics", "bleu", "--trials", "20"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_THAT(result.out, HasSubstr("BLEU (μ ± 95% CI)\nBaseline: " + Data("teacher") + "  "));
  EXPECT_THAT(result.out, HasSubstr(" (p = 0.0476)*\n"));
  EXPECT_THAT(result.out, HasSubstr("Paired bootstrap resampling test with 20 resamples."));
  EXPECT_THAT(result.out, HasSubstr("BLEU|nrefs:1|bs:20|seed:12345|case:mixed"));
}

TEST(ScoreCommand, ComparesByRandomization) {
  const CliResult result =
      Score({Data("student"), Data("references"), "--baseline", Data("teacher"), "--metrics", "bleu", "--paired-ar"});
  EXPECT_THAT(result.out, HasSubstr("SYSTEM"));
  EXPECT_THAT(result.out, HasSubstr(" (p = 0.0001)*\n"));
  EXPECT_THAT(result.out, HasSubstr("approximate randomization test with 10000 trials."));
  EXPECT_THAT(result.out, HasSubstr("BLEU|nrefs:1|ar:10000|seed:12345|case:mixed"));
}

}  // namespace
}  // namespace petit::cli
