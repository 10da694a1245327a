// Bounds the calls of each connection by what they cost the server rather than by what the client admits to.
#ifndef PETIT_SERVER_SECURITY_CALL_GATE_H_
#define PETIT_SERVER_SECURITY_CALL_GATE_H_

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace petit::serving {

// By HTTP/2's count a client that resets each call as soon as it has opened it ("rapid reset", CVE-2023-44487) has at
// most one, whatever the server has announced. gRPC keeps each until its end could be written, which a client that does
// not read puts off for good. So here a call counts from its headers until gRPC is done with it. Thread-safe.
class CallGate {
 public:
  // A connection's name, which it has alone while it lives.
  using Connection = const void*;

  // A call that has come through. Counts until its end.
  class Passed {
   public:
    Passed(CallGate* gate, Connection connection) : gate_(gate), connection_(connection) { gate_->Pass(connection_); }
    ~Passed() { gate_->End(connection_); }
    Passed(const Passed&) = delete;
    Passed& operator=(const Passed&) = delete;

   private:
    CallGate* const gate_;
    const Connection connection_;
  };

  // At most so many calls of a connection.
  explicit CallGate(int most) : most_(most) {}

  // The headers of a call have come. False: refuse it.
  bool Open(Connection connection, absl::Time now);

  // Calls that have passed and not ended, of all connections.
  int passed() const;

 private:
  void Pass(Connection connection);
  void End(Connection connection);

  const int most_;
  mutable absl::Mutex mutex_;
  int all_passed_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<Connection, int> passed_ ABSL_GUARDED_BY(mutex_);
  // Opened less passed since since_. Begins anew every second: what gRPC itself refuses then never passes.
  absl::Time since_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::flat_hash_map<Connection, int> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_SECURITY_CALL_GATE_H_
