// SIGTERM and SIGINT ask the worker to stop, at the end of a step.
#ifndef PETIT_SERVER_WORKER_STOP_SIGNALS_H_
#define PETIT_SERVER_WORKER_STOP_SIGNALS_H_

namespace petit::worker {

// The signals stay pending until somebody asks, and no handler runs. None may: while LibTorch 2.11's oneDNN multiplies,
// the stack pointer can point into the heap, and Linux would write the handler's frame over what lies below it
// (oneDNN's issue 4845).

// To be called before any other thread is made, so that all of them leave the signals alone.
void HoldStopSignals();

// Whether one has come since. A system call of well below a microsecond.
bool StopRequested();

}  // namespace petit::worker

#endif  // PETIT_SERVER_WORKER_STOP_SIGNALS_H_
