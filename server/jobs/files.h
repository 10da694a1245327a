// Files and directories of jobs, written so that a crash or a power loss leaves them as they were or as they should be.
#ifndef PETIT_SERVER_JOBS_FILES_H_
#define PETIT_SERVER_JOBS_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace petit::serving {

// Statuses carry the path and the system's reason; RESOURCE_EXHAUSTED: the disk is full.

// Creates the directory and those above it where missing.
absl::Status MakeDirectories(const std::string& path);

// Creates a directory that must not be there yet, below one that is. ALREADY_EXISTS.
absl::Status MakeNewDirectory(const std::string& path);

// Replaces the file as a whole.
absl::Status WriteFileDurably(const std::string& path, absl::string_view text);

// Moves a file or directory, within a file system. ALREADY_EXISTS: `to` is there (an empty directory may be replaced).
absl::Status MoveDurably(const std::string& from, const std::string& to);

// The same tree at `to`, which must not be there, on the disk when this returns: hard links where the file system has
// them, else copies. INVALID_ARGUMENT: there is something other than files and directories in it.
absl::Status CopyTree(const std::string& from, const std::string& to);

// OK where there is nothing.
absl::Status RemoveTree(const std::string& path);

// False for a symbolic link to one, too.
bool IsDirectory(const std::string& path);

// NOT_FOUND; INVALID_ARGUMENT: longer than `limit` bytes.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, std::size_t limit);

// Its last bytes, at most this many; nothing where it cannot be read.
std::string ReadFileEnd(const std::string& path, std::int64_t bytes);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_FILES_H_
