#include "models/tokenizer/model.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "models/tokenizer/charsmap.h"
#include "models/tokenizer/tokenizer.h"
#include "models/tokenizer/utf8.h"

namespace petit::tokenizer {
namespace {

using Processor = sentencepiece::SentencePieceProcessor;

constexpr std::uintmax_t kMaxFileBytes = 256ULL << 20;
constexpr std::string_view kUnderline = "\xe2\x96\x81";

// ModelProto { normalizer_spec { add_dummy_prefix: false } }: appended to a serialized message, it is merged into it.
constexpr std::string_view kNoDummyPrefix("\x1a\x02\x18\x00", 4);

bool ReadFile(const std::string& path, std::string* bytes, std::string* error) {
  std::error_code failure;
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  if (failure) {
    *error = failure.message();
    return false;
  }
  if (size == 0 || size > kMaxFileBytes) {
    *error = "has " + std::to_string(size) + " bytes, a SentencePiece model has 1 to " + std::to_string(kMaxFileBytes);
    return false;
  }
  std::ifstream stream(path, std::ios::binary);
  bytes->assign(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  if (stream.bad() || bytes->size() != size) {
    *error = "cannot be read";
    return false;
  }
  return true;
}

bool CheckSpecialIds(const Processor& processor, std::string* error) {
  const int pieces = processor.GetPieceSize();
  if (pieces <= 0) {
    *error = "has no pieces";
    return false;
  }
  const std::pair<const char*, int> special[] = {
      {"pad", processor.pad_id()}, {"eos", processor.eos_id()}, {"unk", processor.unk_id()}};
  for (const auto& [name, id] : special) {
    if (id < 0 || id >= pieces) {
      *error = std::string("has no ") + name + " piece: T5 needs pad, eos and unk";
      return false;
    }
  }
  if (special[0].second == special[1].second || special[1].second == special[2].second ||
      special[0].second == special[2].second) {
    *error = "gives two of pad, eos and unk the same id";
    return false;
  }
  if (!processor.IsControl(processor.eos_id()) || !processor.IsControl(processor.pad_id())) {
    *error = "has a pad or eos piece that is no control symbol: text could produce it";
    return false;
  }
  return true;
}

bool CheckPieces(const Processor& processor, std::string* error) {
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const std::string& piece = processor.IdToPiece(id);
    const std::string where = "piece " + std::to_string(id);
    if (piece.empty() || FirstInvalidUtf8(piece) >= 0) {
      *error = where + " is not UTF-8 text";
      return false;
    }
    if (!std::isfinite(processor.GetScore(id))) {
      *error = where + " has a score that is not finite";
      return false;
    }
    if (processor.PieceToId(piece) != id) {
      *error = where + " is not found by its text";
      return false;
    }
  }
  return true;
}

// Words of the model's own vocabulary, spread over it, so that any language's model has some.
std::string ProbeText(const Processor& processor) {
  constexpr int kWords = 64;
  const int pieces = processor.GetPieceSize();
  const int stride = pieces / kWords > 0 ? pieces / kWords : 1;
  std::string text;
  for (int id = 0; id < pieces; id += stride) {
    const std::string& piece = processor.IdToPiece(id);
    const bool plain =
        !processor.IsControl(id) && !processor.IsUnknown(id) && !processor.IsUnused(id) && !processor.IsByte(id);
    if (!plain || !piece.starts_with(kUnderline) || piece.size() == kUnderline.size()) continue;
    if (!text.empty()) text += ' ';
    text += piece.substr(kUnderline.size());
  }
  return text;
}

bool RoundTrip(const Processor& processor, std::string_view text, bool must_return, std::string* error) {
  std::vector<int> ids;
  if (const auto status = processor.Encode(text, &ids); !status.ok()) {
    *error = "does not encode a probe: " + status.ToString();
    return false;
  }
  for (const int id : ids) {
    if (id < 0 || id >= processor.GetPieceSize()) {
      *error = "encodes a probe to id " + std::to_string(id) + ", it has ids 0 to " +
               std::to_string(processor.GetPieceSize() - 1);
      return false;
    }
  }
  std::string decoded;
  if (const auto status = processor.Decode(ids, &decoded); !status.ok()) {
    *error = "does not decode a probe: " + status.ToString();
    return false;
  }
  if (must_return && Strip(decoded) != text) {
    *error = "does not decode a probe made of its own pieces to itself";
    return false;
  }
  return true;
}

bool Probe(const Processor& processor, std::string* error) {
  if (!CheckSpecialIds(processor, error) || !CheckPieces(processor, error)) return false;
  const std::string own = ProbeText(processor);
  if (own.empty()) {
    *error = "has no piece that begins a word";
    return false;
  }
  // Beside its own words: what makes the normalizer and the unknown piece work.
  return RoundTrip(processor, own, true, error) &&
         RoundTrip(processor, "  L'\xc3\xa9t\xc3\xa9 \xef\xac\x81n,\t12.5\xc2\xa0% \xed\x95\x9c\xea\xb5\xad {x}\n",
                   false, error);
}

}  // namespace

bool LoadModel(const std::string& path, bool add_dummy_prefix, Processor* processor, std::string* error) {
  std::string bytes;
  if (!ReadFile(path, &bytes, error)) return false;
  if (!CheckCharsmaps(bytes, error)) return false;
  if (!add_dummy_prefix) bytes += kNoDummyPrefix;
  if (const auto status = processor->LoadFromSerializedProto(bytes); !status.ok()) {
    *error = "is not a SentencePiece model: " + status.ToString();
    return false;
  }
  return Probe(*processor, error);
}

}  // namespace petit::tokenizer
