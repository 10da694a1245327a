// A block of lines at the bottom of a terminal that is drawn again where it stands, while others scroll by above it.
#ifndef PETIT_CLIENT_CLI_LIVE_SCREEN_H_
#define PETIT_CLIENT_CLI_LIVE_SCREEN_H_

#include <condition_variable>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/command.h"

namespace petit::cli {

// Draws on a thread of its own, at most every `interval`, so that a burst of changes costs one drawing and the last one
// is never left undrawn. Thread-safe.
class LiveScreen {
 public:
  // The block's lines, no wider than the terminal. Called under this object's lock.
  using Render = std::function<std::vector<std::string>(std::size_t columns)>;

  LiveScreen(std::ostream& out, std::function<TerminalSize()> size, Render render,
             absl::Duration interval = absl::Milliseconds(100));
  // Draws what has changed, and leaves the block where it is.
  ~LiveScreen();
  LiveScreen(const LiveScreen&) = delete;
  LiveScreen& operator=(const LiveScreen&) = delete;

  // Makes a change of what `render` reads, under the lock.
  void Update(const std::function<void()>& change);
  // A line that scrolls by above the block.
  void Print(std::string line);
  // Whether the terminal takes what is written.
  [[nodiscard]] bool good() const;

 private:
  void Loop();
  void Draw();

  std::ostream& out_;
  const std::function<TerminalSize()> size_;
  const Render render_;
  const absl::Duration interval_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> printed_;
  bool dirty_ = false;
  bool ended_ = false;
  bool good_ = true;
  std::size_t drawn_lines_ = 0;
  std::thread thread_;
};

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_LIVE_SCREEN_H_
