// What the server's process runs on, as Linux tells it.
#ifndef PETIT_SERVER_RPC_HOST_INFO_H_
#define PETIT_SERVER_RPC_HOST_INFO_H_

#include <cstdint>
#include <string>

namespace petit::serving {

// Empty or 0 where the machine does not tell.
struct HostInfo {
  std::string cpu;                // "model name" of /proc/cpuinfo
  int logical_cpus = 0;           // of the process's affinity mask
  std::int64_t memory_bytes = 0;  // the machine's, or the limit of the process's control groups (v1 or v2) if lower
  std::string os;                 // PRETTY_NAME of os-release(5)
};

// `root` stands before /proc, /sys and /etc, so that tests can bring their own.
HostInfo ReadHostInfo(const std::string& root = "");

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_HOST_INFO_H_
