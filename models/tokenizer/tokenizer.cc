#include "models/tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <filesystem>
#include <utility>

#include "models/tokenizer/config.h"
#include "models/tokenizer/model.h"
#include "models/tokenizer/utf8.h"
#include "sentencepiece_processor.h"

namespace petit::tokenizer {
namespace {

constexpr std::string_view kUnderline = "\xe2\x96\x81";  // U+2581, SentencePiece's space
constexpr std::string_view kSentinelHead = "<extra_id_";

void ReplaceAll(std::string* text, std::string_view from, std::string_view to) {
  for (std::size_t at = text->find(from); at != std::string::npos; at = text->find(from, at + to.size())) {
    text->replace(at, from.size(), to);
  }
}

// Hugging Face's clean_up_tokenization, in its order.
void CleanUp(std::string* text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kRules = {{{" .", "."},
                                                                                     {" ?", "?"},
                                                                                     {" !", "!"},
                                                                                     {" ,", ","},
                                                                                     {" ' ", "'"},
                                                                                     {" n't", "n't"},
                                                                                     {" 'm", "'m"},
                                                                                     {" 's", "'s"},
                                                                                     {" 've", "'ve"},
                                                                                     {" 're", "'re"}}};
  for (const auto& [from, to] : kRules) ReplaceAll(text, from, to);
}

// One special token in a text.
struct Special {
  std::size_t begin = 0;
  std::size_t end = 0;
  TokenId id = -1;
  bool strips = false;  // eats the white space on both sides
};

}  // namespace

struct __attribute__((visibility("hidden"))) Tokenizer::Impl {
  Config config;
  sentencepiece::SentencePieceProcessor processor;
  int piece_count = 0;
  TokenId pad = -1;
  TokenId eos = -1;
  TokenId unk = -1;
  TokenId underline = -1;      // the lone "▁", -1 where the vocabulary has none
  std::size_t unk_length = 0;  // pieces that the text "<unk>" becomes; for legacy = false

  int size() const { return piece_count + config.extra_ids; }
  TokenId Sentinel(int k) const { return k >= 0 && k < config.extra_ids ? size() - 1 - k : -1; }
  bool IsSentinel(TokenId id) const { return id >= piece_count && id < size(); }
  bool IsSpecial(TokenId id) const { return id == pad || id == eos || id == unk || IsSentinel(id); }
  std::string TokenText(TokenId id) const;

  Special MatchSpecial(std::string_view text, std::size_t at) const;
  std::vector<Special> FindSpecials(std::string_view text) const;
  void AppendPieces(std::string_view stretch, std::vector<TokenId>* ids) const;
  void AppendStretches(std::string_view text, bool parse_special_tokens, std::vector<TokenId>* ids) const;

  // `ids` without sentinels: Hugging Face's convert_tokens_to_string.
  std::string Join(const std::vector<TokenId>& ids) const;
};

std::string Tokenizer::Impl::TokenText(TokenId id) const {
  if (IsSentinel(id)) return std::string(kSentinelHead) + std::to_string(size() - 1 - id) + ">";
  return processor.IdToPiece(id);
}

// The special token that starts at `at`, or one with id -1.
Special Tokenizer::Impl::MatchSpecial(std::string_view text, std::size_t at) const {
  const std::string_view rest = text.substr(at);
  for (const TokenId id : {eos, pad, unk}) {
    const std::string& piece = processor.IdToPiece(id);
    if (rest.starts_with(piece)) return {at, at + piece.size(), id, false};
  }
  if (!rest.starts_with(kSentinelHead)) return {};
  const std::size_t close = rest.find('>', kSentinelHead.size());
  if (close == std::string_view::npos) return {};
  const std::string_view digits = rest.substr(kSentinelHead.size(), close - kSentinelHead.size());
  int k = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), k);
  // The name is canonical: "<extra_id_07>" is no sentinel.
  if (failure != std::errc() || end != digits.data() + digits.size() || std::to_string(k) != digits) return {};
  return {at, at + close + 1, Sentinel(k), true};
}

std::vector<Special> Tokenizer::Impl::FindSpecials(std::string_view text) const {
  std::vector<Special> found;
  for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at)) {
    const Special special = MatchSpecial(text, at);
    if (special.id >= 0) found.push_back(special);
    at = special.id >= 0 ? special.end : at + 1;
  }
  return found;
}

void Tokenizer::Impl::AppendPieces(std::string_view stretch, std::vector<TokenId>* ids) const {
  if (stretch.empty()) return;
  // Without the dummy prefix SentencePiece strips a leading space; Hugging Face saves it by putting "<unk>" before it
  // and cutting that off again.
  const bool keep_space = !config.legacy && (stretch.starts_with(kUnderline) || stretch.starts_with(' '));
  std::vector<int> pieces;
  const auto status = keep_space ? processor.Encode(processor.IdToPiece(unk) + std::string(stretch), &pieces)
                                 : processor.Encode(stretch, &pieces);
  if (!status.ok()) {  // a probed model does not do this; a lost text must still be seen
    ids->push_back(unk);
    return;
  }
  const std::size_t skip = keep_space && pieces.size() >= unk_length ? unk_length : 0;
  ids->insert(ids->end(), pieces.begin() + static_cast<std::ptrdiff_t>(skip), pieces.end());
}

