#include "server/rpc/server_info.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "petit_revision.h"
#include "server/rpc/host_info.h"

namespace petit::serving {
namespace {

std::string Build() {
  const std::string revision = PETIT_REVISION;
  return revision == "unknown" ? PETIT_VERSION : absl::StrCat(PETIT_VERSION, "+", revision);
}

}  // namespace

v1::ServerInfo DescribeServer() {
  const HostInfo host = ReadHostInfo();
  v1::ServerInfo info;
  info.set_build(Build());
  const std::int64_t now = absl::GetCurrentTimeNanos();
  info.mutable_start_time()->set_seconds(now / 1'000'000'000);
  info.mutable_start_time()->set_nanos(static_cast<std::int32_t>(now % 1'000'000'000));
  info.set_cpu(host.cpu);
  info.set_logical_cpus(host.logical_cpus);
  info.set_memory_bytes(host.memory_bytes);
  info.set_os(host.os);
  return info;
}

v1::ServerInfo WithCounts(v1::ServerInfo about, const Traffic::Counts& counts) {
  about.set_texts_in_flight(counts.texts_in_flight);
  about.set_texts_accepted(counts.texts_accepted);
  about.set_pairs_in_flight(counts.pairs_in_flight);
  about.set_pairs_scored(counts.pairs_scored);
  return about;
}

}  // namespace petit::serving
