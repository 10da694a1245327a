#include "client/cli/validators.h"

#include "absl/strings/str_cat.h"

namespace petit::cli {

CLI::Validator NumberThat(const std::function<bool(double)>& good, const std::string& meaning) {
  // Without a description, which would clutter the help.
  return {[good, meaning](std::string& text) -> std::string {
            double value = 0;
            if (CLI::detail::lexical_cast(text, value) && good(value)) return {};
            return absl::StrCat("'", text, "' is not a number ", meaning);
          },
          ""};
}

CLI::Validator AtLeast(double least) {
  return NumberThat([least](double value) { return value >= least; }, absl::StrCat("from ", least, " up"));
}

CLI::Validator Above(double bound) {
  return NumberThat([bound](double value) { return value > bound; }, absl::StrCat("above ", bound));
}

CLI::Validator Between(double least, double most) {
  return NumberThat([least, most](double value) { return value >= least && value <= most; },
                    absl::StrCat("from ", least, " to ", most));
}

}  // namespace petit::cli
