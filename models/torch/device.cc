#include "models/torch/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "models/torch/torch_executor.h"

namespace petit::torch_executor {
namespace {

// Loads LibTorch's CUDA library, whose initialisers register CUDA's kernels; "" or what went wrong. It lies beside
// libtorch_cpu.so, which need not be in a directory that the loader searches.
std::string LoadCudaLibrary() {
  std::string path = "libtorch_cuda.so";
  Dl_info here;
  int (*symbol)() = &at::get_num_threads;
  if (dladdr(reinterpret_cast<void*>(symbol), &here) != 0 && here.dli_fname != nullptr) {
    const std::string file = here.dli_fname;
    const auto slash = file.rfind('/');
    if (slash != std::string::npos) path = absl::StrCat(file.substr(0, slash + 1), path);
  }
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) return "";
  const char* error = dlerror();
  return absl::StrCat("LibTorch's CUDA library does not load (", error == nullptr ? path : error,
                      "); './dev deps --cuda' fetches what it needs");
}

const std::string& CudaLoadError() {
  static const std::string* const error = new std::string(LoadCudaLibrary());
  return *error;
}

std::string DevicesHere(int cuda_devices) {
  std::string list = "cpu";
  for (int i = 0; i < cuda_devices; ++i) absl::StrAppend(&list, ", cuda:", i);
  return list;
}

}  // namespace

absl::StatusOr<c10::Device> ResolveDevice(const std::string& name) {
  c10::Device device(c10::DeviceType::CPU);
  try {
    device = c10::Device(name);
  } catch (const c10::Error&) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", name, "' is not a device name; devices are named 'cpu', 'cuda' or 'cuda:N'"));
  }
  // "cpu:0" is the one CPU.
  if (device.is_cpu() && device.index() <= 0) return c10::Device(c10::DeviceType::CPU);
  if (!device.is_cuda()) {
    return absl::UnavailableError(absl::StrCat("device '", name, "' is not here; devices here: cpu"));
  }
  if (!CudaLoadError().empty()) {
    return absl::UnavailableError(
        absl::StrCat("device '", name, "' is not here: ", CudaLoadError(), "; devices here: cpu"));
  }
  try {
    const int count = at::detail::getCUDAHooks().getNumGPUs();
    const int index = device.has_index() ? device.index() : 0;
    if (index >= count) {
      return absl::UnavailableError(absl::StrCat("device '", name, "' is not here",
                                                 count == 0 ? ": the driver shows no CUDA device" : "",
                                                 "; devices here: ", DevicesHere(count)));
    }
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
  } catch (const c10::Error& error) {
    return absl::UnavailableError(
        absl::StrCat("device '", name, "' does not start: ", error.what_without_backtrace(), "; devices here: cpu"));
  }
}

absl::Status CheckDevice(const std::string& device) { return ResolveDevice(device).status(); }

}  // namespace petit::torch_executor
