// petit load
#include <CLI/CLI.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <ostream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/live_screen.h"
#include "client/cli/load_flags.h"
#include "client/cli/load_text.h"
#include "client/eval/experiment.h"
#include "client/load/results.h"
#include "client/load/run.h"

namespace petit::cli {
namespace {

constexpr char kDescription[] =
    "Loads a server with texts, and reports how fast and how well it answers.\n"
    "\n"
    "An open loop (--rate, --steps, --ramp) sends texts when they are due, whether or not the server keeps up, as "
    "users\n"
    "do; latencies count from when a text was due, so that time spent waiting to be sent is not left out. A closed "
    "loop\n"
    "(--streams) keeps so many texts in flight: what it finds is the server's capacity, not its users' waiting times.\n"
    "\n"
    "Nothing is sent twice: a refusal is a result. While it runs, a table (on a terminal) or a line a second on "
    "standard\n"
    "error tells how it stands; its latencies and rates are those of the last second. Ctrl-C ends the sending, waits "
    "for\n"
    "what is in flight and reports; a second one ends at once.";

constexpr char kFooter[] =
    "Examples:\n"
    "  petit load --model student --rate 40\n"
    "  petit load --model student --rate 40 --duration 1m --slo p99=500ms,error-rate=0.1% || echo too slow\n"
    "  petit load --model student --rate 10 --slo p99=500ms --search\n"
    "  petit load --steps 10,20,40,80 --duration 30s --html load.html --json load.json\n"
    "  petit load --streams 1,8,32 --texts test.en-fr.tsv\n"
    "  petit load --model teacher --model student=3 --rate 20 --lengths 5-60 --deadline 2s\n"
    "\n"
    "TIME is 500ms, 10s, 1m30s, or a number of seconds. TERMS limit percentiles of the latency (p50, p95, p99, p99.9\n"
    "...) and the share of failed texts: p99=500ms asks that 99 % of all texts that count be answered well within\n"
    "500 ms, so that a failed text is a late one. All terms have to hold, for all models together, in every step.\n"
    "\n"
    "The report's columns: TEXTS/S and TOKENS/S count what was answered while the load was measured; GOODPUT, texts a\n"
    "second that were due in that time and answered well within the SLO's limit (its highest percentile's; without\n"
    "one: answered well). QUEUE and FIRST TOKEN are the server's own times. GENERATOR LAG is how late texts were "
    "sent.\n"
    "\n"
    "Exit codes:\n"
    "  0    all texts were answered; with --slo, it holds (with --search: for some rate)\n"
    "  1    without --slo: some texts failed\n"
    "  2    the command line or an input file cannot be used\n"
    "  3    no server answers\n"
    "  4    the server refused: no such model, a language it does not translate\n"
    "  5    the SLO is broken\n"
    "  130  interrupted; the report is of what was sent until then";

// Tells once a second how a run stands, on standard error, from a thread of its own.
class LoadDisplay {
 public:
  LoadDisplay(const load::Plan& plan, load::Recorder& recorder, const load::Clock& clock, bool quiet, Io& io)
      : io_(io), quiet_(quiet), recorder_(recorder), clock_(clock), view_(plan) {
    if (quiet) return;
    if (io.err_is_terminal) {
      screen_ = std::make_unique<LiveScreen>(*io.err, io.terminal_size,
                                             [this](std::size_t columns) { return view_.Render(columns); });
    }
    thread_ = std::thread([this] { Loop(); });
  }

  ~LoadDisplay() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  void Print(const std::string& line) {
    if (quiet_) return;
    const std::lock_guard lock(mutex_);
    Show(line);
  }

 private:
  void Show(const std::string& line) {
    if (screen_ != nullptr) return screen_->Print(line);
    *io_.err << line << std::endl;
  }

  void Loop() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::seconds(1), [this] { return ended_; })) {
      if (!told_ && io_.cancellation != nullptr && io_.cancellation->cancelled()) {
        told_ = true;
        Show("petit: no more is sent; waiting for what is in flight (Ctrl-C ends at once)");
      }
      load::Live live = recorder_.Look(clock_.Now());
      if (screen_ != nullptr) {
        screen_->Update([&] { view_.Update(std::move(live)); });
      } else {
        view_.Update(std::move(live));
        *io_.err << view_.Line() << std::endl;
      }
    }
  }

  Io& io_;
  const bool quiet_;
  load::Recorder& recorder_;
  const load::Clock& clock_;
  LoadView view_;
  std::unique_ptr<LiveScreen> screen_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  bool told_ = false;  // that no more is sent
  std::thread thread_;
};

absl::StatusOr<load::Clients> ConnectAll(const LoadFlags& flags) {
  absl::StatusOr<client::ClientOptions> options = ClientOptionsFor(flags.common);
  if (!options.ok()) return options.status();
  options->retry.max_attempts = 1;
  options->own_connection = flags.connections > 1;
  options->user_agent = absl::StrCat("petit-load/", PETIT_VERSION);
  load::Clients clients;
  for (int i = 0; i < flags.connections; ++i) {
    absl::StatusOr<client::Client> client = client::Client::Create(*options);
    if (!client.ok()) return client.status();
    clients.push_back(std::make_shared<client::Client>(*std::move(client)));
  }
  return clients;
}

std::vector<client::TranslateOptions> OptionsOf(const LoadFlags& flags, const load::Plan& plan) {
  std::vector<client::TranslateOptions> options;
  for (const load::ModelShare& model : plan.models) {
    options.push_back({.model = model.name,
                       .source_language = flags.languages.from,
                       .target_language = flags.languages.to,
                       .prompt_override = flags.languages.prompt,
                       .decoding = flags.decoding});
  }
  return options;
}

