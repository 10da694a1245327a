#include "client/eval/records.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/data/text.h"

namespace petit::eval {
namespace {

using Json = nlohmann::json;

Json ToJson(const absl::Status& status) {
  return {{"code", static_cast<int>(status.code())}, {"message", std::string(status.message())}};
}

absl::Status StatusFrom(const Json& json) {
  return {static_cast<absl::StatusCode>(json.at("code").get<int>()), json.at("message").get<std::string>()};
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <typename Record, typename Read>
absl::StatusOr<Record> Parse(const std::string& text, const Read& read) {
  try {
    const Json json = Json::parse(text);
    Record record;
    if (json.contains("error")) {
      if constexpr (requires { record.status; }) record.status = StatusFrom(json.at("error"));
    } else {
      read(json, record);
    }
    return record;
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrCat("damaged record '", text.substr(0, 80), "': ", error.what()));
  }
}

}  // namespace

Hypothesis ToHypothesis(const client::TextResult& result) {
  if (!result.ok()) return {.status = result.status()};
  return {.status = absl::OkStatus(),
          .text = data::OnOneLine(result->text),
          .truncated = result->finish_reason == client::FinishReason::kLength,
          .source_tokens = result->source_tokens,
          .unknown_source_tokens = result->unknown_source_tokens,
          .target_tokens = result->target_tokens};
}

bool IsPermanent(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsOutOfRange(status) || absl::IsUnimplemented(status);
}

std::string Format(const Hypothesis& hypothesis) {
  if (!hypothesis.status.ok()) return Dump({{"error", ToJson(hypothesis.status)}});
  return Dump({{"text", hypothesis.text},
               {"truncated", hypothesis.truncated},
               {"tokens", {hypothesis.source_tokens, hypothesis.unknown_source_tokens, hypothesis.target_tokens}}});
}

std::string Format(const Likelihood& likelihood) {
  if (!likelihood.status.ok()) return Dump({{"error", ToJson(likelihood.status)}});
  return Dump({{"tokens", likelihood.tokens}, {"nats", likelihood.nats}, {"divergence", likelihood.divergence}});
}

std::string Format(const TimedPass& pass) {
  return Dump({{"seconds", pass.seconds},
               {"texts", pass.texts},
               {"target_tokens", pass.target_tokens},
               {"latencies", pass.latencies},
               {"first_tokens", pass.first_tokens},
               {"idle", pass.idle}});
}

absl::StatusOr<Hypothesis> ParseHypothesis(const std::string& record) {
  return Parse<Hypothesis>(record, [](const Json& json, Hypothesis& hypothesis) {
    hypothesis.text = json.at("text").get<std::string>();
    hypothesis.truncated = json.at("truncated").get<bool>();
    hypothesis.source_tokens = json.at("tokens").at(0).get<std::int64_t>();
    hypothesis.unknown_source_tokens = json.at("tokens").at(1).get<std::int64_t>();
    hypothesis.target_tokens = json.at("tokens").at(2).get<std::int64_t>();
  });
}

absl::StatusOr<Likelihood> ParseLikelihood(const std::string& record) {
  return Parse<Likelihood>(record, [](const Json& json, Likelihood& likelihood) {
    likelihood.tokens = json.at("tokens").get<std::int64_t>();
    likelihood.nats = json.at("nats").get<double>();
    likelihood.divergence = json.at("divergence").get<double>();
  });
}

absl::StatusOr<TimedPass> ParseTimedPass(const std::string& record) {
  return Parse<TimedPass>(record, [](const Json& json, TimedPass& pass) {
    pass.seconds = json.at("seconds").get<double>();
    pass.texts = json.at("texts").get<std::int64_t>();
    pass.target_tokens = json.at("target_tokens").get<std::int64_t>();
    pass.latencies = json.at("latencies").get<std::vector<float>>();
    pass.first_tokens = json.at("first_tokens").get<std::vector<float>>();
    pass.idle = json.at("idle").get<bool>();
  });
}

}  // namespace petit::eval
