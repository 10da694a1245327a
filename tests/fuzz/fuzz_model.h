// A model for requests to be checked against: settings and a tokenizer, and nothing that could run it.
#ifndef PETIT_TESTS_FUZZ_FUZZ_MODEL_H_
#define PETIT_TESTS_FUZZ_FUZZ_MODEL_H_

#include <memory>
#include <string>
#include <utility>

#include "models/tokenizer/tokenizer.h"
#include "server/registry/registry.h"
#include "tests/fuzz/fuzz.h"

namespace petit::fuzz {

inline serving::ModelHandle TestModel() {
  static const serving::ModelHandle& handle = *[] {
    auto model = std::make_shared<serving::ServedModel>();
    model->settings.name = "student";
    model->settings.prompts = {{.source_language = "en", .target_language = "fr", .prefix = "to French: "},
                               {.source_language = "en", .target_language = "de", .prefix = ""}};
    model->version = 1;
    std::string error;
    model->tokenizer = tokenizer::Tokenizer::Load(PETIT_SOURCE_DIR "/tests/data/tiny/v1_1", &error);
    Check(model->tokenizer != nullptr, "the tests' tokenizer loads", error);
    return new serving::ModelHandle(std::move(model));
  }();
  return handle;
}

}  // namespace petit::fuzz

#endif  // PETIT_TESTS_FUZZ_FUZZ_MODEL_H_
