#include "client/eval/pass.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace petit::eval {
namespace {

// So many texts in a row that fail for no fault of theirs are the model's or the server's end.
constexpr int kPatience = 20;

client::CallOptions CallFor(const Surroundings& surroundings) { return {.cancellation = surroundings.cancellation}; }

bool IsCancelled(const Surroundings& surroundings) {
  return surroundings.cancellation != nullptr && surroundings.cancellation->cancelled();
}

client::TranslateOptions OptionsFor(const Plan& plan, const ModelUnderTest& model, const SetPlan& set) {
  return {.model = model.plan.name,
          .source_language = set.source_language,
          .target_language = set.target_language,
          .prompt_override = set.prompt,
          .decoding = plan.decoding};
}

std::string CellName(const Cell& cell) { return absl::StrCat(cell.model->plan.name, " on ", cell.set->plan.name); }

absl::Status CheckVersion(const ModelUnderTest& model, std::int64_t line, const client::Translation& translation) {
  if (translation.model_digest == model.served.digest) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(model.plan.name, ": version ", translation.model_version, " answered line ", line, ", but version ",
                   model.served.version, " was being measured; name a version (", model.plan.name, "/versions/",
                   translation.model_version, ") or leave the model alone, and run again"));
}

// Whether the server has worked for nobody else meanwhile.
class IdleWatch {
 public:
  IdleWatch(const client::Client& client, const Surroundings& surroundings)
      : client_(client), surroundings_(surroundings), before_(Ask()) {}

  bool WasIdle(std::int64_t texts) const {
    const std::optional<client::ServerInfo> after = Ask();
    return before_ && after && before_->texts_in_flight == 0 && after->texts_in_flight == 0 &&
           before_->start_time == after->start_time && after->texts_accepted - before_->texts_accepted == texts &&
           after->pairs_scored == before_->pairs_scored;
  }

 private:
  std::optional<client::ServerInfo> Ask() const {
    absl::StatusOr<client::ServerInfo> info = client_.GetServerInfo(CallFor(surroundings_));
    if (!info.ok()) return std::nullopt;
    return *std::move(info);
  }

  const client::Client& client_;
  const Surroundings& surroundings_;
  const std::optional<client::ServerInfo> before_;
};

struct PassOptions {
  std::string what;
  int concurrency = 1;
  std::int64_t take = 0;
  std::function<bool(std::int64_t line)> wanted = nullptr;  // null: all
};

using Sink = std::function<absl::Status(std::int64_t line, const client::TextResult& result)>;

// Streams the set through the model, in the order of its lines.
class Pass {
 public:
  Pass(const Plan& plan, const Cell& cell, PassOptions options, const Sink& sink, const Surroundings& surroundings)
      : plan_(plan), cell_(cell), options_(std::move(options)), sink_(sink), surroundings_(surroundings) {}

  absl::StatusOr<TimedPass> Run() {
    absl::StatusOr<data::PairReader> reader = data::PairReader::Open(cell_.set->plan.files, surroundings_.interrupt_fd);
    if (!reader.ok()) return reader.status();
    total_ = cell_.set->info.pairs;
    if (options_.take > 0) total_ = std::min(total_, options_.take);
    const client::TextSource source = [&] { return Next(*reader); };
    const client::ResultSink sink = [&](std::int64_t /*index*/, const client::TextResult& result) {
      return Take(result);
    };
    const client::Client& client = *cell_.model->client;
    const IdleWatch watch(client, surroundings_);
    const absl::Time start = absl::Now();
    const absl::Status status =
        client.TranslateStream(OptionsFor(plan_, *cell_.model, cell_.set->plan),
                               {.max_in_flight = options_.concurrency}, source, sink, CallFor(surroundings_));
    pass_.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    if (IsCancelled(surroundings_)) return absl::CancelledError("interrupted");
    if (!status.ok()) return status;
    if (!input_.ok()) return input_;
    pass_.idle = watch.WasIdle(pass_.texts);
    if (surroundings_.progress) surroundings_.progress(options_.what, total_, total_);
    return std::move(pass_);
  }

