// The C++ client of a Petit server: translation and models, without gRPC's or Protobuf's types. jobs.h has the jobs.
//
//   absl::StatusOr<petit::client::Client> client = petit::client::Client::Create({.server = "127.0.0.1:50051"});
//   petit::client::TranslateOptions options{.model = "student", .source_language = "en", .target_language = "fr"};
//   auto results = client->Translate({"Good morning."}, options);
//   if (results.ok() && results->front().ok()) std::cout << results->front()->text;
//
// Errors are absl::Status with the server's code and message. RetryDelay(), RequestId() and IsServerUnreachable() read
// what else came with them.
#ifndef PETIT_CLIENT_LIB_CLIENT_H_
#define PETIT_CLIENT_LIB_CLIENT_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace petit::client {

// When a call that changes nothing on the server (all but LoadModel, UnloadModel, SetServedVersion, CancelJob and
// DeleteJob) is repeated: after RESOURCE_EXHAUSTED and UNAVAILABLE, at most max_attempts times in all, and never past
// the call's timeout. The wait is the server's RetryInfo or the backoff, whichever is longer, with up to a quarter
// added at random. A server that has never answered this client is not waited for.
struct RetryPolicy {
  int max_attempts = 8;  // 1: never again
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(5);
  double multiplier = 2.0;
};

// Of the connection. The files are PEM, read once, by Create.
struct TlsOptions {
  std::string ca_file = {};           // authorities that the server's certificate may be of; empty: the system's
  std::string certificate_file = {};  // to be shown to a server that asks for one; with key_file
  std::string key_file = {};
  std::string server_name = {};  // that the server's certificate has, where it is not the host of `server`
};

struct ClientOptions {
  // HOST:PORT, or any target that gRPC resolves ("dns:///petit.example:443", "unix:/run/petit.sock").
  std::string server = "127.0.0.1:50051";
  // Absent: plain text.
  std::optional<TlsOptions> tls = {};
  // Tells the server who calls; sent with every call, but in plain text to this machine alone. Empty: none.
  std::string token = {};
  // Of one call, its retries included. Of a stream: the longest silence while texts are in flight.
  absl::Duration timeout = absl::Seconds(60);
  // Of LoadModel, UnloadModel, SetServedVersion, CreateJob and PublishStudent, which wait for disks and for requests in
  // flight.
  absl::Duration model_timeout = absl::Minutes(10);
  // Of one attempt to connect. A refused connection fails at once.
  absl::Duration connect_timeout = absl::Seconds(5);
  RetryPolicy retry = {};
  // Not shared with other clients of this process: gRPC's channels to one server are one connection otherwise.
  bool own_connection = false;
  // Longest answer that is accepted.
  int max_message_bytes = 64 << 20;
  // Put before gRPC's own.
  std::string user_agent = {};
};

// Ends calls from another thread; they return CANCELLED soon after. Outlives the calls it is given to. Stays
// cancelled. Thread-safe, but not safe in a signal handler.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  void Cancel();
  [[nodiscard]] bool cancelled() const;
  // Sleeps; true as soon as cancelled.
  [[nodiscard]] bool WaitFor(absl::Duration duration) const;

  // Calls `callback` on Cancel(), or now if that has happened. It must not block, nor call this object.
  std::int64_t AddCallback(std::function<void()> callback);
  // After this returns the callback is not running and will not run.
  void RemoveCallback(std::int64_t id);

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool cancelled_ = false;
  std::int64_t next_id_ = 1;
  std::map<std::int64_t, std::function<void()>> callbacks_;
};

struct CallOptions {
  std::optional<absl::Duration> timeout = {};  // in place of the client's
  Cancellation* cancellation = nullptr;
};

// Unset fields take the model's configured defaults; meanings are those of petit.v1.DecodingOptions.
struct DecodingOptions {
  enum class EarlyStopping { kDefault, kFalse, kTrue, kNever };

  std::optional<int> max_new_tokens = {};  // end of sentence included
  std::optional<int> min_new_tokens = {};
  std::optional<int> num_beams = {};
  std::optional<float> length_penalty = {};
  EarlyStopping early_stopping = EarlyStopping::kDefault;
  std::optional<float> repetition_penalty = {};
  std::optional<int> no_repeat_ngram_size = {};
  bool do_sample = false;
  std::optional<float> temperature = {};
  std::optional<int> top_k = {};
  std::optional<float> top_p = {};
  std::optional<std::uint64_t> seed = {};
};

