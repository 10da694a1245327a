#include "client/data/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace petit::data {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;

// "line:field|field" of each record, or the error, however the bytes are cut into pieces.
std::vector<std::string> Read(const std::string& text) {
  std::vector<std::string> first;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, text.size() + 1}) {
    std::size_t at = 0;
    CsvReader reader("x", [&]() -> absl::StatusOr<std::string_view> {
      const std::string_view bytes = std::string_view(text).substr(at, piece);
      at += bytes.size();
      return bytes;
    });
    std::vector<std::string> records;
    while (true) {
      const auto record = reader.Next();
      if (!record.ok()) records.emplace_back(record.status().message());
      if (!record.ok() || !*record) break;
      records.push_back(absl::StrCat((*record)->line, ":", absl::StrJoin((*record)->fields, "|")));
    }
    if (first.empty()) first = records;
    EXPECT_EQ(records, first) << "in pieces of " << piece;
  }
  return first;
}

TEST(CsvReaderTest, ReadsRecords) {
  EXPECT_THAT(Read(""), ElementsAre());
  EXPECT_THAT(Read("a,b\n1,2\n"), ElementsAre("1:a|b", "2:1|2"));
  EXPECT_THAT(Read("a,b\r\n1,\r\n,2"), ElementsAre("1:a|b", "2:1|", "3:|2"));
  EXPECT_THAT(Read("a b, c \n"), ElementsAre("1:a b| c "));
  EXPECT_THAT(Read("\xEF\xBB\xBF\"a\",b\n"), ElementsAre("1:a|b"));
  EXPECT_THAT(Read("a,b\n\n\r\n1,2\n\n"), ElementsAre("1:a|b", "4:1|2"));
}

TEST(CsvReaderTest, QuotesHoldCommasQuotesAndLineBreaks) {
  EXPECT_THAT(Read("\"a,b\",\"say \"\"no\"\"\",\"\"\n"), ElementsAre("1:a,b|say \"no\"|"));
  EXPECT_THAT(Read("\"a\nb\r\nc\",d\ne,f\n"), ElementsAre("1:a\nb\r\nc|d", "4:e|f"));
  EXPECT_THAT(Read("a,\"b\""), ElementsAre("1:a|b"));
}

TEST(CsvReaderTest, SaysWhatBreaksTheRules) {
  EXPECT_THAT(Read("a\nb,\"c\nd"), ElementsAre("1:a", "x:2: the quote that is opened here is never closed"));
  EXPECT_THAT(Read("\"a\"b,c\n"),
              ElementsAre("x:1: there is text behind a closing quote; a quote inside a field is written twice"));
  EXPECT_THAT(Read("a\"b,c\n"), ElementsAre("x:1: there is a quote in a field that does not begin with one"));
  EXPECT_THAT(Read("a\0b\n"s), ElementsAre("x:1: the line holds a NUL; UTF-8 text is wanted"));
  EXPECT_THAT(Read("\xEF\xBB"), ElementsAre("x:1: the first line does not begin with text or a byte order mark"));
}

TEST(CsvReaderTest, ARecordHasAnEnd) {
  EXPECT_THAT(Read("\"" + std::string((1 << 20) + 1, 'x')),
              ElementsAre("x:1: the record is longer than 1 MiB; is a closing quote missing?"));
}

TEST(CsvReaderTest, PassesItsSourcesErrorsOn) {
  CsvReader reader("x", [] { return absl::DataLossError("damaged"); });
  EXPECT_EQ(reader.Next().status(), absl::DataLossError("damaged"));
}

}  // namespace
}  // namespace petit::data