 private:
  std::optional<absl::StatusOr<std::string>> Next(data::PairReader& reader) {
    while (read_ < total_) {
      absl::StatusOr<std::optional<data::Pair>> pair = reader.Next();
      if (!pair.ok()) input_ = pair.status();
      if (!pair.ok() || !*pair) return std::nullopt;
      ++read_;
      if (options_.wanted && !options_.wanted((*pair)->line)) {
        ++done_;
        continue;
      }
      absl::StatusOr<std::string> text = std::move((*pair)->source);
      if (!(*pair)->problem.ok()) text = (*pair)->problem;
      const std::lock_guard lock(mutex_);
      lines_.push_back((*pair)->line);
      return text;
    }
    return std::nullopt;
  }

  absl::Status Take(const client::TextResult& result) {
    std::int64_t line = 0;
    {
      const std::lock_guard lock(mutex_);
      line = lines_.front();
      lines_.pop_front();
    }
    if (result.ok()) {
      if (absl::Status status = CheckVersion(*cell_.model, line, *result); !status.ok()) return status;
      ++pass_.texts;
      pass_.target_tokens += result->target_tokens;
      pass_.latencies.push_back(static_cast<float>(absl::ToDoubleSeconds(result->round_trip)));
      pass_.first_tokens.push_back(static_cast<float>(absl::ToDoubleSeconds(result->timing.first_token)));
      failed_in_a_row_ = 0;
    } else if (!IsPermanent(result.status()) && ++failed_in_a_row_ >= kPatience) {
      return absl::Status(result.status().code(),
                          absl::StrCat(CellName(cell_), ": the last ", kPatience, " texts failed, the latest on line ",
                                       line, ": ", std::string(result.status().message())));
    }
    absl::Status status = sink_ ? sink_(line, result) : absl::OkStatus();
    if (surroundings_.progress) surroundings_.progress(options_.what, ++done_, total_);
    return status;
  }

  const Plan& plan_;
  const Cell& cell_;
  const PassOptions options_;
  const Sink& sink_;
  const Surroundings& surroundings_;

  std::int64_t total_ = 0;
  std::int64_t read_ = 0;
  std::atomic<std::int64_t> done_ = 0;
  absl::Status input_;
  std::mutex mutex_;
  std::deque<std::int64_t> lines_;  // sent and not answered; the stream's window bounds it
  int failed_in_a_row_ = 0;
  TimedPass pass_;
};

}  // namespace

absl::StatusOr<std::optional<TimedPass>> Translate(const Plan& plan, Cell& cell, const Surroundings& surroundings) {
  const auto wanted = [&cell](std::int64_t line) {
    if (!cell.hypotheses->Has(line)) return true;
    const absl::StatusOr<std::string> record = cell.hypotheses->Read(line);
    if (!record.ok()) return true;
    const absl::StatusOr<Hypothesis> hypothesis = ParseHypothesis(*record);
    return !hypothesis.ok() || !(hypothesis->status.ok() || IsPermanent(hypothesis->status));
  };
  const bool whole = cell.hypotheses->size() == 0;
  const Sink sink = [&](std::int64_t line, const client::TextResult& result) {
    if (!result.ok() && surroundings.note) {
      surroundings.note(absl::StrCat(CellName(cell), ": line ", line, ": ",
                                     absl::StatusCodeToString(result.status().code()), ": ",
                                     std::string(result.status().message())));
    }
    return cell.hypotheses->Append(line, Format(ToHypothesis(result)));
  };
  Pass pass(plan, cell,
            {.what = absl::StrCat("translating with ", CellName(cell)),
             .concurrency = plan.measurement.concurrency,
             .wanted = wanted},
            sink, surroundings);
  absl::StatusOr<TimedPass> times = pass.Run();
  if (!times.ok()) return times.status();
  if (!whole) return std::nullopt;
  return *std::move(times);
}

absl::StatusOr<TimedPass> Time(const Plan& plan, const Cell& cell, const Surroundings& surroundings) {
  const Sink sink = nullptr;
  Pass pass(plan, cell,
            {.what = absl::StrCat("timing ", CellName(cell)),
             .concurrency = plan.measurement.speed_concurrency,
             .take = plan.measurement.speed_take},
            sink, surroundings);
  return pass.Run();
}

}  // namespace petit::eval
