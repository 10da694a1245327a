#include "server/rpc/oip_request.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/rpc/translate_options.h"
#include "tests/unit/rpc/fake_models.h"

namespace petit::serving {
namespace {

using inference::ModelInferRequest;
using testing::ElementsAre;
using testing::HasSubstr;

ModelInferRequest Parse(const std::string& text) {
  ModelInferRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

constexpr char kTwoTexts[] = R"(
  model_name: "student"
  inputs { name: "text" datatype: "BYTES" shape: 2 contents { bytes_contents: "one" bytes_contents: "two" } }
)";

TEST(InferRequestTest, TypedContentsAndAllOutputs) {
  const auto read = ReadInferRequest(Parse(std::string(kTwoTexts) + R"(id: "7" model_version: "3")"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->translate.texts(), ElementsAre("one", "two"));
  EXPECT_EQ(read->translate.options().model(), "student/versions/3");
  EXPECT_THAT(read->reply.shape, ElementsAre(2));
  EXPECT_THAT(read->reply.outputs, ElementsAre(InferOutput::kTranslation, InferOutput::kScore,
                                               InferOutput::kTargetTokens, InferOutput::kFinishReason));
  EXPECT_EQ(read->reply.id, "7");
  EXPECT_FALSE(read->reply.raw);
}

TEST(InferRequestTest, RawContentsInColumnsAndTheOutputsAskedFor) {
  const auto read = ReadInferRequest(Parse(R"(
    model_name: "student"
    inputs { name: "target_language" datatype: "BYTES" shape: 2 shape: 1 }
    inputs { name: "text" datatype: "BYTES" shape: 2 shape: 1 }
    outputs { name: "finish_reason" }
    outputs { name: "translation" }
    raw_input_contents: "\002\000\000\000de\002\000\000\000de"
    raw_input_contents: "\003\000\000\000one\000\000\000\000"
  )"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->translate.texts(), ElementsAre("one", ""));
  EXPECT_EQ(read->translate.options().target_language(), "de");
  EXPECT_THAT(read->reply.shape, ElementsAre(2, 1));
  EXPECT_THAT(read->reply.outputs, ElementsAre(InferOutput::kFinishReason, InferOutput::kTranslation));
  EXPECT_TRUE(read->reply.raw);
}

TEST(InferRequestTest, ParametersAreTheOptionsOfTheirNames) {
  const auto read = ReadInferRequest(Parse(std::string(kTwoTexts) + R"(
    parameters { key: "max_new_tokens" value { int64_param: 12 } }
    parameters { key: "min_new_tokens" value { uint64_param: 2 } }
    parameters { key: "num_beams" value { int64_param: 4 } }
    parameters { key: "no_repeat_ngram_size" value { int64_param: 3 } }
    parameters { key: "top_k" value { int64_param: 7 } }
    parameters { key: "seed" value { uint64_param: 18446744073709551615 } }
    parameters { key: "length_penalty" value { double_param: 0.5 } }
    parameters { key: "repetition_penalty" value { double_param: 1.5 } }
    parameters { key: "temperature" value { int64_param: 2 } }
    parameters { key: "top_p" value { double_param: 0.25 } }
    parameters { key: "do_sample" value { bool_param: true } }
    parameters { key: "split_paragraphs" value { bool_param: true } }
    parameters { key: "early_stopping" value { string_param: "never" } }
    parameters { key: "source_language" value { string_param: "en" } }
    parameters { key: "target_language" value { string_param: "fr" } }
    parameters { key: "prompt_override" value { string_param: "" } }
  )"));
  ASSERT_TRUE(read.ok()) << read.status();
  v1::TranslateOptions expected;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    model: "student" source_language: "en" target_language: "fr" prompt_override: "" split_paragraphs: true
    decoding { max_new_tokens: 12 min_new_tokens: 2 num_beams: 4 no_repeat_ngram_size: 3 top_k: 7
      seed: 18446744073709551615 length_penalty: 0.5 repetition_penalty: 1.5 temperature: 2 top_p: 0.25
      do_sample: true early_stopping: EARLY_STOPPING_NEVER })",
                                                            &expected));
  EXPECT_EQ(read->translate.options().DebugString(), expected.DebugString());
}

TEST(InferRequestTest, BadRequestsSayWhatIsRight) {
  const std::string text = R"(inputs { name: "text" datatype: "BYTES" shape: 1 contents { bytes_contents: "a" } })";
  const auto parameter = [&text](const std::string& name, const std::string& value) {
    return text + "parameters { key: \"" + name + "\" value { " + value + " } }";
  };
  const struct {
    std::string request;
    const char* what;
  } cases[] = {
      {"", "there is no input \"text\"; it must be there"},
      {R"(inputs { name: "texts" datatype: "BYTES" })", "there is no input \"texts\"; there are text, source_language"},
      {text + text, "input \"text\" is there twice"},
      {R"(inputs { name: "text" datatype: "FP32" shape: 1 })", "has the datatype \"FP32\"; it must be BYTES"},
      {R"(inputs { name: "text" datatype: "BYTES" })", "has the shape []; it must be [N] or [N, 1]"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: -1 })", "has the shape [-1]; it must be"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 1 shape: 2 })", "has the shape [1, 2]; it must be"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 9223372036854775807 })",
       "has the shape [9223372036854775807], but 0 elements"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 1 contents { int_contents: 1 } })",
       "contents of another type"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 1 contents { bytes_contents: "\377" } })",
       "text[0]: byte 0 is not valid UTF-8"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 1
                   parameters { key: "shared_memory_region" value { string_param: "x" } } })",
       "has the parameter \"shared_memory_region\"; inputs take none"},
      {text + R"(raw_input_contents: "")", "has contents beside raw_input_contents"},
      {text + R"(raw_input_contents: "" raw_input_contents: "")", "raw_input_contents has 2 entries for 1 inputs"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 1 } raw_input_contents: "\001\000")",
       "end within the length of element 0"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 1 } raw_input_contents: "\377\377\377\377ab")",
       "element 0 has a length of 4294967295, but 2 bytes follow"},
      {R"(inputs { name: "text" datatype: "BYTES" shape: 2 } raw_input_contents: "\001\000\000\000a")",
       "has the shape [2], but 1 elements"},
      {text + R"(outputs { name: "text" })", "there is no output \"text\"; there are translation, score"},
      {text + R"(outputs { name: "score" } outputs { name: "score" })", "output \"score\" is asked for twice"},
      {text + R"(outputs { name: "score" parameters { key: "classification" value { int64_param: 1 } } })",
       "has the parameter \"classification\"; outputs take none"},
      {text + R"(model_version: "latest")", "the version is \"latest\"; it must be a number"},
      {text + R"(model_version: "-1")", "the version is \"-1\""},
      {parameter("beams", "int64_param: 2"), "there is no parameter \"beams\"; there are do_sample, early_stopping"},
      {parameter("num_beams", "double_param: 2"), "num_beams has a value of another kind; it must be an int64"},
      {parameter("num_beams", "int64_param: 2147483648"), "num_beams has a value"},
      {parameter("num_beams", "uint64_param: 18446744073709551615"), "num_beams has a value"},
      {parameter("num_beams", ""), "num_beams has a value"},
      {parameter("seed", "int64_param: -1"), "seed has a value"},
      {parameter("do_sample", "int64_param: 1"), "it must be a bool"},
      {parameter("early_stopping", "string_param: \"always\""), "or the string \"never\""},
      {parameter("target_language", "bool_param: true"), "it must be a string"},
      {parameter("target_language", "string_param: \"fr\"") +
           R"(inputs { name: "target_language" datatype: "BYTES" shape: 1 contents { bytes_contents: "fr" } })",
       "target_language is there as an input and as a parameter"},
      {text + R"(inputs { name: "source_language" datatype: "BYTES" shape: 2
                          contents { bytes_contents: "en" bytes_contents: "en" } })",
       "\"source_language\" has 2 elements; it must have 1, or one for each of the 1 texts"},
      {std::string(kTwoTexts) + R"(inputs { name: "source_language" datatype: "BYTES" shape: 2
                                            contents { bytes_contents: "en" bytes_contents: "de" } })",
       "has different elements; a request has one language pair"},
      {text + R"(inputs { name: "source_language" datatype: "BYTES" shape: 1 contents { bytes_contents: "\200" } })",
       "source_language[0]: byte 0 is not valid UTF-8"},
  };
  for (const auto& [request, what] : cases) {
    const absl::Status status = ReadInferRequest(Parse(request)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << request;
    EXPECT_THAT(std::string(status.message()), HasSubstr(what)) << request;
  }
}

