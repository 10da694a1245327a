#include "server/rpc/oip_request.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "models/tokenizer/tokenizer.h"
#include "server/printable.h"
#include "server/rpc/oip_parameters.h"
#include "server/rpc/oip_tensors.h"

namespace petit::serving {
namespace {

using inference::ModelInferRequest;

constexpr char kText[] = "text";
constexpr char kSource[] = "source_language";
constexpr char kTarget[] = "target_language";

constexpr std::array<InferTensor, 3> kInputs = {{{kText, "BYTES"}, {kSource, "BYTES"}, {kTarget, "BYTES"}}};
constexpr std::array<InferTensor, 4> kOutputs = {
    {{"translation", "BYTES"}, {"score", "FP32"}, {"target_tokens", "INT32"}, {"finish_reason", "BYTES"}}};

std::string Named(absl::string_view what, const std::string& name) {
  return absl::StrCat(what, " \"", Printable(name, 64), "\"");
}

absl::Status CheckUtf8(absl::string_view input, std::size_t index, std::string_view value) {
  const std::ptrdiff_t bad = tokenizer::FirstInvalidUtf8(value);
  if (bad < 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(input, "[", index, "]: byte ", bad, " is not valid UTF-8; ", input, " must be UTF-8"));
}

// Indices of the known inputs in the request; -1: not there.
absl::StatusOr<std::array<int, kInputs.size()>> FindInputs(const ModelInferRequest& request) {
  std::array<int, kInputs.size()> found;
  found.fill(-1);
  for (int i = 0; i < request.inputs_size(); ++i) {
    const std::string& name = request.inputs(i).name();
    const auto* known = std::find_if(kInputs.begin(), kInputs.end(),
                                     [&name](const InferTensor& candidate) { return name == candidate.name; });
    if (known == kInputs.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no ", Named("input", name), "; there are ", kText, ", ", kSource, " and ", kTarget));
    }
    int& index = found[known - kInputs.begin()];
    if (index >= 0) return absl::InvalidArgumentError(absl::StrCat(Named("input", name), " is there twice"));
    index = i;
  }
  if (found[0] < 0) {
    return absl::InvalidArgumentError("there is no input \"text\"; it must be there, BYTES of shape [N] or [N, 1]");
  }
  return found;
}

// The one language of an input that may say it for each text.
absl::Status ReadLanguage(const ModelInferRequest& request, int index, std::size_t texts, std::string* language) {
  if (index < 0) return absl::OkStatus();
  const std::string& name = request.inputs(index).name();
  const absl::StatusOr<std::vector<std::string_view>> elements = ReadBytesInput(request, index);
  if (!elements.ok()) return elements.status();
  if (!language->empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is there as an input and as a parameter; give one"));
  }
  if (elements->empty() || (elements->size() != 1 && elements->size() != texts)) {
    return absl::InvalidArgumentError(absl::StrCat("input \"", name, "\" has ", elements->size(),
                                                   " elements; it must have 1, or one for each of the ", texts,
                                                   " texts"));
  }
  const std::string_view first = elements->front();
  if (!std::all_of(elements->begin(), elements->end(), [&](std::string_view element) { return element == first; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("input \"", name,
                     "\" has different elements; a request has one language pair, so send a request "
                     "for each"));
  }
  if (absl::Status status = CheckUtf8(name, 0, first); !status.ok()) return status;
  *language = first;
  return absl::OkStatus();
}

absl::Status ReadInputs(const ModelInferRequest& request, InferRequest* result) {
  const auto found = FindInputs(request);
  if (!found.ok()) return found.status();
  const auto [text, source, target] = *found;
  const absl::StatusOr<std::vector<std::string_view>> texts = ReadBytesInput(request, text);
  if (!texts.ok()) return texts.status();
  for (std::size_t i = 0; i < texts->size(); ++i) {
    if (absl::Status status = CheckUtf8(kText, i, (*texts)[i]); !status.ok()) return status;
    result->translate.add_texts(std::string((*texts)[i]));
  }
  const auto& shape = request.inputs(text).shape();
  result->reply.shape.assign(shape.begin(), shape.end());
  v1::TranslateOptions* options = result->translate.mutable_options();
  if (absl::Status status = ReadLanguage(request, source, texts->size(), options->mutable_source_language());
      !status.ok()) {
    return status;
  }
  return ReadLanguage(request, target, texts->size(), options->mutable_target_language());
}

absl::Status ReadOutputs(const ModelInferRequest& request, std::vector<InferOutput>* outputs) {
  for (const auto& wanted : request.outputs()) {
    const auto* known = std::find_if(kOutputs.begin(), kOutputs.end(), [&wanted](const InferTensor& candidate) {
      return wanted.name() == candidate.name;
    });
    if (known == kOutputs.end()) {
      return absl::InvalidArgumentError(absl::StrCat("there is no ", Named("output", wanted.name()),
                                                     "; there are translation, score, target_tokens and "
                                                     "finish_reason"));
    }
    if (!wanted.parameters().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(Named("output", wanted.name()), " has the ",
                                                     Named("parameter", wanted.parameters().begin()->first),
                                                     "; outputs take none"));
    }
    const auto output = static_cast<InferOutput>(known - kOutputs.begin());
    if (std::find(outputs->begin(), outputs->end(), output) != outputs->end()) {
      return absl::InvalidArgumentError(absl::StrCat(Named("output", wanted.name()), " is asked for twice"));
    }
    outputs->push_back(output);
  }
  if (outputs->empty()) {
    *outputs = {InferOutput::kTranslation, InferOutput::kScore, InferOutput::kTargetTokens, InferOutput::kFinishReason};
  }
  return absl::OkStatus();
}

// One value of each translation.
template <class Value, class Get>
std::vector<Value> Column(const v1::TranslateResponse& response, Get get) {
  std::vector<Value> values;
  values.reserve(response.results_size());
  for (const v1::TranslationResult& result : response.results()) values.push_back(get(result.translation()));
  return values;
}

}  // namespace

absl::Span<const InferTensor> InferInputs() { return kInputs; }

absl::Span<const InferTensor> InferOutputs() { return kOutputs; }

absl::StatusOr<std::string> InferModelReference(const std::string& name, const std::string& version) {
  if (version.empty()) return name;
  std::int64_t number = 0;
  const bool digits = version.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || !absl::SimpleAtoi(version, &number) || number <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the version is \"", Printable(version, 64),
                     "\"; it must be a number of 1 or more, or empty for the served one"));
  }
  return name.empty() ? name : absl::StrCat(name, "/versions/", number);
}

