// Whose turn it is: one of each flow after the other, first come, first served within a flow. No lock, no clock.
#ifndef PETIT_MODELS_ENGINE_TURNS_H_
#define PETIT_MODELS_ENGINE_TURNS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace petit::engine {

// Whom work is for, so that nobody's many requests starve another's few. Any number; equal numbers share turns.
using Flow = std::uint64_t;

// The order of those who wait. After the flow that was served last comes the next higher one that has somebody waiting,
// and after the highest the lowest: a flow waits for one turn of each other at most, however much they have.
class Turns {
 public:
  explicit Turns(Flow last) : last_(last) {}

  // In the order of arrival.
  void Add(Flow flow, int index) { waiting_[flow].indices.push_back(index); }

  bool empty() const { return waiting_.empty(); }
  // The index whose turn it is; there is one.
  int Next() { return Front()->second.indices[Front()->second.served]; }
  // Takes it out.
  void Pop() {
    const Lines::iterator front = Front();
    last_ = front->first;
    if (++front->second.served == front->second.indices.size()) waiting_.erase(front);
  }
  // Takes all of that flow out, without a turn.
  void Skip() { waiting_.erase(Front()); }
  // The flow that was served last.
  Flow last() const { return last_; }

 private:
  struct Line {
    std::vector<int> indices;
    std::size_t served = 0;
  };
  using Lines = std::map<Flow, Line>;

  Lines::iterator Front() {
    const Lines::iterator after = waiting_.upper_bound(last_);
    return after == waiting_.end() ? waiting_.begin() : after;
  }

  Lines waiting_;
  Flow last_;
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_TURNS_H_