// So that a long run is not lost to a file that cannot be written.
absl::Status CheckWritable(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  errno = 0;
  const std::ofstream file(path, std::ios::binary | std::ios::app);
  return file ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat(path, ": ", std::strerror(errno)));
}

absl::Status WriteFiles(const LoadFlags& flags, const load::Report& report) {
  if (!flags.json.empty()) {
    if (absl::Status status = eval::WriteWhole(flags.json, load::FormatJson(report)); !status.ok()) return status;
  }
  return flags.html.empty() ? absl::OkStatus() : eval::WriteWhole(flags.html, load::FormatHtml(report));
}

int CodeOf(const load::Report& report, Io& io) {
  if (report.interrupted) return kExitInterrupted;
  if (report.search) return report.search->best ? kExitOk : kExitObjectiveBroken;
  std::int64_t failed = 0;
  bool holds = true;
  for (const load::PhaseResult& phase : report.phases) {
    failed += phase.figures.All().failed();
    for (const load::Verdict& verdict : phase.verdicts) {
      if (verdict.holds) continue;
      holds = false;
      *io.err << "petit: the SLO is broken at " << Describe(phase.figures.phase) << ": " << verdict.term << ": "
              << verdict.why << "\n";
    }
  }
  if (!report.plan.objective.empty()) return holds ? kExitOk : kExitObjectiveBroken;
  return failed > 0 ? kExitTextsFailed : kExitOk;
}

int RunLoad(const LoadFlags& flags, Io& io) {
  const auto usage = [&io](const absl::Status& status) { return FailUsage(io, std::string(status.message())); };
  absl::StatusOr<load::Plan> plan = PlanOf(flags);
  if (!plan.ok()) return usage(plan.status());
  absl::StatusOr<std::vector<load::ModelShare>> models = ModelsOf(flags);
  if (!models.ok()) return usage(models.status());
  const absl::StatusOr<absl::Duration> deadline = DeadlineOf(flags);
  if (!deadline.ok()) return usage(deadline.status());
  if (flags.stream && !flags.deadline.empty()) {
    return FailUsage(io, "--deadline is of unary calls; of a stream, --timeout bounds the silence");
  }
  absl::StatusOr<load::Corpus> corpus =
      flags.texts.empty()
          ? load::Corpus::Synthetic(flags.lengths.empty() ? "5-25" : flags.lengths, flags.seed)
          : load::Corpus::OfFile(flags.texts, flags.languages.from, flags.languages.to, io.interrupt_fd);
  if (absl::IsCancelled(corpus.status())) return Fail(io, corpus.status());
  if (!corpus.ok())
    return FailUsage(io, absl::StrCat(flags.texts.empty() ? "--lengths: " : "", corpus.status().message()));
  for (const std::string& path : {flags.json, flags.html}) {
    if (absl::Status status = CheckWritable(path); !status.ok()) return usage(status);
  }
  const absl::StatusOr<load::Clients> clients = ConnectAll(flags);
  if (!clients.ok()) return usage(clients.status());
  const client::Client& client = *clients->front();
  if (models->empty()) {
    const absl::StatusOr<std::string> name = ChooseModel(client, "", flags.languages, io);
    if (!name.ok()) return Fail(io, name.status());
    models->push_back({.name = *name});
  }
  plan->models = *std::move(models);

  load::Report report{.plan = *std::move(plan),
                      .command = io.command_line,
                      .client_version = PETIT_VERSION,
                      .texts = corpus->description(),
                      .method = flags.stream ? "a StreamTranslate call for each model"
                                             : absl::StrCat("unary calls within ", absl::FormatDuration(*deadline)),
                      .languages = flags.languages.prompt
                                       ? "with a prompt of its own"
                                       : absl::StrCat(flags.languages.from, " to ", flags.languages.to),
                      .address = flags.common.server};
  const std::vector<client::TranslateOptions> options = OptionsOf(flags, report.plan);
  if (absl::Status status = load::Greet(client, options, CallFor(io), report); !status.ok()) return Fail(io, status);

  load::SteadyClock clock;
  load::Recorder recorder(report.plan);
  std::int64_t callback = 0;
  if (io.cancellation != nullptr) callback = io.cancellation->AddCallback([&clock] { clock.Wake(); });
  {
    const std::unique_ptr<load::Sender> sender =
        flags.stream ? load::MakeStreamSender(*clients, options) : load::MakeUnarySender(*clients, options, *deadline);
    LoadDisplay display(report.plan, recorder, clock, flags.common.quiet, io);
    const load::RunHooks hooks{.stopped = [&io] { return io.cancellation != nullptr && io.cancellation->cancelled(); },
                               .on_trial = [&](const load::PhaseResult& trial) { display.Print(FormatTrial(trial)); }};
    load::Run(*corpus, *sender, clock, recorder, hooks, report);
  }
  if (io.cancellation != nullptr) io.cancellation->RemoveCallback(callback);
  *io.out << FormatLoad(report);
  if (absl::Status status = WriteFiles(flags, report); !status.ok()) return usage(status);
  return CodeOf(report, io);
}

}  // namespace

void AddLoadCommand(CLI::App& app, Invocation& invocation) {
  const auto flags = std::make_shared<LoadFlags>();
  CLI::App& command = *app.add_subcommand("load", kDescription);
  command.footer(kFooter);
  AddLoadOptions(command, *flags);
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunLoad(*flags, io); }; });
}

}  // namespace petit::cli
