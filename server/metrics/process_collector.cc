#include "server/metrics/process_collector.h"

#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "prometheus/metric_type.h"

namespace petit::serving {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void Add(std::vector<MetricFamily>* families, const char* name, const char* help, MetricType type, double value) {
  prometheus::ClientMetric metric;
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  families->push_back({name, help, type, {std::move(metric)}});
}

// Fields of proc_pid_stat(5), numbered from 1 as there; those before the third are not kept, because the second may
// hold spaces.
class Stat {
 public:
  explicit Stat(const std::string& text) {
    const std::size_t end_of_name = text.rfind(')');
    if (end_of_name == std::string::npos) return;
    fields_ = absl::StrSplit(text.substr(end_of_name + 1), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  }

  std::optional<double> Field(std::size_t number) const {
    double value = 0;
    if (number - 3 >= fields_.size() || !absl::SimpleAtod(fields_[number - 3], &value)) return std::nullopt;
    return value;
  }

 private:
  std::vector<std::string> fields_;
};

// The value of "KEY  VALUE ..." in a file of such lines.
std::optional<double> LineValue(const std::string& text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, key)) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    double value = 0;
    if (words.empty()) return std::nullopt;
    if (words[0] == "unlimited") return std::numeric_limits<double>::infinity();
    if (absl::SimpleAtod(words[0], &value)) return value;
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<double> CountEntries(const std::string& directory) {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    ++count;
  }
  if (error) return std::nullopt;
  return count - 1;  // the directory itself was open
}

}  // namespace

ProcessCollector::ProcessCollector(std::string proc) : proc_(std::move(proc)) {}

std::vector<MetricFamily> ProcessCollector::Collect() const {
  std::vector<MetricFamily> families;
  const Stat stat(ReadFile(proc_ + "/self/stat"));
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));

  const std::optional<double> user = stat.Field(14);
  const std::optional<double> system = stat.Field(15);
  if (user.has_value() && system.has_value()) {
    Add(&families, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", MetricType::Counter,
        (*user + *system) / ticks);
  }
  if (const auto bytes = stat.Field(23); bytes.has_value()) {
    Add(&families, "process_virtual_memory_bytes", "Virtual memory size in bytes.", MetricType::Gauge, *bytes);
  }
  if (const auto pages = stat.Field(24); pages.has_value()) {
    Add(&families, "process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::Gauge, *pages * page);
  }
  const std::optional<double> boot = LineValue(ReadFile(proc_ + "/stat"), "btime");
  const std::optional<double> start = stat.Field(22);
  if (boot.has_value() && start.has_value()) {
    Add(&families, "process_start_time_seconds", "Start time of the process since the Unix epoch in seconds.",
        MetricType::Gauge, *boot + *start / ticks);
  }
  if (const auto open = CountEntries(proc_ + "/self/fd"); open.has_value()) {
    Add(&families, "process_open_fds", "Number of open file descriptors.", MetricType::Gauge, *open);
  }
  if (const auto limit = LineValue(ReadFile(proc_ + "/self/limits"), "Max open files"); limit.has_value()) {
    Add(&families, "process_max_fds", "Maximum number of open file descriptors.", MetricType::Gauge, *limit);
  }
  return families;
}

}  // namespace petit::serving
