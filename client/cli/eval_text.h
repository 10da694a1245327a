// An evaluation's results as tables for a terminal.
#ifndef PETIT_CLIENT_CLI_EVAL_TEXT_H_
#define PETIT_CLIENT_CLI_EVAL_TEXT_H_

#include <string>

#include "client/report/results.h"

namespace petit::cli {

// What was measured and how, what each model costs, and for each set what it is worth and how fast it was.
std::string FormatEvaluation(const report::Results& results);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_EVAL_TEXT_H_
