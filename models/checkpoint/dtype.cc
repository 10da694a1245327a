#include <cstddef>
#include <string_view>

#include "models/checkpoint/checkpoint.h"

namespace petit::checkpoint {

std::string_view DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
  }
  return "";
}

std::size_t DTypeSize(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

}  // namespace petit::checkpoint
