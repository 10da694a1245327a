#include "client/data/pair_reader.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/input_file.h"
#include "client/data/json_fields.h"
#include "client/data/line_reader.h"
#include "client/data/text.h"

namespace petit::data {
namespace {

constexpr char kTooLong[] = "the line is longer than 1 MiB";

absl::Status At(const std::string& path, std::int64_t line, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": ", what));
}

absl::Status Check(const PairFiles& files) {
  const bool two = !files.source.empty() || !files.reference.empty();
  if (files.pairs.empty() != two || (two && (files.source.empty() || files.reference.empty()))) {
    return absl::InvalidArgumentError("a set is one file of pairs, or a file of sources and one of references");
  }
  if (two && files.format == PairFormat::kJsonl) {
    return absl::InvalidArgumentError("sources and references in two files are plain lines, not JSON Lines");
  }
  if (files.skip < 0 || files.take < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("skip is ", files.skip, " and take ", files.take, "; 0 or more is wanted"));
  }
  return absl::OkStatus();
}

bool IsJsonName(std::string_view path) {
  for (const std::string_view compression : {".gz", ".xz", ".zst", ".zstd"}) {
    if (!path.ends_with(compression)) continue;
    path.remove_suffix(compression.size());
    break;
  }
  return path.ends_with(".jsonl") || path.ends_with(".ndjson") || path.ends_with(".json");
}

std::vector<std::string> FieldNames(const std::string& wanted, const std::string& language,
                                    std::vector<std::string> usual) {
  if (!wanted.empty()) return {wanted};
  if (!language.empty()) usual.insert(usual.begin(), {"translation." + language, language});
  return usual;
}

absl::Status CheckSource(const std::string& source) {
  if (const auto offset = FindInvalidUtf8(source)) {
    return absl::InvalidArgumentError(absl::StrCat("byte ", *offset + 1, " of the source is not valid UTF-8"));
  }
  if (IsBlank(source)) return absl::InvalidArgumentError("the source is blank");
  return absl::OkStatus();
}

}  // namespace

// All pairs of the files, whichever are wanted.
class PairReader::Parser {
 public:
  static absl::StatusOr<std::unique_ptr<Parser>> Open(const PairFiles& files, const InputFileOptions& options);

  absl::StatusOr<std::optional<Pair>> Next();
  absl::StatusOr<std::vector<PairFileInfo>> Finish();

 private:
  struct Input {
    Input(std::string input_path, std::unique_ptr<InputFile> opened)
        : path(std::move(input_path)), file(std::move(opened)), lines([this] { return file->Read(); }) {}
    std::string path;
    std::unique_ptr<InputFile> file;
    LineReader lines;
  };

  static absl::StatusOr<std::unique_ptr<Input>> OpenInput(const std::string& path, const InputFileOptions& options);
  static absl::StatusOr<std::optional<Line>> NextLine(Input& input);
  absl::StatusOr<std::optional<Pair>> NextOfTwo();
  absl::StatusOr<Pair> ParseColumns(Line line) const;
  absl::StatusOr<Pair> ParseObject(const Line& line);

  std::unique_ptr<Input> first_;
  std::unique_ptr<Input> second_;       // null: the references are in the first
  std::unique_ptr<JsonFields> fields_;  // null: TSV
  bool swap_columns_ = false;
};

absl::StatusOr<std::unique_ptr<PairReader::Parser::Input>> PairReader::Parser::OpenInput(
    const std::string& path, const InputFileOptions& options) {
  absl::StatusOr<std::unique_ptr<InputFile>> file = InputFile::Open(path, options);
  if (!file.ok()) return file.status();
  return std::make_unique<Input>(path, *std::move(file));
}

