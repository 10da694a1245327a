#include "client/data/corpus.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/data/csv_reader.h"
#include "client/data/input_file.h"
#include "client/data/json_fields.h"
#include "client/data/line_reader.h"
#include "client/data/text.h"

namespace petit::data {
namespace {

constexpr char kReportOrder[] = "the export's order, which is that of the report's split";

absl::Status At(const std::string& path, std::int64_t line, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": ", what));
}

absl::StatusOr<CorpusFormat> FormatOf(const ImportOptions& options) {
  if (options.format != CorpusFormat::kAuto) return options.format;
  std::string_view name = options.file;
  for (const std::string_view compression : {".gz", ".xz", ".zst", ".zstd"}) {
    if (!name.ends_with(compression)) continue;
    name.remove_suffix(compression.size());
    break;
  }
  if (name.ends_with(".csv")) return CorpusFormat::kCsv;
  for (const std::string_view suffix : {".jsonl", ".ndjson", ".json"}) {
    if (name.ends_with(suffix)) return CorpusFormat::kJsonl;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      options.file,
      " is named neither .jsonl nor .csv (nor one of them with .gz, .xz or .zst); name its format, jsonl or csv"));
}

absl::Status AddJsonLines(const ImportOptions& options, InputFile& file, SetWriter& writer) {
  JsonFields fields(options.source_field.empty() ? std::vector<std::string>{"en", "translation.en"}
                                                 : std::vector{options.source_field},
                    options.target_field.empty() ? std::vector<std::string>{"fr", "translation.fr"}
                                                 : std::vector{options.target_field});
  LineReader lines([&file] { return file.Read(); });
  while (true) {
    const absl::StatusOr<std::optional<Line>> line = lines.Next();
    if (!line.ok()) return line.status();
    if (!*line) return absl::OkStatus();
    if ((*line)->too_long) return At(options.file, (*line)->number, "the line is longer than 1 MiB");
    if (const auto offset = FindInvalidUtf8((*line)->text)) {
      return At(options.file, (*line)->number, absl::StrCat("byte ", *offset + 1, " of the line is not valid UTF-8"));
    }
    absl::StatusOr<TextFields> texts = fields.Extract((*line)->text);
    if (!texts.ok()) return At(options.file, (*line)->number, std::string(texts.status().message()));
    absl::Status status = writer.Add(std::move(texts->source), std::move(texts->reference));
    if (!status.ok()) return status;
  }
}

absl::StatusOr<std::size_t> FindColumn(const std::string& path, const CsvRecord& header, const std::string& name) {
  const auto found = std::find(header.fields.begin(), header.fields.end(), name);
  if (found == header.fields.end()) {
    return At(path, header.line,
              absl::StrCat("the first line, which names the columns, has no \"", name, "\"; it has \"",
                           absl::StrJoin(header.fields, "\", \""), "\""));
  }
  return static_cast<std::size_t>(found - header.fields.begin());
}

absl::Status AddCsv(const ImportOptions& options, InputFile& file, SetWriter& writer) {
  CsvReader records(options.file, [&file] { return file.Read(); });
  const absl::StatusOr<std::optional<CsvRecord>> header = records.Next();
  if (!header.ok()) return header.status();
  if (!*header) return absl::InvalidArgumentError(absl::StrCat(options.file, " is empty"));
  const auto source = FindColumn(options.file, **header, options.source_field.empty() ? "en" : options.source_field);
  if (!source.ok()) return source.status();
  const auto target = FindColumn(options.file, **header, options.target_field.empty() ? "fr" : options.target_field);
  if (!target.ok()) return target.status();
  while (true) {
    absl::StatusOr<std::optional<CsvRecord>> record = records.Next();
    if (!record.ok()) return record.status();
    if (!*record) return absl::OkStatus();
    std::vector<std::string>& fields = (*record)->fields;
    if (fields.size() != (*header)->fields.size()) {
      return At(options.file, (*record)->line,
                absl::StrCat("there are ", fields.size(), " fields; the first line has ", (*header)->fields.size()));
    }
    for (const std::size_t column : {*source, *target}) {
      if (FindInvalidUtf8(fields[column])) {
        return At(options.file, (*record)->line,
                  absl::StrCat("the field \"", (*header)->fields[column], "\" is not valid UTF-8"));
      }
    }
    // Copied, for both may be one column's.
    absl::Status status = writer.Add(fields[*source], fields[*target]);
    if (!status.ok()) return status;
  }
}

}  // namespace

absl::StatusOr<WrittenSets> ImportCorpus(const ImportOptions& options) {
  const absl::StatusOr<CorpusFormat> format = FormatOf(options);
  if (!format.ok()) return format.status();
  absl::StatusOr<std::unique_ptr<InputFile>> file =
      InputFile::Open(options.file, {.interrupt_fd = options.interrupt_fd, .digest = true});
  if (!file.ok()) return file.status();
  absl::StatusOr<std::unique_ptr<SetWriter>> writer = SetWriter::Open(options.out_dir, options.split);
  if (!writer.ok()) return writer.status();
  const bool csv = *format == CorpusFormat::kCsv;
  absl::Status status = csv ? AddCsv(options, **file, **writer) : AddJsonLines(options, **file, **writer);
  if (!status.ok()) return status;
  absl::StatusOr<std::string> sha256 = (*file)->Finish();
  if (!sha256.ok()) return sha256.status();
  return (*writer)->Finish({.name = std::filesystem::path(options.file).filename().string(),
                            .url = "",
                            .sha256 = *std::move(sha256),
                            .order = kReportOrder,
                            .options = {{"format", csv ? "CSV" : "JSON Lines"},
                                        {"source_field", options.source_field.empty() ? "en" : options.source_field},
                                        {"target_field", options.target_field.empty() ? "fr" : options.target_field}}});
}

}  // namespace petit::data
