// A ModelInfer request's bytes, from the wire to a plan and to an answer of its shape.
#include <algorithm>
#include <string>

#include "models/tokenizer/tokenizer.h"
#include "server/rpc/oip_request.h"
#include "server/rpc/translate_options.h"
#include "server/rpc/wire_check.h"
#include "tests/fuzz/fuzz_model.h"
#include "tests/fuzz/quiet_protobuf.h"

using petit::fuzz::Check;

namespace petit::serving {
namespace {

void CheckRefusal(const absl::Status& status) {
  Check(status.ok() || (absl::IsInvalidArgument(status) && !status.message().empty()),
        "a bad request is INVALID_ARGUMENT and says why", status.ToString());
}

void Infer(const inference::ModelInferRequest& message) {
  absl::StatusOr<InferRequest> request = ReadInferRequest(message);
  CheckRefusal(request.status());
  if (!request.ok()) return;
  v1::TranslateResponse response;
  for (const std::string& text : request->translate.texts()) {
    Check(tokenizer::FirstInvalidUtf8(text) < 0, "texts are UTF-8");
    response.add_results()->mutable_translation()->set_text(text);
  }
  CompleteLanguages(fuzz::TestModel()->settings, request->translate.mutable_options());
  CheckRefusal(MakePlan(request->translate.options(), fuzz::TestModel(), {}).status());
  if (response.results().empty()) return;  // Translate refuses it
  const inference::ModelInferResponse answer = MakeInferResponse(request->reply, response);
  Check(answer.outputs_size() == static_cast<int>(request->reply.outputs.size()), "every output is answered");
  Check(answer.raw_output_contents_size() == (request->reply.raw ? answer.outputs_size() : 0), "raw to raw");
  // The translations are the texts: an answer can be read as its request was.
  for (int i = 0; i < answer.outputs_size(); ++i) {
    if (answer.outputs(i).name() != "translation") continue;
    inference::ModelInferRequest echo;
    auto* input = echo.add_inputs();
    input->set_name("text");
    input->set_datatype(answer.outputs(i).datatype());
    *input->mutable_shape() = answer.outputs(i).shape();
    if (request->reply.raw) {
      echo.add_raw_input_contents(answer.raw_output_contents(i));
    } else {
      *input->mutable_contents() = answer.outputs(i).contents();
    }
    const absl::StatusOr<InferRequest> again = ReadInferRequest(echo);
    Check(again.ok(), "an answer's tensor is well formed", again.status().ToString());
    Check(std::equal(again->translate.texts().begin(), again->translate.texts().end(),
                     request->translate.texts().begin(), request->translate.texts().end()),
          "and holds the translations");
  }
}

}  // namespace
}  // namespace petit::serving

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  inference::ModelInferRequest message;
  const std::string wire(petit::fuzz::Text(data, size));
  if (message.ParseFromString(wire)) {
    petit::serving::Infer(message);
  } else {
    Check(!petit::serving::FindWireProblem(wire, *message.GetDescriptor()).message.empty(), "a problem is named");
  }
  return 0;
}