absl::StatusOr<std::unique_ptr<PairReader::Parser>> PairReader::Parser::Open(const PairFiles& files,
                                                                             const InputFileOptions& options) {
  if (absl::Status status = Check(files); !status.ok()) return status;
  auto parser = std::make_unique<Parser>();
  const bool two = files.pairs.empty();
  absl::StatusOr<std::unique_ptr<Input>> first = OpenInput(two ? files.source : files.pairs, options);
  if (!first.ok()) return first.status();
  parser->first_ = *std::move(first);
  if (two) {
    absl::StatusOr<std::unique_ptr<Input>> second = OpenInput(files.reference, options);
    if (!second.ok()) return second.status();
    parser->second_ = *std::move(second);
  } else if (files.format == PairFormat::kJsonl || (files.format == PairFormat::kAuto && IsJsonName(files.pairs))) {
    parser->fields_ = std::make_unique<JsonFields>(
        FieldNames(files.source_field, files.source_language, {"source", "src"}),
        FieldNames(files.reference_field, files.target_language, {"target", "tgt", "reference", "ref"}));
  }
  parser->swap_columns_ = files.swap_columns;
  return parser;
}

// What no text holds is an error already here.
absl::StatusOr<std::optional<Line>> PairReader::Parser::NextLine(Input& input) {
  absl::StatusOr<std::optional<Line>> line = input.lines.Next();
  if (!line.ok() || !*line) return line;
  const std::string& text = (*line)->text;
  if ((*line)->number == 1 && (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))) {
    return At(input.path, 1, "the file is UTF-16; UTF-8 is wanted");
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    return At(input.path, (*line)->number, absl::StrCat("byte ", nul + 1, " is NUL; lines of UTF-8 text are wanted"));
  }
  return line;
}

absl::StatusOr<std::optional<Pair>> PairReader::Parser::Next() {
  absl::StatusOr<std::optional<Pair>> next = std::nullopt;
  if (second_ != nullptr) {
    next = NextOfTwo();
    if (!next.ok() || !*next) return next;
  } else {
    absl::StatusOr<std::optional<Line>> line = NextLine(*first_);
    if (!line.ok()) return line.status();
    if (!*line) return std::nullopt;
    if ((*line)->too_long) return At(first_->path, (*line)->number, kTooLong);
    absl::StatusOr<Pair> pair = fields_ == nullptr ? ParseColumns(**std::move(line)) : ParseObject(**line);
    if (!pair.ok()) return pair.status();
    next = *std::move(pair);
  }
  Pair& pair = **next;
  if (const auto offset = FindInvalidUtf8(pair.reference)) {
    return At(second_ == nullptr ? first_->path : second_->path, pair.line,
              absl::StrCat("byte ", *offset + 1, " of the reference is not valid UTF-8"));
  }
  if (pair.problem.ok()) pair.problem = CheckSource(pair.source);
  return next;
}

absl::StatusOr<Pair> PairReader::Parser::ParseColumns(Line line) const {
  const std::string wanted = swap_columns_ ? "REFERENCE<TAB>SOURCE is wanted" : "SOURCE<TAB>REFERENCE is wanted";
  const std::size_t tab = line.text.find('\t');
  if (tab == std::string::npos) return At(first_->path, line.number, "the line has no tab; " + wanted);
  std::string right = line.text.substr(tab + 1);
  if (right.find('\t') != std::string::npos) {
    return At(first_->path, line.number, "the line has more than one tab; " + wanted);
  }
  line.text.resize(tab);
  if (swap_columns_) std::swap(line.text, right);
  return Pair{.line = line.number, .source = std::move(line.text), .reference = std::move(right), .problem = {}};
}

absl::StatusOr<Pair> PairReader::Parser::ParseObject(const Line& line) {
  if (const auto offset = FindInvalidUtf8(line.text)) {
    return At(first_->path, line.number, absl::StrCat("byte ", *offset + 1, " of the line is not valid UTF-8"));
  }
  absl::StatusOr<TextFields> texts = fields_->Extract(line.text);
  if (!texts.ok()) return At(first_->path, line.number, std::string(texts.status().message()));
  for (const std::string* text : {&texts->source, &texts->reference}) {
    if (text->find('\0') != std::string::npos) return At(first_->path, line.number, "a text holds a NUL");
  }
  return Pair{
      .line = line.number, .source = std::move(texts->source), .reference = std::move(texts->reference), .problem = {}};
}

