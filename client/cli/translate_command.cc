// petit translate
#include <CLI/CLI.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "client/cli/text_io.h"
#include "client/cli/translate_input.h"
#include "client/cli/translate_output.h"
#include "client/cli/validators.h"

namespace petit::cli {
namespace {

struct TranslateFlags {
  CommonFlags common;
  LanguageFlags languages;
  std::string model;
  std::vector<std::string> texts;
  std::vector<std::string> files;
  client::DecodingOptions decoding;
  int alternatives = 1;
  bool split_paragraphs = false;
  bool unary = false;
  bool json = false;
  int concurrency = 32;
};

constexpr char kDescription[] =
    "Translates texts: those on the command line, the lines of files, or the lines of standard input.\n"
    "\n"
    "One line of input is one text, and becomes one line of output, in the same order. A blank line stays a blank\n"
    "line. A text that cannot be translated (invalid UTF-8, too long, refused by the server) is named on standard\n"
    "error and becomes a blank line; the others are still translated.";

constexpr char kExamples[] =
    "Examples:\n"
    "  petit translate \"Good morning.\"\n"
    "  petit translate --from fr --to en \"Bonjour.\"\n"
    "  petit translate --beams 4 --file english.txt > french.txt\n"
    "  fortune | petit translate --model teacher\n"
    "  petit translate --sample --temperature 0.7 --seed 1 --alternatives 3 \"Good morning.\"\n"
    "  petit translate --split-paragraphs \"$(cat letter.txt)\"\n"
    "  petit translate --json --file english.txt | jq -r 'select(.finish_reason == \"LENGTH\") | .line'\n"
    "\n";

// One text whose result is not printed yet.
struct Pending {
  InputText text;
  bool blank = false;
};

client::TranslateOptions OptionsFor(const TranslateFlags& flags, std::string model) {
  return {.model = std::move(model),
          .source_language = flags.languages.from,
          .target_language = flags.languages.to,
          .prompt_override = flags.languages.prompt,
          .split_paragraphs = flags.split_paragraphs,
          .decoding = flags.decoding,
          .num_alternatives = flags.alternatives};
}

// Why a text is not to be sent; OK: it is.
absl::Status CheckText(const InputText& text) {
  if (!text.problem.ok()) return text.problem;
  if (const auto offset = FindInvalidUtf8(text.text)) {
    return absl::InvalidArgumentError(absl::StrCat("byte ", *offset + 1, " of the text is not valid UTF-8"));
  }
  return absl::OkStatus();
}

// The lines of the input through one stream.
absl::Status TranslateByStream(const client::Client& client, const client::TranslateOptions& options, int concurrency,
                               TranslateInput& input, TranslateOutput& output, const client::CallOptions& call) {
  std::mutex mutex;
  std::deque<Pending> pending;  // no longer than the stream's window
  absl::Status input_status;
  const client::TextSource source = [&]() -> std::optional<absl::StatusOr<std::string>> {
    absl::StatusOr<std::optional<InputText>> next = input.Next();
    if (!next.ok()) {
      input_status = next.status();
      return std::nullopt;
    }
    if (!*next) return std::nullopt;
    Pending item{.text = **std::move(next)};
    item.blank = item.text.problem.ok() && IsBlank(item.text.text);
    absl::StatusOr<std::string> result = item.text.text;
    if (absl::Status status = CheckText(item.text); !status.ok()) {
      result = status;
    } else if (item.blank) {
      result = absl::InvalidArgumentError("blank");  // keeps its place, asks nobody
    }
    const std::lock_guard lock(mutex);
    pending.push_back(std::move(item));
    return result;
  };
  const client::ResultSink sink = [&](std::int64_t /*index*/, const client::TextResult& result) {
    std::unique_lock lock(mutex);
    const Pending item = std::move(pending.front());
    pending.pop_front();
    lock.unlock();
    return item.blank ? output.Blank(item.text) : output.Result(item.text, result);
  };
  const absl::Status status = client.TranslateStream(
      options, {.max_in_flight = concurrency, .on_failure = [&] { input.Stop(); }}, source, sink, call);
  return status.ok() ? input_status : status;
}

// Codes that blame the texts of a call rather than the call.
bool BlamesTexts(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status);
}

// The lines of the input through one call for every `batch` of them.
absl::Status TranslateByCalls(const client::Client& client, const client::TranslateOptions& options, int batch,
                              TranslateInput& input, TranslateOutput& output, const client::CallOptions& call) {
  while (true) {
    std::vector<Pending> pending;
    std::vector<std::string> texts;
    bool at_end = false;
    while (!at_end && static_cast<int>(pending.size()) < batch) {
      absl::StatusOr<std::optional<InputText>> next = input.Next();
      if (!next.ok()) return next.status();
      at_end = !*next;
      if (at_end) break;
      Pending item{.text = **std::move(next)};
      item.text.problem = CheckText(item.text);
      item.blank = item.text.problem.ok() && IsBlank(item.text.text);
      if (item.text.problem.ok() && !item.blank) texts.push_back(item.text.text);
      pending.push_back(std::move(item));
    }
    absl::StatusOr<std::vector<client::TextResult>> results = client.Translate(texts, options, call);
    if (!results.ok()) {
      if (!BlamesTexts(results.status())) return results.status();
      results = std::vector<client::TextResult>(texts.size(), results.status());
    }
    std::size_t next_result = 0;
    for (const Pending& item : pending) {
      absl::Status status;
      if (item.blank) {
        status = output.Blank(item.text);
      } else if (!item.text.problem.ok()) {
        status = output.Result(item.text, item.text.problem);
      } else {
        status = output.Result(item.text, results->at(next_result++));
      }
      if (!status.ok()) return status;
    }
    if (at_end) return absl::OkStatus();
  }
}

int RunTranslate(const TranslateFlags& flags, Io& io) {
  absl::StatusOr<TranslateInput> input =
      flags.texts.empty() ? TranslateInput::OfFiles(flags.files, io) : TranslateInput::OfTexts(flags.texts);
  if (!input.ok()) return FailUsage(io, std::string(input.status().message()));
  const absl::StatusOr<client::Client> client = Connect(flags.common);
  if (!client.ok()) return FailUsage(io, std::string(client.status().message()));
  const absl::StatusOr<std::string> model = ChooseModel(*client, flags.model, flags.languages, io);
  if (!model.ok()) return Fail(io, model.status());
  const bool remarks = io.err_is_terminal && !flags.common.quiet;
  if (remarks && flags.model.empty()) *io.err << "petit: the model is " << *model << " (--model chooses another)\n";
  if (remarks && flags.texts.empty() && flags.files.empty() && io.in_is_terminal) {
    *io.err << "petit: each line that you type is translated; Ctrl-D ends\n";
  }
  Progress progress(*io.err, {.label = "translating",
                              .total = input->bytes(),
                              .enabled = remarks && !io.out_is_terminal && flags.texts.empty()});
  TranslateOutput output(io, progress,
                         {.json = flags.json,
                          .alternatives = flags.alternatives > 1,
                          .keep_line_breaks = !flags.texts.empty(),
                          .name_lines = flags.texts.empty(),
                          .name_files = flags.files.size() > 1});
  const client::TranslateOptions options = OptionsFor(flags, *model);
  // A single text gains nothing from a stream.
  const bool unary = flags.unary || flags.texts.size() == 1;
  const absl::Status status = unary
                                  ? TranslateByCalls(*client, options, flags.concurrency, *input, output, CallFor(io))
                                  : TranslateByStream(*client, options, flags.concurrency, *input, output, CallFor(io));
  progress.Wipe();
  if (output.broken_pipe()) return kExitBrokenPipe;
  if (io.cancellation != nullptr && io.cancellation->cancelled()) return Fail(io, absl::CancelledError(""));
  if (!status.ok()) return Fail(io, status);
  if (output.failed() > 0 && output.done() > 1) {
    *io.err << "petit: " << output.failed() << " of " << output.done() << " texts failed\n";
  }
  return output.failed() > 0 ? kExitTextsFailed : kExitOk;
}

}  // namespace

