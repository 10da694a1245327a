// tokenizer_config.json, as far as T5's tokenizer heeds it. Internal to the tokenizer's library.
#ifndef PETIT_MODELS_TOKENIZER_CONFIG_H_
#define PETIT_MODELS_TOKENIZER_CONFIG_H_

#include <string>

namespace petit::tokenizer {

struct Config {
  int extra_ids = 100;  // sentinels after the last piece
  // Every stretch between special tokens begins with a space of its own, as before transformers 4.33.
  bool legacy = true;
  bool clean_up_tokenization_spaces = false;
};

// Reads DIRECTORY/tokenizer_config.json; a file that is not there leaves the defaults. False on failure, with `error`
// naming the file, the field and what was expected.
bool ReadConfig(const std::string& directory, Config* config, std::string* error);

}  // namespace petit::tokenizer

#endif  // PETIT_MODELS_TOKENIZER_CONFIG_H_
