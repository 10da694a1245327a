// Looks for the highest rate that an objective allows.
#ifndef PETIT_CLIENT_LOAD_RATE_SEARCH_H_
#define PETIT_CLIENT_LOAD_RATE_SEARCH_H_

#include <optional>

namespace petit::load {

// Doubles the rate until it does not hold (or halves it until it does), then bisects until the highest that held and
// the lowest that did not are within 5 % of each other. Takes for granted that where a rate holds, so do all below it.
class RateSearch {
 public:
  // `start` is above 0, texts a second.
  explicit RateSearch(double start) : next_(start) {}

  // The rate to try next; nothing: the search is over.
  [[nodiscard]] std::optional<double> Next() const { return next_; }
  // How the trial of Next() ended.
  void Report(bool holds);

  // The highest that held; nothing: none did, down to 1/1024 of the start.
  [[nodiscard]] std::optional<double> best() const { return best_; }
  // The lowest that did not; nothing: all held, up to 2^20 times the start.
  [[nodiscard]] std::optional<double> broken() const { return broken_; }

 private:
  std::optional<double> next_;
  std::optional<double> best_;
  std::optional<double> broken_;
  int halved_ = 0;
  int doubled_ = 0;
};

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_RATE_SEARCH_H_
