#include "server/rpc/host_info.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace petit::serving {
namespace {

class HostInfoTest : public testing::Test {
 protected:
  HostInfoTest() {
    root_ = testing::TempDir() + "/petit_host_XXXXXX";
    EXPECT_NE(mkdtemp(root_.data()), nullptr) << root_;
    Write("/proc/meminfo", "MemTotal:       16384 kB\nMemFree:         1024 kB\n");
  }
  ~HostInfoTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::int64_t Memory() const { return ReadHostInfo(root_).memory_bytes; }

  std::string root_;
};

constexpr std::int64_t kTotal = 16384 * 1024;

TEST_F(HostInfoTest, ThisMachineTellsOfItself) {
  const HostInfo info = ReadHostInfo();
  EXPECT_GT(info.logical_cpus, 0);
  EXPECT_GT(info.memory_bytes, 0);
}

TEST_F(HostInfoTest, WhatIsNotThereIsEmpty) {
  std::filesystem::remove_all(root_ + "/proc");
  const HostInfo info = ReadHostInfo(root_);
  EXPECT_EQ(info.cpu, "");
  EXPECT_EQ(info.memory_bytes, 0);
  EXPECT_EQ(info.os, "");
}

TEST_F(HostInfoTest, TheCpuIsTheFirstsModelName) {
  Write("/proc/cpuinfo", "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU: 2.1 GHz\n\nmodel name\t: Other\n");
  EXPECT_EQ(ReadHostInfo(root_).cpu, "Some CPU: 2.1 GHz");
}

TEST_F(HostInfoTest, TheCpusAreThoseOfTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(ReadHostInfo(root_).logical_cpus, 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(ReadHostInfo(root_).logical_cpus, CPU_COUNT(&before));
}

TEST_F(HostInfoTest, TheSystemsNameIsUnquoted) {
  Write("/usr/lib/os-release", "NAME=x\nPRETTY_NAME=Plain\n");
  EXPECT_EQ(ReadHostInfo(root_).os, "Plain");
  Write("/etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian \\\"GNU\\\" 12\"\n");
  EXPECT_EQ(ReadHostInfo(root_).os, "Debian \"GNU\" 12") << "/etc goes first";
  Write("/etc/os-release", "PRETTY_NAME='one \\ two'\n");
  EXPECT_EQ(ReadHostInfo(root_).os, "one \\ two");
  Write("/etc/os-release", "PRETTY_NAME=\"\n");
  EXPECT_EQ(ReadHostInfo(root_).os, "\"");
}

TEST_F(HostInfoTest, WithoutALimitTheMemoryIsTheMachines) {
  EXPECT_EQ(Memory(), kTotal);
  Write("/proc/self/cgroup", "0::/\n");
  EXPECT_EQ(Memory(), kTotal);
  Write("/sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(Memory(), kTotal);
  Write("/sys/fs/cgroup/memory.max", "9223372036854771712\n");
  EXPECT_EQ(Memory(), kTotal);
}

TEST_F(HostInfoTest, ALimitOfTheGroupOrOfOneAboveItCounts) {
  Write("/proc/self/cgroup", "0::/system.slice/petit.service\n");
  Write("/sys/fs/cgroup/system.slice/petit.service/memory.max", "5000000\n");
  EXPECT_EQ(Memory(), 5000000);
  Write("/sys/fs/cgroup/system.slice/memory.max", "4000000\n");
  EXPECT_EQ(Memory(), 4000000);
}

TEST_F(HostInfoTest, AContainersLimitLiesAtTheMount) {
  // As Docker shows it without a namespace of control groups: the group's path is the host's.
  Write("/proc/self/cgroup", "12:cpu,cpuacct:/docker/0a1b\n4:memory:/docker/0a1b\n1:name=systemd:/docker/0a1b\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000\n");
  EXPECT_EQ(Memory(), 3000000);
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "2000000\n");
  EXPECT_EQ(Memory(), 2000000);
}

TEST_F(HostInfoTest, NonsenseLimitsNothing) {
  Write("/proc/self/cgroup", "what\n::\n0::/x\n");
  Write("/sys/fs/cgroup/x/memory.max", "-5\n");
  Write("/sys/fs/cgroup/memory.max", "lots\n");
  EXPECT_EQ(Memory(), kTotal);
}

}  // namespace
}  // namespace petit::serving
