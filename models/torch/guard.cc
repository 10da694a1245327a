#include "models/torch/guard.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace petit::torch_executor {

absl::Status StatusOfException(std::string_view doing) {
  const std::string where(doing);
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(absl::StrCat(where, ": device full: ", error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    // LibTorch's CPU allocator has no exception type of its own.
    if (absl::StrContains(what, "DefaultCPUAllocator")) {
      return absl::ResourceExhaustedError(absl::StrCat(where, ": out of memory: ", what));
    }
    return absl::InternalError(absl::StrCat(where, ": LibTorch: ", what));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(where, ": out of memory"));
  } catch (const std::system_error& error) {
    // A thread that has no memory for its stack.
    if (error.code() != std::errc::resource_unavailable_try_again && error.code() != std::errc::not_enough_memory) {
      return absl::InternalError(absl::StrCat(where, ": ", error.what()));
    }
    return absl::ResourceExhaustedError(
        absl::StrCat(where, ": out of memory: no thread can be started: ", error.what()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(where, ": ", error.what()));
  }
}

}  // namespace petit::torch_executor
