// Compressed bytes for tests, by libarchive.
#ifndef PETIT_TESTS_UNIT_DATA_COMPRESS_H_
#define PETIT_TESTS_UNIT_DATA_COMPRESS_H_

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace petit::data {

using Members = std::vector<std::pair<std::string, std::string>>;  // name, content

inline std::string WriteArchive(struct archive* handle, const Members& members) {
  std::string out(1 << 16, '\0');
  for (const auto& [name, content] : members) out.resize(out.size() + 2 * content.size() + name.size() + 1024);
  std::size_t used = 0;
  EXPECT_EQ(archive_write_open_memory(handle, out.data(), out.size(), &used), ARCHIVE_OK);
  for (const auto& [name, content] : members) {
    struct archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    EXPECT_EQ(archive_write_header(handle, entry), ARCHIVE_OK) << archive_error_string(handle);
    EXPECT_EQ(archive_write_data(handle, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
    archive_entry_free(entry);
  }
  EXPECT_EQ(archive_write_close(handle), ARCHIVE_OK);
  archive_write_free(handle);
  out.resize(used);
  return out;
}

// `filter`: "gzip", "xz" or "zstd".
inline std::string Compress(std::string_view content, const std::string& filter) {
  struct archive* handle = archive_write_new();
  archive_write_set_format_raw(handle);
  EXPECT_EQ(archive_write_add_filter_by_name(handle, filter.c_str()), ARCHIVE_OK);
  archive_write_set_bytes_in_last_block(handle, 1);
  return WriteArchive(handle, {{"data", std::string(content)}});
}

inline std::string Zip(const Members& members) {
  struct archive* handle = archive_write_new();
  archive_write_set_format_zip(handle);
  archive_write_set_bytes_in_last_block(handle, 1);
  return WriteArchive(handle, members);
}

}  // namespace petit::data

#endif  // PETIT_TESTS_UNIT_DATA_COMPRESS_H_
