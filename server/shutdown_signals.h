// SIGTERM and SIGINT: the first asks for a graceful end, the second ends the process at once.
#ifndef PETIT_SERVER_SHUTDOWN_SIGNALS_H_
#define PETIT_SERVER_SHUTDOWN_SIGNALS_H_

#include "absl/time/time.h"

namespace petit::serving {

// One per process, made before any other thread, so that all of them leave the signals alone.
class ShutdownSignals {
 public:
  // `patience`: a process that has not ended this long after the first signal is ended.
  explicit ShutdownSignals(absl::Duration patience);

  // From now on the first signal makes Wait return. Before, it ends the process with status 0: nothing is served yet.
  void Ready();

  // Blocks until the first signal.
  void Wait();

 private:
  struct State;
  State* state_;  // the watching thread uses it to the process' end
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_SHUTDOWN_SIGNALS_H_