struct TranslateOptions {
  std::string model = {};  // "student", or one of its versions: "student/versions/2"
  std::string source_language = {};
  std::string target_language = {};
  std::optional<std::string> prompt_override = {};  // in place of the prompt that the languages choose
  bool split_paragraphs = false;
  DecodingOptions decoding = {};
  int num_alternatives = 0;  // 0 is 1
};

enum class FinishReason { kUnspecified, kEos, kLength };

struct Alternative {
  std::string text = {};
  float score = 0;  // natural logarithm, divided by tokens ^ length_penalty
  FinishReason finish_reason = FinishReason::kUnspecified;
  int target_tokens = 0;
};

// As the server measured it, from the text's arrival.
struct Timing {
  absl::Duration queue = {};
  absl::Duration encode = {};
  absl::Duration first_token = {};
  absl::Duration total = {};
};

struct Translation {
  std::string text = {};
  float score = 0;
  FinishReason finish_reason = FinishReason::kUnspecified;
  int source_tokens = 0;
  int target_tokens = 0;
  int unknown_source_tokens = 0;
  std::vector<Alternative> alternatives = {};  // best first; empty unless more than one was asked for
  std::string model = {};
  std::int64_t model_version = 0;
  std::string model_digest = {};
  Timing timing = {};
  // As this client measured it, from the first sending to the answer, retries included. The texts of one Translate
  // share it.
  absl::Duration round_trip = {};
};

using TextResult = absl::StatusOr<Translation>;

struct StreamOptions {
  // Texts sent and not answered. The server may answer fewer at a time.
  int max_in_flight = 32;
  // Results in the order of the input, or in that of completion.
  bool ordered = true;
  // Ordered: texts taken and not delivered, those that wait for an earlier one included. 0 is 4 * max_in_flight.
  int max_undelivered = 0;
  // Called once, on the sink's thread, where the stream is given up: for a source that may be blocked for long to be
  // woken. May be empty.
  std::function<void()> on_failure = nullptr;
};

// The next text, or nothing at the end. May block. In place of a text an error may stand: it becomes this text's result
// in its turn, and the server is not asked.
using TextSource = std::function<std::optional<absl::StatusOr<std::string>>()>;
// Gets the result of the index-th text (from 0). An error from here ends the stream and is what TranslateStream
// returns.
using ResultSink = std::function<absl::Status(std::int64_t index, TextResult result)>;

struct ScoreOptions {
  std::string model = {};
  std::string reference_model = {};  // where set: also KL(reference_model || model)
  std::string source_language = {};
  std::string target_language = {};
  std::optional<std::string> prompt_override = {};
};

struct ScorePair {
  std::string source = {};
  std::string target = {};
};

struct PairScore {
  std::vector<int> target_ids = {};         // end of sentence included
  std::vector<float> token_log_probs = {};  // natural logarithm, one per id
  std::vector<float> token_kl = {};         // nats, one per id; empty without reference_model
};

using ScoreResult = absl::StatusOr<PairScore>;

enum class ModelState { kUnspecified, kUnloaded, kLoading, kReady, kUnloading, kFailed };

// "READY", as the protocol spells it without its prefix.
std::string ModelStateName(ModelState state);
// "EOS", "LENGTH" or "UNSPECIFIED".
std::string FinishReasonName(FinishReason reason);

struct ModelVersion {
  std::int64_t version = 0;
  ModelState state = ModelState::kUnspecified;
  std::string error = {};  // of the last failed load
  // Known once the version has been loaded:
  std::string executor = {};
  std::string precision = {};
  std::string device = {};
  int replicas = 0;  // that share the weights; 0: the server does not tell
  std::int64_t parameters = 0;
  std::int64_t bytes_in_memory = 0;
  std::int64_t bytes_on_disk = 0;
  std::string digest = {};                      // SHA-256, hex
  absl::Time loaded_at = absl::InfinitePast();  // InfinitePast: not loaded
};

struct LanguagePair {
  std::string source = {};
  std::string target = {};
  std::string prompt = {};  // what the server puts before each source
};

struct Model {
  std::string name = {};  // without "models/"
  ModelState state = ModelState::kUnspecified;
  std::int64_t served_version = 0;  // 0: none
  std::vector<ModelVersion> versions = {};
  std::vector<LanguagePair> language_pairs = {};
  DecodingOptions default_decoding = {};  // what a request gets that does not ask

