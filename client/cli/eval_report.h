// What `petit eval` says in the end: for people and for programs.
#ifndef PETIT_CLIENT_CLI_EVAL_REPORT_H_
#define PETIT_CLIENT_CLI_EVAL_REPORT_H_

#include <string>
#include <vector>

#include "client/cli/eval_model.h"
#include "client/cli/eval_set.h"

namespace petit::cli {

struct EvalReport {
  EvalSetInfo set;
  std::string server;
  std::string date;  // RFC 3339, UTC, of the start
  client::TranslateOptions options;
  int concurrency = 0;
  std::vector<ModelReport> models;  // the first is KL's reference
  bool with_kl = true;
};

// Tables, with a header that says what was measured and how.
std::string FormatReport(const EvalReport& report);
// The same as indented JSON, failures included.
std::string FormatReportJson(const EvalReport& report);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_EVAL_REPORT_H_