absl::StatusOr<std::optional<Pair>> PairReader::Parser::NextOfTwo() {
  absl::StatusOr<std::optional<Line>> line = NextLine(*first_);
  if (!line.ok()) return line.status();
  absl::StatusOr<std::optional<Line>> other = NextLine(*second_);
  if (!other.ok()) return other.status();
  if (line->has_value() != other->has_value()) {
    const Input& shorter = *line ? *second_ : *first_;
    const Input& longer = *line ? *first_ : *second_;
    return At(longer.path, *line ? (*line)->number : (*other)->number,
              absl::StrCat("has no counterpart: ", shorter.path, " ends a line before"));
  }
  if (!*line) return std::nullopt;
  if ((*other)->too_long) return At(second_->path, (*other)->number, kTooLong);
  Pair pair{.line = (*line)->number,
            .source = std::move((*line)->text),
            .reference = std::move((*other)->text),
            .problem = {}};
  if ((*line)->too_long) pair.problem = absl::InvalidArgumentError("the source is longer than 1 MiB");
  return pair;
}

absl::StatusOr<std::vector<PairFileInfo>> PairReader::Parser::Finish() {
  std::vector<PairFileInfo> files;
  for (Input* input : {first_.get(), second_.get()}) {
    if (input == nullptr) continue;
    absl::StatusOr<std::string> sha256 = input->file->Finish();
    if (!sha256.ok()) return sha256.status();
    files.push_back({.path = input->path, .sha256 = *std::move(sha256)});
  }
  return files;
}

PairReader::PairReader(std::unique_ptr<Parser> parser) : parser_(std::move(parser)) {}
PairReader::PairReader(PairReader&&) noexcept = default;
PairReader& PairReader::operator=(PairReader&&) noexcept = default;
PairReader::~PairReader() = default;

absl::StatusOr<PairReader> PairReader::Open(const PairFiles& files, int interrupt_fd) {
  absl::StatusOr<std::unique_ptr<Parser>> parser = Parser::Open(files, {.interrupt_fd = interrupt_fd, .digest = false});
  if (!parser.ok()) return parser.status();
  PairReader reader(*std::move(parser));
  reader.skip_ = files.skip;
  reader.take_ = files.take;
  return reader;
}

absl::StatusOr<std::optional<Pair>> PairReader::Next() {
  if (take_ > 0 && taken_ == take_) return std::nullopt;
  while (true) {
    absl::StatusOr<std::optional<Pair>> pair = parser_->Next();
    if (!pair.ok() || !*pair) return pair;
    if (skip_ > 0) {
      --skip_;
      continue;
    }
    ++taken_;
    return pair;
  }
}

// InspectPairs, which looks at all pairs.
class PairInspection {
 public:
  static absl::StatusOr<PairSetInfo> Run(const PairFiles& files, int interrupt_fd) {
    auto parser = PairReader::Parser::Open(files, {.interrupt_fd = interrupt_fd, .digest = true});
    if (!parser.ok()) return parser.status();
    PairSetInfo info;
    while (true) {
      const absl::StatusOr<std::optional<Pair>> pair = (*parser)->Next();
      if (!pair.ok()) return pair.status();
      if (!*pair) break;
      ++info.pairs_there;
    }
    absl::StatusOr<std::vector<PairFileInfo>> digests = (*parser)->Finish();
    if (!digests.ok()) return digests.status();
    info.files = *std::move(digests);
    return info;
  }
};

absl::StatusOr<PairSetInfo> InspectPairs(const PairFiles& files, int interrupt_fd) {
  for (const std::string& path : {files.pairs, files.source, files.reference}) {
    std::error_code failure;
    const auto status = std::filesystem::status(path, failure);
    if (path == "-" || (std::filesystem::exists(status) && std::filesystem::is_other(status))) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " is not a regular file; a set is read several times, so save it first"));
    }
  }
  absl::StatusOr<PairSetInfo> info = PairInspection::Run(files, interrupt_fd);
  if (!info.ok()) return info;
  const std::string& name = info->files.front().path;
  if (info->pairs_there == 0) return absl::InvalidArgumentError(absl::StrCat(name, " holds no pairs"));
  info->pairs = info->pairs_there - std::min(files.skip, info->pairs_there);
  if (info->pairs == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " holds ", info->pairs_there, " pairs; none is left after the first ", files.skip));
  }
  if (files.take > 0) info->pairs = std::min(info->pairs, files.take);
  return info;
}

}  // namespace petit::data
