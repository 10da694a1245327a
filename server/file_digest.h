// SHA-256 of a file.
#ifndef PETIT_SERVER_FILE_DIGEST_H_
#define PETIT_SERVER_FILE_DIGEST_H_

#include <string>

#include "absl/status/statusor.h"

namespace petit::serving {

// Lower-case hex. NOT_FOUND: the file cannot be opened.
absl::StatusOr<std::string> FileSha256(const std::string& path);

}  // namespace petit::serving

#endif  // PETIT_SERVER_FILE_DIGEST_H_
