// How texts get to the server.
#ifndef PETIT_CLIENT_LOAD_SENDER_H_
#define PETIT_CLIENT_LOAD_SENDER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/lib/client.h"
#include "client/load/recorder.h"

namespace petit::load {

class Sender {
 public:
  using Done = std::function<void(const Outcome& outcome)>;

  virtual ~Sender() = default;
  // Does not wait for the answer. `done` is called once, on any thread, perhaps before Send returns. Nothing is sent
  // again: a refusal is an outcome.
  virtual void Send(std::size_t model, const std::string& text, Done done) = 0;
};

// At least one.
using Clients = std::vector<std::shared_ptr<const client::Client>>;

// One Translate call for each text, over the clients in turn; `deadline` is each call's. Without a thread of its own.
// `models` are the plan's. To be kept, as the clients, until the last outcome is there.
std::unique_ptr<Sender> MakeUnarySender(Clients clients, std::vector<client::TranslateOptions> models,
                                        absl::Duration deadline);

// One StreamTranslate call for each model, all its texts over it, opened again where it breaks; two threads for each.
// The clients' retry policy has to be one attempt, or texts are sent again. Its destructor waits for what is in flight.
std::unique_ptr<Sender> MakeStreamSender(const Clients& clients, std::vector<client::TranslateOptions> models);

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_SENDER_H_
