// Devices by name, behind CheckDevice of torch_executor.h.
#ifndef PETIT_MODELS_TORCH_DEVICE_H_
#define PETIT_MODELS_TORCH_DEVICE_H_

#include <c10/core/Device.h>

#include <string>

#include "absl/status/statusor.h"

namespace petit::torch_executor {

// The device, with its index ("cuda" is cuda:0), ready for use. Errors as CheckDevice's.
absl::StatusOr<c10::Device> ResolveDevice(const std::string& name);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_DEVICE_H_
