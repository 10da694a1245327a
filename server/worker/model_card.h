// What a student was made of, in words and tables.
#ifndef PETIT_SERVER_WORKER_MODEL_CARD_H_
#define PETIT_SERVER_WORKER_MODEL_CARD_H_

#include <string>

#include "absl/status/statusor.h"
#include "petit/worker/v1/worker.pb.h"

namespace petit::worker {

// README.md of the students: what they were made of. With {ARM} and {TABLE} left to the trainer. INVALID_ARGUMENT,
// NOT_FOUND: a data file cannot be read.
absl::StatusOr<std::string> ModelCard(const v1::WorkerTask& task);

}  // namespace petit::worker

#endif  // PETIT_SERVER_WORKER_MODEL_CARD_H_
