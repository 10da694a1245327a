#include "client/cli/live_screen.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::cli {

LiveScreen::LiveScreen(std::ostream& out, std::function<TerminalSize()> size, Render render, absl::Duration interval)
    : out_(out), size_(std::move(size)), render_(std::move(render)), interval_(interval), thread_([this] { Loop(); }) {}

LiveScreen::~LiveScreen() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void LiveScreen::Update(const std::function<void()>& change) {
  const std::lock_guard lock(mutex_);
  change();
  dirty_ = true;
  changed_.notify_all();
}

void LiveScreen::Print(std::string line) {
  Update([&] { printed_.push_back(std::move(line)); });
}

bool LiveScreen::good() const {
  const std::lock_guard lock(mutex_);
  return good_;
}

void LiveScreen::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return dirty_ || ended_; });
    if (std::exchange(dirty_, false)) Draw();
    if (ended_) return;
    changed_.wait_for(lock, absl::ToChronoNanoseconds(interval_), [this] { return ended_; });
  }
}

void LiveScreen::Draw() {
  const TerminalSize size = size_ ? size_() : TerminalSize{};
  std::vector<std::string> block = render_(static_cast<std::size_t>(std::max(1, size.columns)));
  // The cursor cannot go back to what has scrolled out at the top.
  const auto room = static_cast<std::size_t>(std::max(2, size.rows) - 1);
  if (block.size() > room) {
    const std::size_t more = block.size() - room + 1;
    block.resize(room - 1);
    block.push_back(absl::StrCat("... ", more, " more lines"));
  }
  std::string text = "\r";
  if (drawn_lines_ > 0) absl::StrAppend(&text, "\x1b[", drawn_lines_, "A");
  absl::StrAppend(&text, "\x1b[J");
  for (const std::string& line : printed_) absl::StrAppend(&text, line, "\n");
  for (const std::string& line : block) absl::StrAppend(&text, line, "\n");
  printed_.clear();
  drawn_lines_ = block.size();
  out_ << text << std::flush;
  good_ = out_.good();
}

}  // namespace petit::cli
