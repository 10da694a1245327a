// The operator's configuration. Its paths are looked for in a directory that is not there.
#include "server/config/config.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quiet_protobuf.h"

using petit::fuzz::Check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto settings =
      petit::serving::ParseConfig(petit::fuzz::Text(data, size), "petit.textproto", "/nonexistent/directory");
  if (settings.ok()) {
    Check(!settings->models.empty() && !settings->listen.empty(), "a good configuration is complete");
    return 0;
  }
  Check(absl::IsInvalidArgument(settings.status()), "a bad one is INVALID_ARGUMENT", settings.status().ToString());
  const std::string message(settings.status().message());
  Check(message.rfind("petit.textproto:", 0) == 0, "every complaint has its place", message);
  return 0;
}
