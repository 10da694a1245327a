#include "server/config/device.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace petit::serving {

bool IsDevice(absl::string_view device) {
  if (device == "cpu" || device == "cuda") return true;
  int index = 0;
  return absl::ConsumePrefix(&device, "cuda:") && !device.empty() && absl::ascii_isdigit(device[0]) &&
         absl::SimpleAtoi(device, &index) && absl::StrCat(index) == device && index < 128;
}

}  // namespace petit::serving
