// What systemd is told of this process, where it runs as a service of Type=notify (sd_notify(3)).
#ifndef PETIT_SERVER_SERVICE_MANAGER_H_
#define PETIT_SERVER_SERVICE_MANAGER_H_

#include <string_view>

namespace petit::serving {

// `state`: "READY=1", "STOPPING=1", "STATUS=TEXT", several with '\n' between them. True if it was sent; false where
// nobody asked to be told (no NOTIFY_SOCKET) or nobody listens.
bool TellServiceManager(std::string_view state);

// Whether standard error goes to systemd's journal (JOURNAL_STREAM names it).
bool LogsToJournal();

}  // namespace petit::serving

#endif  // PETIT_SERVER_SERVICE_MANAGER_H_
