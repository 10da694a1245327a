// Files that are compiled in.
#ifndef PETIT_CLIENT_REPORT_ASSETS_H_
#define PETIT_CLIENT_REPORT_ASSETS_H_

#include <string_view>

namespace petit::report {

std::string_view StyleCss();
std::string_view PageJs();
std::string_view VegaBundleJs();
std::string_view VegaVersions();  // "Vega 6.2.0, Vega-Lite 6.4 and Vega-Embed 7.0.2"
std::string_view VegaLicenses();  // of all that the bundle holds

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_ASSETS_H_