TEST(InferRequestTest, AFloatBeyondAllFloatsIsLeftToTranslatesCheck) {
  const auto read =
      ReadInferRequest(Parse(std::string(kTwoTexts) + R"(parameters { key: "top_p" value { double_param: 1e300 } })"));
  ASSERT_TRUE(read.ok()) << read.status();
  const absl::Status status = ResolveDecoding(read->translate.options(), FakeSettings("student")).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("decoding.top_p is inf; it must be a finite number"));
}

TEST(InferLanguagesTest, TheFirstPairThatFitsCounts) {
  const ModelSettings settings = FakeSettings("student");  // en to fr, en to de
  const struct {
    const char* source;
    const char* target;
    const char* expected_source;
    const char* expected_target;
  } cases[] = {{"", "", "en", "fr"}, {"en", "", "en", "fr"}, {"", "de", "en", "de"}, {"fr", "", "fr", ""}};
  for (const auto& [source, target, expected_source, expected_target] : cases) {
    v1::TranslateOptions options;
    options.set_source_language(source);
    options.set_target_language(target);
    CompleteLanguages(settings, &options);
    EXPECT_EQ(options.source_language(), expected_source);
    EXPECT_EQ(options.target_language(), expected_target);
  }
}

TEST(InferLanguagesTest, AnOwnPromptNeedsNone) {
  v1::TranslateOptions options;
  options.set_prompt_override("");
  CompleteLanguages(FakeSettings("student"), &options);
  EXPECT_EQ(options.source_language(), "");
}

