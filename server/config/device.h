// How devices are written.
#ifndef PETIT_SERVER_CONFIG_DEVICE_H_
#define PETIT_SERVER_CONFIG_DEVICE_H_

#include "absl/strings/string_view.h"

namespace petit::serving {

// "cpu", "cuda", "cuda:0" ... "cuda:127"; says nothing of whether it is there.
bool IsDevice(absl::string_view device);

}  // namespace petit::serving

#endif  // PETIT_SERVER_CONFIG_DEVICE_H_
