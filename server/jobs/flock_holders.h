// Which processes hold an advisory lock.
#ifndef PETIT_SERVER_JOBS_FLOCK_HOLDERS_H_
#define PETIT_SERVER_JOBS_FLOCK_HOLDERS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace petit::serving {

// The other processes with a descriptor through which the file's flock is held: those that took it and those that
// inherited it. /proc/locks will not do: it names who took a lock, which may be long dead. Processes of others that
// this one may not look into are left out.
std::vector<pid_t> FlockHolders(const std::string& path);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_FLOCK_HOLDERS_H_
