#include "client/cli/translate_output.h"

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text_io.h"

namespace petit::cli {
namespace {

using Json = nlohmann::ordered_json;

// Bytes that are not UTF-8 (a source line that was refused for them) become U+FFFD.
std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json ToJson(const client::Alternative& alternative) {
  return {{"text", alternative.text},
          {"score", alternative.score},
          {"finish_reason", client::FinishReasonName(alternative.finish_reason)},
          {"target_tokens", alternative.target_tokens}};
}

}  // namespace

absl::Status TranslateOutput::Blank(const InputText& text) {
  if (options_.json) {
    Json json;
    if (options_.name_files) json["file"] = text.file;
    json[options_.name_lines ? "line" : "number"] = text.number;
    json["source"] = text.text;
    json["translation"] = "";
    *io_.out << Dump(json) << "\n";
  } else if (!options_.alternatives) {
    *io_.out << "\n";
  }
  return EndText(text);
}

absl::Status TranslateOutput::Result(const InputText& text, const client::TextResult& result) {
  if (!result.ok()) {
    ++failed_;
    progress_.Wipe();
    *io_.err << "petit: " << (options_.name_files ? absl::StrCat(text.file, ": ") : "")
             << (options_.name_lines ? "line " : "text ") << text.number << ": " << Describe(result.status())
             << std::endl;
  }
  if (options_.json) {
    PrintJson(text, result);
  } else if (!result.ok()) {
    if (!options_.alternatives) *io_.out << "\n";
  } else if (!options_.alternatives) {
    *io_.out << (options_.keep_line_breaks ? result->text : OnOneLine(result->text)) << "\n";
  } else {
    int rank = 0;
    for (const client::Alternative& alternative : result->alternatives) {
      *io_.out << absl::StrFormat("%d\t%d\t%.4f\t%s\n", text.number, ++rank, alternative.score,
                                  OnOneLine(alternative.text));
    }
  }
  return EndText(text);
}

void TranslateOutput::PrintJson(const InputText& text, const client::TextResult& result) {
  Json json;
  if (options_.name_files) json["file"] = text.file;
  json[options_.name_lines ? "line" : "number"] = text.number;
  json["source"] = text.text;
  if (!result.ok()) {
    json["error"] = {{"code", absl::StatusCodeToString(result.status().code())},
                     {"message", std::string(result.status().message())}};
  } else {
    json["translation"] = result->text;
    json["score"] = result->score;
    json["finish_reason"] = client::FinishReasonName(result->finish_reason);
    json["source_tokens"] = result->source_tokens;
    json["target_tokens"] = result->target_tokens;
    json["unknown_source_tokens"] = result->unknown_source_tokens;
    for (const client::Alternative& alternative : result->alternatives) {
      json["alternatives"].push_back(ToJson(alternative));
    }
    json["model"] = result->model;
    json["model_version"] = result->model_version;
    json["model_digest"] = result->model_digest;
    json["seconds"] = {{"queue", absl::ToDoubleSeconds(result->timing.queue)},
                       {"encode", absl::ToDoubleSeconds(result->timing.encode)},
                       {"first_token", absl::ToDoubleSeconds(result->timing.first_token)},
                       {"total", absl::ToDoubleSeconds(result->timing.total)},
                       {"round_trip", absl::ToDoubleSeconds(result->round_trip)}};
  }
  *io_.out << Dump(json) << "\n";
}

absl::Status TranslateOutput::EndText(const InputText& text) {
  ++done_;
  bytes_ += text.bytes;
  io_.out->flush();  // a program that feeds a line waits for its translation
  progress_.Update(done_, bytes_);
  if (io_.out->good()) return absl::OkStatus();
  broken_pipe_ = true;
  return absl::AbortedError("nobody reads the output any more");
}

}  // namespace petit::cli
