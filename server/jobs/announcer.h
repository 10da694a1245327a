// Tells observers and subscribers what has come onto the disk, from the manager's thread and in that order.
#ifndef PETIT_SERVER_JOBS_ANNOUNCER_H_
#define PETIT_SERVER_JOBS_ANNOUNCER_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "petit/v1/job.pb.h"
#include "server/jobs/job_observer.h"

namespace petit::serving {

class Announcer {
 public:
  // `observer` may be null.
  explicit Announcer(JobObserver* observer) : observer_(observer) {}

  // Any thread.
  void Note(const std::string& job, bool ended, const std::vector<v1::JobEvent>& events);
  int Subscribe(std::function<void()> wake);
  // Waits for a call in progress, unless it comes from that very call.
  void Unsubscribe(int id);

  // The manager's thread: tells what was noted since the last time.
  void Announce();
  // The manager's thread.
  void AnnounceWorkers(const std::vector<WorkerSign>& workers);
  // The manager's thread: tells if they have changed.
  void AnnounceCounts(const std::vector<std::pair<v1::JobState, int>>& counts);

 private:
  struct News {
    std::string job;
    bool ended = false;
    std::vector<v1::JobEvent> events;
  };

  void WakeSubscribers();

  JobObserver* const observer_;
  std::vector<std::pair<v1::JobState, int>> counts_;  // the manager's thread only

  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<News> news_;
  std::map<int, std::function<void()>> subscribers_;
  int next_id_ = 1;
  int waking_ = 0;  // whose `wake` is being called; 0: nobody's
  std::thread::id waker_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_ANNOUNCER_H_