void AddTranslateCommand(CLI::App& app, Invocation& invocation) {
  const auto flags = std::make_shared<TranslateFlags>();
  client::DecodingOptions& decoding = flags->decoding;
  CLI::App& command = *app.add_subcommand("translate", kDescription);
  command.footer(std::string(kExamples) + kExitCodesHelp);
  auto* const texts = command.add_option("TEXT", flags->texts, "Texts to translate; none: --file or standard input");
  texts->type_name("");
  command.add_option("-f,--file", flags->files, "File of texts, one a line; - is standard input; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->excludes(texts);
  command.add_option("-m,--model", flags->model, "Model or version, as student/versions/2 (default: the first served)")
      ->envname("PETIT_MODEL")
      ->type_name("MODEL");
  AddLanguageFlags(command, flags->languages);
  command.add_flag("--split-paragraphs", flags->split_paragraphs,
                   "Translate paragraphs on their own, and keep line breaks");
  command.add_flag("--json", flags->json, "A JSON object a line, with scores, counts and times");
  command.add_flag("--unary", flags->unary, "A call for each --concurrency texts in place of a stream");
  command.add_option("--concurrency", flags->concurrency, "Texts in flight")
      ->type_name("N")
      ->check(Between(1, 1024))
      ->capture_default_str();

  const std::string group = "Decoding (default: what the server configures for the model)";
  const auto option = [&](const std::string& name, auto& value, const std::string& help) {
    return command.add_option(name, value, help)->group(group);
  };
  option("--max-new-tokens", decoding.max_new_tokens, "Longest translation, in tokens")
      ->type_name("N")
      ->check(AtLeast(1));
  option("--beams", decoding.num_beams, "Beam search with so many beams; 1 is greedy")
      ->type_name("N")
      ->check(AtLeast(1));
  option("--length-penalty", decoding.length_penalty, "Above 0 favours longer translations among the beams")
      ->type_name("X");
  option("--repetition-penalty", decoding.repetition_penalty, "Above 1 discourages tokens that were already used")
      ->type_name("X")
      ->check(Above(0));
  option("--no-repeat-ngram", decoding.no_repeat_ngram_size, "Forbid repeating any N tokens in a row")
      ->type_name("N")
      ->check(AtLeast(0));
  auto* const sample =
      command.add_flag("--sample", decoding.do_sample, "Draw tokens at random in place of the best")->group(group);
  option("--temperature", decoding.temperature, "Of sampling; below 1 is bolder in what is likely")
      ->type_name("X")
      ->check(Above(0))
      ->needs(sample);
  option("--top-k", decoding.top_k, "Sample among the K likeliest tokens; 0 is all")
      ->type_name("K")
      ->check(AtLeast(0))
      ->needs(sample);
  option("--top-p", decoding.top_p, "Sample among the likeliest tokens of together probability P")
      ->type_name("P")
      ->check(NumberThat([](double value) { return value > 0 && value <= 1; }, "above 0 and up to 1"))
      ->needs(sample);
  option("--seed", decoding.seed, "The same seed gives the same sample")->type_name("N")->needs(sample);
  option("--alternatives", flags->alternatives, "Print the N best: NUMBER<TAB>RANK<TAB>SCORE<TAB>TRANSLATION")
      ->type_name("N")
      ->check(AtLeast(1))
      ->capture_default_str();
  AddCommonFlags(command, flags->common);
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunTranslate(*flags, io); }; });
}

}  // namespace petit::cli
