#include "models/torch/threads.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "models/torch/torch_executor.h"

// MKL's, which LibTorch for x86 has linked in: the calling thread's number of threads; 0 for the process's. Gives the
// one before.
extern "C" int MKL_Set_Num_Threads_Local(int threads) __attribute__((weak));

namespace petit::torch_executor {
namespace {

constexpr std::int64_t kWeightBytesOfAThread = std::int64_t{64} << 20;

std::atomic<int> pool_threads = 0;  // 0: not set

int SetMklThreads(int threads) { return MKL_Set_Num_Threads_Local == nullptr ? 0 : MKL_Set_Num_Threads_Local(threads); }

int OpenMpThreads() {
  return at::get_num_threads();  // and sets this thread up, where LibTorch sees it first
}

}  // namespace

void SetTorchThreads(int threads) {
  pool_threads = threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency());
  at::set_num_threads(pool_threads);
}

int TorchThreads() {
  const int set = pool_threads;
  return set > 0 ? set : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int ThreadsFor(std::int64_t weight_bytes, int replicas) {
  const int share = std::max(1, TorchThreads() / replicas);
  return static_cast<int>(std::clamp<std::int64_t>(weight_bytes / kWeightBytesOfAThread, 1, share));
}

WithThreads::WithThreads(int threads) : openmp_before_(OpenMpThreads()), mkl_before_(SetMklThreads(threads)) {
  omp_set_num_threads(threads);
}

WithThreads::~WithThreads() {
  omp_set_num_threads(openmp_before_);
  SetMklThreads(mkl_before_);
}

}  // namespace petit::torch_executor