  // The served one, or null.
  [[nodiscard]] const ModelVersion* Served() const;
};

// What runs on the other side, on what, and how much it does. Fields that the machine does not tell are empty or 0.
struct ServerInfo {
  std::string build = {};  // "0.1.0+4f6c23c1d2e3"
  absl::Time start_time = absl::InfinitePast();
  std::string cpu = {};
  int logical_cpus = 0;           // that the server may use
  std::int64_t memory_bytes = 0;  // the machine's, or the server's limit where that is lower
  std::string os = {};
  // Over all models: texts accepted for translation and not answered yet, and accepted since the start.
  std::int64_t texts_in_flight = 0;
  std::int64_t texts_accepted = 0;
  // Likewise, pairs to score; and those that were scored since the start.
  std::int64_t pairs_in_flight = 0;
  std::int64_t pairs_scored = 0;
};

// A connection to one server, made by the first call. Thread-safe; cheap to move, not to be copied.
class Client {
 public:
  // INVALID_ARGUMENT: options that cannot be meant. Does not connect.
  [[nodiscard]] static absl::StatusOr<Client> Create(ClientOptions options);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // One call; one result per text, in order. The server bounds texts per call (1024 unless configured). Where every
  // text fails, so does the call.
  [[nodiscard]] absl::StatusOr<std::vector<TextResult>> Translate(const std::vector<std::string>& texts,
                                                                  const TranslateOptions& options,
                                                                  const CallOptions& call = {}) const;

  // Translates one text without waiting for it: `done` gets its result once, on one of gRPC's threads, and has to be
  // quick. For thousands of calls in flight. The call is made once, whatever the retry policy, and may last `timeout`
  // (infinite: as long as it takes). This object is to be kept until then.
  void StartTranslate(const std::string& text, const TranslateOptions& options, absl::Duration timeout,
                      std::function<void(TextResult result)> done) const;

  // Translates what `source` yields, holding no more texts than `stream` allows. `source` runs on the calling thread,
  // `sink` on one other thread, never both for long: a slow sink slows the source down. A text that was refused for
  // want of room is sent again; so are unanswered texts after a broken connection. OK: every text got its result.
  // Otherwise the texts without a result stay without; an error is returned once `source` has returned (see
  // on_failure).
  [[nodiscard]] absl::Status TranslateStream(const TranslateOptions& options, const StreamOptions& stream,
                                             const TextSource& source, const ResultSink& sink,
                                             const CallOptions& call = {}) const;

  // Forced decoding: one result per pair, in order.
  [[nodiscard]] absl::StatusOr<std::vector<ScoreResult>> Score(const std::vector<ScorePair>& pairs,
                                                               const ScoreOptions& options,
                                                               const CallOptions& call = {}) const;

  // All configured models, in the configuration's order.
  [[nodiscard]] absl::StatusOr<std::vector<Model>> ListModels(const CallOptions& call = {}) const;
  // The next four return the model as it is then. `version` 0: what the configuration chooses (LoadModel), every
  // loaded one (UnloadModel).
  [[nodiscard]] absl::StatusOr<Model> GetModel(const std::string& name, const CallOptions& call = {}) const;
  [[nodiscard]] absl::StatusOr<Model> LoadModel(const std::string& name, std::int64_t version,
                                                const CallOptions& call = {}) const;
  [[nodiscard]] absl::StatusOr<Model> UnloadModel(const std::string& name, std::int64_t version,
                                                  const CallOptions& call = {}) const;
  [[nodiscard]] absl::StatusOr<Model> SetServedVersion(const std::string& name, std::int64_t version,
                                                       const CallOptions& call = {}) const;

  [[nodiscard]] absl::StatusOr<ServerInfo> GetServerInfo(const CallOptions& call = {}) const;

  [[nodiscard]] const ClientOptions& options() const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// How long the server asked to wait before trying again.
[[nodiscard]] std::optional<absl::Duration> RetryDelay(const absl::Status& status);
// The id under which the server logged the call; empty if it did not say.
[[nodiscard]] std::string RequestId(const absl::Status& status);
// Whether no connection could be made at all.
[[nodiscard]] bool IsServerUnreachable(const absl::Status& status);

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_CLIENT_H_
