// A request's bytes, from the wire to the sequences of a replica. The first byte chooses the request's type.
#include <algorithm>
#include <iterator>
#include <memory>

#include "grpcpp/support/byte_buffer.h"
#include "models/tokenizer/tokenizer.h"
#include "petit/v1/job.pb.h"
#include "petit/v1/translation.pb.h"
#include "server/rpc/message_io.h"
#include "server/rpc/translate_options.h"
#include "server/rpc/translate_request.h"
#include "server/rpc/wire_check.h"
#include "tests/fuzz/fuzz_model.h"
#include "tests/fuzz/quiet_protobuf.h"

using petit::fuzz::Check;

namespace petit::serving {
namespace {

constexpr int kMaxTexts = 8;

void CheckRefusal(const absl::Status& status) {
  Check(status.ok() || (absl::IsInvalidArgument(status) && !status.message().empty()),
        "a bad request is INVALID_ARGUMENT and says why", status.ToString());
}

// In two slices, as large messages come.
grpc::ByteBuffer ToBuffer(std::string_view wire) {
  const std::size_t half = wire.size() / 2;
  const grpc::Slice slices[] = {grpc::Slice(wire.data(), half), grpc::Slice(wire.data() + half, wire.size() - half)};
  return {slices, 2};
}

// Whether the bytes are a request of this type.
bool Parse(std::string_view wire, google::protobuf::Message* message) {
  const grpc::ByteBuffer buffer = ToBuffer(wire);
  Check(ToString(buffer) == wire, "bytes stay as they are");
  const absl::Status status = ParseMessage(buffer, message);
  CheckRefusal(status);
  std::unique_ptr<google::protobuf::Message> other(message->New());
  Check(other->ParseFromString(std::string(wire)) == status.ok(), "slices do not matter", status.ToString());
  if (status.ok()) return true;
  const WireProblem problem = FindWireProblem(wire, *message->GetDescriptor());
  Check(status.message() == problem.message, "the problem is found again");
  return false;
}

void Plan(const v1::TranslateOptions& options, const google::protobuf::RepeatedPtrField<std::string>& texts) {
  CheckRefusal(ParseModelReference(options.model()).status());
  const absl::StatusOr<TranslationPlan> plan = MakePlan(options, fuzz::TestModel(), {});
  CheckRefusal(plan.status());
  if (!plan.ok()) return;
  for (int i = 0; i < std::min(texts.size(), kMaxTexts); ++i) {
    const absl::StatusOr<PreparedText> text = PrepareText(*plan, {}, texts[i]);
    CheckRefusal(text.status());
    if (!text.ok()) continue;
    Check(!text->sources.empty(), "a good text has a source");
    for (const auto& source : text->sources) {
      Check(!source.empty() && source.size() <= static_cast<std::size_t>(plan->model->settings.max_source_tokens),
            "a source keeps to its bound");
    }
  }
}

void Translate(std::string_view wire) {
  v1::TranslateRequest request;
  if (Parse(wire, &request)) Plan(request.options(), request.texts());
}

// As StreamCall does: a text that is no UTF-8 is that text's problem alone.
void Stream(std::string_view wire) {
  v1::StreamTranslateRequest message;
  if (!Parse(wire, &message)) {
    if (FindWireProblem(wire, *message.GetDescriptor()).field != "text") return;
    const std::string rest = WithoutField(wire, v1::StreamTranslateRequest::kTextFieldNumber);
    if (!message.ParseFromString(rest)) return;
    Check(!message.has_text(), "the bad text is gone");
  }
  google::protobuf::RepeatedPtrField<std::string> texts;
  if (message.has_text()) *texts.Add() = message.text();
  Plan(message.options(), texts);
}

void Score(std::string_view wire) {
  v1::ScoreRequest request;
  if (!Parse(wire, &request)) return;
  const absl::StatusOr<std::string> prompt =
      ChoosePrompt(fuzz::TestModel()->settings, request.source_language(), request.target_language(),
                   request.has_prompt_override() ? &request.prompt_override() : nullptr, {});
  CheckRefusal(prompt.status());
  if (!prompt.ok()) return;
  for (int i = 0; i < std::min(request.pairs_size(), kMaxTexts); ++i) {
    CheckRefusal(EncodeSource(*fuzz::TestModel(), *prompt, {}, "source", request.pairs(i).source()).status());
  }
}

void CreateJob(std::string_view wire) {
  v1::CreateJobRequest request;
  Parse(wire, &request);
}

}  // namespace
}  // namespace petit::serving

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Target = void (*)(std::string_view wire);
  constexpr Target kTargets[] = {petit::serving::Translate, petit::serving::Stream, petit::serving::Score,
                                 petit::serving::CreateJob};
  if (size == 0) return 0;
  kTargets[data[0] % std::size(kTargets)](petit::fuzz::Text(data + 1, size - 1));
  return 0;
}
