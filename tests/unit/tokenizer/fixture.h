// Where the tokenizer tests find vocabularies, and a directory to break them in.
#ifndef PETIT_TESTS_UNIT_TOKENIZER_FIXTURE_H_
#define PETIT_TESTS_UNIT_TOKENIZER_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace petit::tokenizer {

inline std::string DemoModel() { return PETIT_SOURCE_DIR "/deploy/demo/models/teacher/spiece.model"; }
inline std::string SharedT5Model() { return PETIT_SHARED_DIR "/t5/spiece.model"; }

inline std::string ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A checkpoint directory of this test's own, removed at its end.
class Directory {
 public:
  Directory() {
    std::string name = testing::TempDir() + "petit-tokenizer-XXXXXX";
    path_ = mkdtemp(name.data()) != nullptr ? name : "";
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::string& path() const { return path_; }
  void WriteModel(const std::string& bytes) const { WriteFile(path_ + "/spiece.model", bytes); }
  void WriteConfig(const std::string& json) const { WriteFile(path_ + "/tokenizer_config.json", json); }

 private:
  std::string path_;
};

}  // namespace petit::tokenizer

#endif  // PETIT_TESTS_UNIT_TOKENIZER_FIXTURE_H_
