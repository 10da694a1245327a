#include "client/data/gzip_stream.h"

#include <zlib.h>

#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::data {

struct GzipStream::State {
  RawFile* raw = nullptr;
  z_stream zlib = {};
  bool between_members = false;
  bool at_end = false;
  std::array<char, 65536> out;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { inflateEnd(&zlib); }
};

GzipStream::GzipStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
GzipStream::~GzipStream() = default;

absl::StatusOr<std::unique_ptr<GzipStream>> GzipStream::Open(RawFile* raw) {
  auto state = std::make_unique<State>();
  state->raw = raw;
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&state->zlib, kGzipOnly) != Z_OK) return absl::ResourceExhaustedError("no memory for zlib");
  return std::unique_ptr<GzipStream>(new GzipStream(std::move(state)));
}

absl::Status GzipStream::Damaged(std::string_view why) const {
  return absl::DataLossError(absl::StrCat(state_->raw->path(), " is damaged or cut off: ", std::string(why)));
}

absl::Status GzipStream::Fill() {
  if (state_->zlib.avail_in > 0) return state_->raw->CheckInterrupt();
  const absl::StatusOr<std::string_view> bytes = state_->raw->Read();
  if (!bytes.ok()) return bytes.status();
  state_->zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes->data()));
  state_->zlib.avail_in = static_cast<uInt>(bytes->size());
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> GzipStream::Read() {
  z_stream& zlib = state_->zlib;
  while (!state_->at_end) {
    if (const absl::Status status = Fill(); !status.ok()) return status;
    if (state_->between_members) {
      if (zlib.avail_in == 0) {
        state_->at_end = true;
        break;
      }
      if (*zlib.next_in == 0) {  // tapes and some tools pad with zeros
        ++zlib.next_in;
        --zlib.avail_in;
        continue;
      }
      inflateReset(&zlib);
      state_->between_members = false;
    }
    if (zlib.avail_in == 0) return Damaged("the gzip stream has no end");
    zlib.next_out = reinterpret_cast<Bytef*>(state_->out.data());
    zlib.avail_out = static_cast<uInt>(state_->out.size());
    const int code = inflate(&zlib, Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
      state_->between_members = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return Damaged(zlib.msg == nullptr ? "zlib refuses it" : zlib.msg);
    }
    const std::size_t size = state_->out.size() - zlib.avail_out;
    if (size > 0) return std::string_view(state_->out.data(), size);
  }
  return std::string_view();
}

}  // namespace petit::data