v1::TranslateResponse TwoTranslations() {
  v1::TranslateResponse response;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    results { translation { text: "un" score: -0.5 finish_reason: FINISH_REASON_EOS target_tokens: 2 model_version: 3 } }
    results { translation { text: "" score: -1 finish_reason: FINISH_REASON_LENGTH target_tokens: 258 } }
  )",
                                                            &response));
  return response;
}

const std::vector<InferOutput> kAllOutputs = {InferOutput::kTranslation, InferOutput::kScore,
                                              InferOutput::kTargetTokens, InferOutput::kFinishReason};

TEST(InferResponseTest, Typed) {
  const InferReply reply = {.id = "7", .model_name = "student", .shape = {2, 1}, .outputs = kAllOutputs, .raw = false};
  inference::ModelInferResponse expected;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    id: "7" model_name: "student" model_version: "3"
    outputs { name: "translation" datatype: "BYTES" shape: 2 shape: 1
              contents { bytes_contents: "un" bytes_contents: "" } }
    outputs { name: "score" datatype: "FP32" shape: 2 shape: 1 contents { fp32_contents: -0.5 fp32_contents: -1 } }
    outputs { name: "target_tokens" datatype: "INT32" shape: 2 shape: 1
              contents { int_contents: 2 int_contents: 258 } }
    outputs { name: "finish_reason" datatype: "BYTES" shape: 2 shape: 1
              contents { bytes_contents: "EOS" bytes_contents: "LENGTH" } })",
                                                            &expected));
  EXPECT_EQ(MakeInferResponse(reply, TwoTranslations()).DebugString(), expected.DebugString());
}

TEST(InferResponseTest, RawIsLittleEndianAndBytesHaveTheirLengths) {
  const InferReply reply = {.id = "", .model_name = "student", .shape = {2}, .outputs = kAllOutputs, .raw = true};
  const inference::ModelInferResponse response = MakeInferResponse(reply, TwoTranslations());
  EXPECT_THAT(response.raw_output_contents(),
              ElementsAre(std::string("\2\0\0\0un\0\0\0\0", 10), std::string("\0\0\0\xbf\0\0\x80\xbf", 8),
                          std::string("\2\0\0\0\2\1\0\0", 8), std::string("\3\0\0\0EOS\6\0\0\0LENGTH", 17)));
  for (const auto& output : response.outputs()) EXPECT_FALSE(output.has_contents());
}

}  // namespace
}  // namespace petit::serving
