// What the fuzz targets share. A target is a function LLVMFuzzerTestOneInput; libFuzzer calls it in the build `fuzz`,
// replay_main.cc in all others.
#ifndef PETIT_TESTS_FUZZ_FUZZ_H_
#define PETIT_TESTS_FUZZ_FUZZ_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace petit::fuzz {

// Ends the process where a promise is broken, in any build.
inline void Check(bool kept, const char* promise, const std::string& details = "") {
  if (kept) return;
  std::fprintf(stderr, "not kept: %s\n%s\n", promise, details.c_str());
  std::abort();
}

inline std::string_view Text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A regular file that lies in memory alone, under a path that may be opened any number of times.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(descriptor_)) {
    Check(descriptor_ >= 0, "memfd_create works");
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  void Write(std::string_view bytes) {
    Check(ftruncate(descriptor_, 0) == 0, "the file becomes empty");
    Check(pwrite(descriptor_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
          "the file is written");
  }
  const std::string& path() const { return path_; }

 private:
  const int descriptor_;
  const std::string path_;
};

}  // namespace petit::fuzz

#endif  // PETIT_TESTS_FUZZ_FUZZ_H_
