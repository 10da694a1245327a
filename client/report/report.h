// An evaluation's results as a page for people.
#ifndef PETIT_CLIENT_REPORT_REPORT_H_
#define PETIT_CLIENT_REPORT_REPORT_H_

#include <string>

#include "client/report/results.h"

namespace petit::report {

// One HTML file that needs nothing else: style, charts (Vega-Lite) and the library that draws them are inside, and its
// content security policy forbids it to load anything.
std::string FormatHtml(const Results& results);

// The answer, the summary and a table for each set, in GitHub's Markdown.
std::string FormatMarkdown(const Results& results);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_REPORT_H_
