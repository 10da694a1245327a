#include "server/jobs/announcer.h"

namespace petit::serving {

void Announcer::Note(const std::string& job, bool ended, const std::vector<v1::JobEvent>& events) {
  if (events.empty()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  news_.push_back({job, ended, events});
}

int Announcer::Subscribe(std::function<void()> wake) {
  const std::lock_guard<std::mutex> lock(mutex_);
  subscribers_.emplace(next_id_, std::move(wake));
  return next_id_++;
}

void Announcer::Unsubscribe(int id) {
  std::unique_lock<std::mutex> lock(mutex_);
  subscribers_.erase(id);
  while (waking_ == id && waker_ != std::this_thread::get_id()) woken_.wait(lock);
}

void Announcer::Announce() {
  std::vector<News> news;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    news.swap(news_);
  }
  if (news.empty()) return;
  if (observer_ != nullptr) {
    for (const News& item : news) {
      for (const v1::JobEvent& event : item.events) observer_->OnEvent(item.job, event);
      if (item.ended) observer_->OnEnded(item.job);
    }
  }
  WakeSubscribers();
}

void Announcer::AnnounceWorkers(const std::vector<WorkerSign>& workers) {
  if (observer_ != nullptr) observer_->OnWorkers(workers);
}

void Announcer::AnnounceCounts(const std::vector<std::pair<v1::JobState, int>>& counts) {
  if (observer_ == nullptr || counts == counts_) return;
  counts_ = counts;
  observer_->OnCounts(counts);
}

void Announcer::WakeSubscribers() {
  std::unique_lock<std::mutex> lock(mutex_);
  // By id, not by iterator: the map may change while a call is in progress.
  for (auto next = subscribers_.begin(); next != subscribers_.end();) {
    const int id = next->first;
    const std::function<void()> wake = next->second;
    waking_ = id;
    waker_ = std::this_thread::get_id();
    lock.unlock();
    wake();
    lock.lock();
    waking_ = 0;
    woken_.notify_all();
    next = subscribers_.upper_bound(id);
  }
}

}  // namespace petit::serving
