#include "client/load/sender.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace petit::load {
namespace {

// More than a run may have in flight: how many those are is the generator's business.
constexpr int kStreamWindow = 1 << 24;

Outcome OutcomeOf(const client::TextResult& result) {
  if (!result.ok()) return {.status = result.status()};
  return {.status = absl::OkStatus(),
          .target_tokens = result->target_tokens,
          .queue = result->timing.queue,
          .first_token = result->timing.first_token};
}

class UnarySender final : public Sender {
 public:
  UnarySender(Clients clients, std::vector<client::TranslateOptions> models, absl::Duration deadline)
      : clients_(std::move(clients)), models_(std::move(models)), deadline_(deadline) {}

  void Send(std::size_t model, const std::string& text, Done done) override {
    const client::Client& client = *clients_[next_++ % clients_.size()];
    client.StartTranslate(text, models_[model], deadline_,
                          [done = std::move(done)](const client::TextResult& result) { done(OutcomeOf(result)); });
  }

 private:
  const Clients clients_;
  const std::vector<client::TranslateOptions> models_;
  const absl::Duration deadline_;
  std::atomic<std::size_t> next_ = 0;
};

// One model's stream.
class ModelStream {
 public:
  ModelStream(std::shared_ptr<const client::Client> client, client::TranslateOptions options)
      : client_(std::move(client)), options_(std::move(options)), thread_([this] { Loop(); }) {}

  ~ModelStream() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

  void Send(const std::string& text, Sender::Done done) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({.text = text, .done = std::move(done)});
    changed_.notify_all();
  }

 private:
  struct Item {
    std::string text;
    Sender::Done done;
  };

  void Loop() {
    while (WaitForText()) {
      std::map<std::int64_t, Sender::Done> sent;  // without an outcome, under the lock
      std::int64_t index = 0;
      bool failed = false;
      const client::TextSource source = [&]() -> std::optional<absl::StatusOr<std::string>> {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return failed || closing_ || !waiting_.empty(); });
        if (failed || waiting_.empty()) return std::nullopt;
        Item item = std::move(waiting_.front());
        waiting_.pop_front();
        sent.emplace(index++, std::move(item.done));
        return std::move(item.text);
      };
      const client::ResultSink sink = [&](std::int64_t answered, const client::TextResult& result) {
        std::unique_lock lock(mutex_);
        const auto found = sent.extract(answered);
        lock.unlock();
        found.mapped()(OutcomeOf(result));
        return absl::OkStatus();
      };
      const auto on_failure = [&] {
        const std::lock_guard lock(mutex_);
        failed = true;
        changed_.notify_all();
      };
      const absl::Status status = client_->TranslateStream(
          options_, {.max_in_flight = kStreamWindow, .ordered = false, .on_failure = on_failure}, source, sink);
      for (const auto& [number, done] : sent) done({.status = status});
    }
  }

  bool WaitForText() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    return !waiting_.empty();
  }

  const std::shared_ptr<const client::Client> client_;
  const client::TranslateOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> waiting_;
  bool closing_ = false;
  std::thread thread_;
};

class StreamSender final : public Sender {
 public:
  StreamSender(const Clients& clients, std::vector<client::TranslateOptions> models) {
    for (std::size_t i = 0; i < models.size(); ++i) {
      streams_.push_back(std::make_unique<ModelStream>(clients[i % clients.size()], std::move(models[i])));
    }
  }

  void Send(std::size_t model, const std::string& text, Done done) override {
    streams_[model]->Send(text, std::move(done));
  }

 private:
  std::vector<std::unique_ptr<ModelStream>> streams_;
};

}  // namespace

std::unique_ptr<Sender> MakeUnarySender(Clients clients, std::vector<client::TranslateOptions> models,
                                        absl::Duration deadline) {
  return std::make_unique<UnarySender>(std::move(clients), std::move(models), deadline);
}

std::unique_ptr<Sender> MakeStreamSender(const Clients& clients, std::vector<client::TranslateOptions> models) {
  return std::make_unique<StreamSender>(clients, std::move(models));
}

}  // namespace petit::load