void Tokenizer::Impl::AppendStretches(std::string_view text, bool parse_special_tokens,
                                      std::vector<TokenId>* ids) const {
  std::vector<Special> specials;
  if (parse_special_tokens) specials = FindSpecials(text);
  std::size_t begin = 0;
  bool strip_left = false;
  bool first = true;
  for (const Special& special : specials) {
    std::string_view stretch = text.substr(begin, special.begin - begin);
    if (strip_left) stretch = StripLeft(stretch);
    if (special.strips) stretch = StripRight(stretch);
    AppendPieces(stretch, ids);
    // legacy = false gave the text a leading "▁" of its own; alone before a special token it says nothing.
    if (first && !config.legacy && ids->size() == 1 && ids->front() == underline) ids->clear();
    first = false;
    ids->push_back(special.id);
    begin = special.end;
    strip_left = special.strips;
  }
  const std::string_view tail = text.substr(begin);
  AppendPieces(strip_left ? StripLeft(tail) : tail, ids);
}

std::string Tokenizer::Impl::Join(const std::vector<TokenId>& ids) const {
  std::vector<std::string> run;
  std::string text;
  const auto flush = [&] {
    std::string decoded;
    if (!run.empty() && processor.Decode(run, &decoded).ok()) text += decoded;
    run.clear();
  };
  bool after_special = false;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (IsSpecial(ids[i])) {
      if (!after_special) text += ' ';
      flush();
      text += processor.IdToPiece(ids[i]);
      after_special = true;
      continue;
    }
    std::string piece = processor.IdToPiece(ids[i]);
    // The text's own leading space; SentencePiece would strip that of the next run only.
    if (i == 0 && piece.starts_with(kUnderline)) piece.erase(0, kUnderline.size());
    run.push_back(std::move(piece));
    after_special = false;
  }
  flush();
  return std::string(Strip(text));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::unique_ptr<Tokenizer> Tokenizer::Load(const std::string& directory, std::string* error) {
  std::string ignored;
  std::string* const message = error != nullptr ? error : &ignored;
  message->clear();
  const std::string path = (std::filesystem::path(directory) / "spiece.model").string();
  try {
    auto impl = std::make_unique<Impl>();
    if (!ReadConfig(directory, &impl->config, message)) return nullptr;
    std::string reason;
    if (!LoadModel(path, /*add_dummy_prefix=*/impl->config.legacy, &impl->processor, &reason)) {
      *message = path + ": " + reason;
      return nullptr;
    }
    const auto& processor = impl->processor;
    impl->piece_count = processor.GetPieceSize();
    impl->pad = processor.pad_id();
    impl->eos = processor.eos_id();
    impl->unk = processor.unk_id();
    const TokenId underline = processor.PieceToId(kUnderline);
    if (underline != impl->unk) impl->underline = underline;
    impl->unk_length = processor.EncodeAsIds(processor.IdToPiece(impl->unk)).size();
    return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
  } catch (const std::exception& exception) {
    *message = path + ": cannot be loaded: " + exception.what();
    return nullptr;
  }
}

Encoded Tokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  Encoded encoded;
  std::vector<TokenId>& ids = encoded.ids;
  if (!text.empty()) {
    if (impl_->config.legacy) {
      impl_->AppendStretches(text, options.parse_special_tokens, &ids);
    } else {
      std::string spaced(text);
      ReplaceAll(&spaced, kUnderline, " ");
      impl_->AppendStretches(std::string(kUnderline) + spaced, options.parse_special_tokens, &ids);
    }
  }
  const auto ends = [&] { return !ids.empty() && ids.back() == impl_->eos; };
  const std::size_t whole = ids.size() + (options.append_eos && !ends() ? 1 : 0);
  const std::size_t room = options.append_eos ? 1 : 0;
  if (options.max_tokens > 0) {
    const auto limit = static_cast<std::size_t>(options.max_tokens);
    if (ids.size() + room > limit) ids.resize(limit - room);
  }
  if (options.append_eos && !ends()) ids.push_back(impl_->eos);
  encoded.truncated = ids.size() < whole;
  encoded.unknown = static_cast<int>(std::count(ids.begin(), ids.end(), impl_->unk));
  return encoded;
}

std::string Tokenizer::Decode(const std::vector<TokenId>& ids, const DecodeOptions& options) const {
  // Sentinels stand alone, with a space on each side; what is between two of them is joined.
  std::vector<std::string> parts;
  std::vector<TokenId> run;
  for (const TokenId id : ids) {
    if (id < 0 || id >= size() || (options.skip_special_tokens && impl_->IsSpecial(id))) continue;
    if (!impl_->IsSentinel(id)) {
      run.push_back(id);
      continue;
    }
    if (!run.empty()) {
      std::string joined = impl_->Join(run);
      if (!joined.empty()) parts.push_back(std::move(joined));
      run.clear();
    }
    parts.push_back(impl_->TokenText(id));
  }
  if (!run.empty()) parts.push_back(impl_->Join(run));

  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += ' ';
    text += parts[i];
  }
  const bool clean_up = options.clean_up == DecodeOptions::CleanUp::kFromFile
                            ? impl_->config.clean_up_tokenization_spaces
                            : options.clean_up == DecodeOptions::CleanUp::kOn;
  if (clean_up) CleanUp(&text);
  return text;
}

int Tokenizer::piece_count() const { return impl_->piece_count; }
int Tokenizer::size() const { return impl_->size(); }
TokenId Tokenizer::pad_id() const { return impl_->pad; }
TokenId Tokenizer::eos_id() const { return impl_->eos; }
TokenId Tokenizer::unk_id() const { return impl_->unk; }
int Tokenizer::extra_ids() const { return impl_->config.extra_ids; }
TokenId Tokenizer::extra_id(int k) const { return impl_->Sentinel(k); }

}  // namespace petit::tokenizer
