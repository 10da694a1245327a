// A file descriptor that is closed by its owner's end.
#ifndef PETIT_SERVER_JOBS_DESCRIPTOR_H_
#define PETIT_SERVER_JOBS_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace petit::serving {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.Release();
    }
    return *this;
  }
  ~Descriptor() { Close(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  // False: an error that only close() could learn. True where there is nothing to close.
  bool Close() { return !valid() || close(Release()) == 0; }

 private:
  int fd_ = -1;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_DESCRIPTOR_H_
