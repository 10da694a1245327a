// Protobuf tells standard error of every message that it refuses: in a fuzz target, of most.
#ifndef PETIT_TESTS_FUZZ_QUIET_PROTOBUF_H_
#define PETIT_TESTS_FUZZ_QUIET_PROTOBUF_H_

#include "google/protobuf/stubs/logging.h"

namespace petit::fuzz {

[[maybe_unused]] inline const auto kLogHandlerBefore = google::protobuf::SetLogHandler(nullptr);

}  // namespace petit::fuzz

#endif  // PETIT_TESTS_FUZZ_QUIET_PROTOBUF_H_
