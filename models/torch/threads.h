// How many threads of LibTorch's pool compute for a model.
#ifndef PETIT_MODELS_TORCH_THREADS_H_
#define PETIT_MODELS_TORCH_THREADS_H_

#include <cstdint>

namespace petit::torch_executor {

// What SetTorchThreads has set; the number of cores before.
int TorchThreads();

// Of each of a model's replicas: one for each 64 MiB of weights, at least one and at most its share of TorchThreads().
// A decoder step reads all weights once, and what is left for each thread must be worth its waking. Threads that wait
// for work spin, and take the processor from the server's others.
int ThreadsFor(std::int64_t weight_bytes, int replicas);

// While it lives the calling thread computes with so many; OpenMP and MKL keep that by thread.
class WithThreads {
 public:
  explicit WithThreads(int threads);
  ~WithThreads();
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  const int openmp_before_;
  const int mkl_before_;  // 0: the process's
};

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_THREADS_H_
