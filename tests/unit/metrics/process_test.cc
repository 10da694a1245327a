#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/process_collector.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

std::map<std::string, double> Collect(const ProcessCollector& collector) {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : collector.Collect()) {
    EXPECT_EQ(family.metric.size(), 1U);
    EXPECT_FALSE(family.help.empty());
    values[family.name] =
        family.type == prometheus::MetricType::Counter ? family.metric[0].counter.value : family.metric[0].gauge.value;
  }
  return values;
}

TEST(ProcessTest, TellsOfThisProcess) {
  std::map<std::string, double> values = Collect(ProcessCollector());
  EXPECT_GT(values["process_resident_memory_bytes"], 1 << 20);
  EXPECT_GT(values["process_virtual_memory_bytes"], values["process_resident_memory_bytes"]);
  EXPECT_GE(values["process_cpu_seconds_total"], 0);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LT(values["process_start_time_seconds"], now + 2);
  EXPECT_GT(values["process_start_time_seconds"], now - 86400);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur != RLIM_INFINITY) {
    EXPECT_EQ(values["process_max_fds"], static_cast<double>(limit.rlim_cur));
  }

  const double before = values["process_open_fds"];
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(Collect(ProcessCollector())["process_open_fds"], before + 1);
  close(file);
}

TEST(ProcessTest, ANameWithSpacesAndParenthesesDoesNotShiftTheFields) {
  std::string proc = ::testing::TempDir() + "petit_proc_XXXXXX";
  ASSERT_NE(mkdtemp(proc.data()), nullptr);
  std::filesystem::create_directories(proc + "/self/fd");
  std::ofstream(proc + "/self/stat") << "42 (a) b ( c) S 1 2 3 4 5 6 7 8 9 10 " << 3 * sysconf(_SC_CLK_TCK) << " "
                                     << sysconf(_SC_CLK_TCK) << " 0 0 20 0 1 0 " << 10 * sysconf(_SC_CLK_TCK)
                                     << " 4096000 7 18446744073709551615\n";
  std::ofstream(proc + "/stat") << "cpu  1 2 3\nbtime 1000\n";
  std::ofstream(proc + "/self/limits") << "Limit Soft Hard Units\nMax open files            unlimited  2048  files\n";
  EXPECT_THAT(Collect(ProcessCollector(proc)),
              ElementsAre(Pair("process_cpu_seconds_total", 4),
                          Pair("process_max_fds", std::numeric_limits<double>::infinity()),
                          Pair("process_open_fds", -1),  // the directory that a real /proc would show is not here
                          Pair("process_resident_memory_bytes", 7.0 * static_cast<double>(sysconf(_SC_PAGESIZE))),
                          Pair("process_start_time_seconds", 1010), Pair("process_virtual_memory_bytes", 4096000)));
  std::filesystem::remove_all(proc);
}

TEST(ProcessTest, WhatCannotBeReadIsLeftOut) { EXPECT_THAT(Collect(ProcessCollector("/nowhere")), IsEmpty()); }

}  // namespace
}  // namespace petit::serving
