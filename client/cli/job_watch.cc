#include "client/cli/job_watch.h"

#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/job_view.h"
#include "client/cli/live_screen.h"
#include "client/cli/progress.h"
#include "client/cli/proto_json.h"

namespace petit::cli {
namespace {

using petit::v1::JobEvent;

// What the block shows anyway does not scroll by above it.
bool Scrolls(const JobEvent& event) { return !event.has_progress() && !event.has_dev_score(); }

absl::Status WatchOnTerminal(const client::JobClient& client, const std::string& name, client::WatchOptions watch,
                             JobView& view, Io& io) {
  LiveScreen screen(*io.out, io.terminal_size, [&view](std::size_t columns) { return view.Render(columns); });
  // Otherwise the terminal would stay empty until a queued job's first event.
  screen.Update([] {});
  watch.on_lost = [&](const absl::Status& why, absl::Duration wait) {
    screen.Print(absl::StrCat("connection lost (", why.message(), "); trying again in ", FormatRemaining(wait)));
  };
  const auto show = [&](const JobEvent& event) {
    screen.Update([&] { view.Add(event); });
    if (Scrolls(event)) screen.Print(FormatEvent(event));
    return screen.good() ? absl::OkStatus() : absl::CancelledError("nobody reads the output");
  };
  return client.Watch(name, watch, show, CallFor(io));
}

absl::Status WatchInLines(const client::JobClient& client, const std::string& name, const JobWatchOptions& options,
                          client::WatchOptions watch, JobView& view, Io& io) {
  watch.on_lost = [&](const absl::Status& why, absl::Duration wait) {
    if (options.quiet) return;
    *io.err << "petit: connection lost (" << Describe(why) << "); trying again in " << FormatRemaining(wait)
            << std::endl;
  };
  const auto show = [&](const JobEvent& event) {
    view.Add(event);
    *io.out << (options.json ? ToJsonLine(event) : FormatEvent(event)) << std::endl;
    return io.out->good() ? absl::OkStatus() : absl::CancelledError("nobody reads the output");
  };
  return client.Watch(name, watch, show, CallFor(io));
}

int Outcome(const std::string& name, petit::v1::JobState state, const std::string& reason, Io& io) {
  if (state == petit::v1::JOB_STATE_SUCCEEDED) return kExitOk;
  *io.err << "petit: " << name << " " << client::JobStateName(state) << (reason.empty() ? "" : ": ") << reason << "\n";
  return kExitTextsFailed;
}

}  // namespace

int WatchJob(const client::JobClient& client, const std::string& id, const JobWatchOptions& options, Io& io) {
  const std::string name = client::JobName(id);
  const client::WatchOptions watch{.after_sequence = options.after_sequence};
  JobView view(name);
  const bool live = io.out_is_terminal && !options.json;
  const absl::Status status =
      live ? WatchOnTerminal(client, name, watch, view, io) : WatchInLines(client, name, options, watch, view, io);
  if (!io.out->good()) return kExitBrokenPipe;
  if (io.cancellation != nullptr && io.cancellation->cancelled() && absl::IsCancelled(status)) {
    const std::int64_t seen = std::max(options.after_sequence, view.last_sequence());
    const std::string bare = name.substr(name.find('/') + 1);
    *io.err << "petit: stopped watching; " << name << " goes on. `petit jobs watch " << bare << " --after " << seen
            << "` watches it again, `petit jobs cancel " << bare << "` stops it\n";
    return kExitInterrupted;
  }
  if (!status.ok()) return Fail(io, status);
  if (client::HasEnded(view.state())) return Outcome(name, view.state(), view.reason(), io);
  // Nothing has happened after the event that the watch started from.
  const absl::StatusOr<petit::v1::Job> job = client.GetJob(name, CallFor(io));
  if (!job.ok()) return Fail(io, job.status());
  if (!client::HasEnded(job->state())) {
    return Fail(io, absl::UnavailableError(absl::StrCat("the server ended the watch of ", name, ", which is ",
                                                        client::JobStateName(job->state()))));
  }
  return Outcome(name, job->state(), job->error(), io);
}

}  // namespace petit::cli
