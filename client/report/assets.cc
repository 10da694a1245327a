#include "client/report/assets.h"

extern "C" {
extern const char petit_report_style_begin[], petit_report_style_end[];
extern const char petit_report_page_begin[], petit_report_page_end[];
extern const char petit_report_licenses_begin[], petit_report_licenses_end[];
extern const char petit_report_bundle_begin[], petit_report_bundle_end[];
extern const char petit_report_versions_begin[], petit_report_versions_end[];
}

namespace petit::report {
namespace {

std::string_view Between(const char* begin, const char* end) { return {begin, static_cast<std::size_t>(end - begin)}; }

}  // namespace

std::string_view StyleCss() { return Between(petit_report_style_begin, petit_report_style_end); }
std::string_view PageJs() { return Between(petit_report_page_begin, petit_report_page_end); }
std::string_view VegaBundleJs() { return Between(petit_report_bundle_begin, petit_report_bundle_end); }
std::string_view VegaVersions() { return Between(petit_report_versions_begin, petit_report_versions_end); }
std::string_view VegaLicenses() { return Between(petit_report_licenses_begin, petit_report_licenses_end); }

}  // namespace petit::report