absl::StatusOr<InferRequest> ReadInferRequest(const ModelInferRequest& request) {
  InferRequest result;
  absl::StatusOr<std::string> model = InferModelReference(request.model_name(), request.model_version());
  if (!model.ok()) return model.status();
  v1::TranslateOptions* options = result.translate.mutable_options();
  options->set_model(*std::move(model));
  result.reply.id = request.id();
  result.reply.model_name = request.model_name();
  result.reply.raw = !request.raw_input_contents().empty();
  if (absl::Status status = ReadInferParameters(request, options); !status.ok()) return status;
  if (absl::Status status = ReadInputs(request, &result); !status.ok()) return status;
  if (absl::Status status = ReadOutputs(request, &result.reply.outputs); !status.ok()) return status;
  return result;
}

void CompleteLanguages(const ModelSettings& settings, v1::TranslateOptions* options) {
  if (options->has_prompt_override()) return;
  const auto fits = [options](const Prompt& prompt) {
    return (options->source_language().empty() || options->source_language() == prompt.source_language) &&
           (options->target_language().empty() || options->target_language() == prompt.target_language);
  };
  const auto found = std::find_if(settings.prompts.begin(), settings.prompts.end(), fits);
  if (found == settings.prompts.end()) return;
  options->set_source_language(found->source_language);
  options->set_target_language(found->target_language);
}

inference::ModelInferResponse MakeInferResponse(const InferReply& reply, const v1::TranslateResponse& response) {
  inference::ModelInferResponse made;
  made.set_id(reply.id);
  made.set_model_name(reply.model_name);
  made.set_model_version(absl::StrCat(response.results(0).translation().model_version()));
  OutputWriter writer(reply.raw, reply.shape, &made);
  for (const InferOutput output : reply.outputs) {
    const std::string name = kOutputs[static_cast<std::size_t>(output)].name;
    using v1::Translation;
    switch (output) {
      case InferOutput::kTranslation:
        writer.AddBytes(name, Column<std::string>(response, [](const Translation& from) { return from.text(); }));
        break;
      case InferOutput::kScore:
        writer.AddFp32(name, Column<float>(response, [](const Translation& from) { return from.score(); }));
        break;
      case InferOutput::kTargetTokens:
        writer.AddInt32(name,
                        Column<std::int32_t>(response, [](const Translation& from) { return from.target_tokens(); }));
        break;
      case InferOutput::kFinishReason:
        writer.AddBytes(name, Column<std::string>(response, [](const Translation& from) {
                          return std::string(from.finish_reason() == v1::FINISH_REASON_EOS ? "EOS" : "LENGTH");
                        }));
        break;
    }
  }
  return made;
}

}  // namespace petit::serving
