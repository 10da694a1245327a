// Ctrl-C, made safe for threads.
#ifndef PETIT_CLIENT_CLI_INTERRUPT_H_
#define PETIT_CLIENT_CLI_INTERRUPT_H_

#include <csignal>
#include <thread>

#include "client/lib/client.h"

namespace petit::cli {

// Takes SIGINT and SIGTERM over for the process: the first cancels, the second ends the process at once with code 130.
// To be made before any other thread, which would else get the signals itself.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  client::Cancellation& cancellation() { return cancellation_; }
  // Readable from the first signal on, when cancellation().cancelled() holds already; -1 where the system has no more
  // descriptors.
  [[nodiscard]] int fd() const { return raised_fd_; }
  // From now on the signals end the process, as if this object were not there. On the thread that made it.
  void Release();

 private:
  void Watch();

  client::Cancellation cancellation_;
  int signal_fd_ = -1;
  int raised_fd_ = -1;
  int stop_fd_ = -1;
  sigset_t previous_mask_;
  std::thread thread_;
};

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_INTERRUPT_H_
