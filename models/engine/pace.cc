#include "models/engine/pace.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace petit::engine {
namespace {

// What is owed is kept up to so many steps of the flow: an old debt must not hold others for long.
constexpr int kMostSteps = 32;

// What is owed, kept between what a service that takes `unit` alone can leave and kMostSteps of them.
absl::Duration Bound(absl::Duration owed, absl::Duration unit, double slowdown) {
  return std::clamp(owed, unit / slowdown - unit, unit * kMostSteps);
}

}  // namespace

void Pace::Update(const std::map<Flow, int>& rows) {
  std::erase_if(accounts_, [&rows](const auto& entry) { return !rows.contains(entry.first); });
  int slowest = std::numeric_limits<int>::max();  // rows of the smallest flow that is behind
  for (const auto& [flow, count] : rows) {
    Account& account = accounts_.try_emplace(flow, Account{.max_slowdown = max_hold_back_}).first->second;
    account.rows = count;
    if (account.behind > absl::ZeroDuration()) slowest = std::min(slowest, count);
  }
  for (auto& [flow, account] : accounts_) {
    const bool large = account.rows / 2 >= slowest;
    if (large) account.max_slowdown = std::min(max_hold_back_, std::sqrt(static_cast<double>(account.rows) / slowest));
    account.held = large && max_hold_back_ > 1 && account.due <= absl::ZeroDuration();
  }
}

bool Pace::IsHeld(Flow flow) const {
  const auto found = accounts_.find(flow);
  return found != accounts_.end() && found->second.held;
}

void Pace::OnEncoded(absl::Duration took, const std::map<Flow, int>& source_tokens) {
  took = std::max(took, absl::ZeroDuration());
  OnPassed(took);
  double total = 0;
  for (const auto& [flow, tokens] : source_tokens) total += tokens;
  for (const auto& [flow, tokens] : source_tokens) {
    const auto found = accounts_.find(flow);
    if (found == accounts_.end()) continue;
    const absl::Duration alone = took * (tokens / total);
    Serve(alone, alone + costs_.Of(found->second.rows), &found->second);
  }
}

void Pace::OnStepped(absl::Duration took) {
  took = std::max(took, absl::ZeroDuration());
  OnPassed(took);
  int stepped = 0;
  for (const auto& [flow, account] : accounts_) stepped += account.held ? 0 : account.rows;
  costs_.Observe(stepped, took);
  for (auto& [flow, account] : accounts_) {
    if (account.held) continue;
    const absl::Duration alone = std::min(took, costs_.Of(account.rows));
    Serve(alone, alone, &account);
  }
}

void Pace::OnPassed(absl::Duration took) {
  took = std::max(took, absl::ZeroDuration());
  for (auto& [flow, account] : accounts_) {
    account.behind += took / kBehind;
    account.due += took / account.max_slowdown;
  }
}

void Pace::Serve(absl::Duration alone, absl::Duration unit, Account* account) const {
  account->behind = Bound(account->behind - alone, unit, kBehind);
  account->due = Bound(account->due - alone, unit, account->max_slowdown);
}

}  // namespace petit::engine
