// Checks of option values, with messages for people.
#ifndef PETIT_CLIENT_CLI_VALIDATORS_H_
#define PETIT_CLIENT_CLI_VALIDATORS_H_

#include <CLI/CLI.hpp>

namespace petit::cli {

// A number that passes `good`; the message is "'x' is not a number MEANING".
CLI::Validator NumberThat(const std::function<bool(double)>& good, const std::string& meaning);

CLI::Validator AtLeast(double least);
CLI::Validator Above(double bound);
CLI::Validator Between(double least, double most);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_VALIDATORS_H_
