#include "client/load/plan.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace petit::load {

std::string Describe(const Phase& phase) {
  if (!phase.open()) return absl::StrCat(phase.streams, " in flight");
  if (phase.rate != phase.rate_to) return absl::StrFormat("%.4g to %.4g texts/s", phase.rate, phase.rate_to);
  return absl::StrFormat("%.4g texts/s", phase.rate);
}

}  // namespace petit::load
