// As much of SQLite as the job store needs, with statuses for its error codes.
#ifndef PETIT_SERVER_JOBS_SQLITE_H_
#define PETIT_SERVER_JOBS_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace petit::serving {

// One connection; not for several threads at a time. RESOURCE_EXHAUSTED throughout: the disk is full. DATA_LOSS: the
// file is damaged. UNAVAILABLE: another process holds a lock for too long.
class Database {
 public:
  // Opens or creates the file, with a write-ahead log that is synced at every commit.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs statements that return no rows.
  absl::Status Execute(const std::string& sql);
  std::int64_t last_insert_rowid() const;

 private:
  friend class Query;
  friend class Transaction;
  Database(sqlite3* connection, std::string path) : connection_(connection), path_(std::move(path)) {}
  absl::Status ErrorOf(int code) const;

  sqlite3* connection_;
  std::string path_;
};

// One statement. Bind in the order of the '?'; an error of any call comes out of Next.
class Query {
 public:
  Query(Database* database, const std::string& sql);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& Int(std::int64_t value);
  Query& Text(absl::string_view value);
  Query& Blob(absl::string_view value);
  Query& Null();

  // True: there is a row. After an error or false no more calls.
  absl::StatusOr<bool> Next();
  // For statements whose rows nobody wants.
  absl::Status Run();

  // Of the present row; columns count from 0.
  std::int64_t IntAt(int column) const;
  std::string BytesAt(int column) const;  // of texts and blobs; empty for NULL
  bool IsNullAt(int column) const;

 private:
  void Check(int code);

  Database* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  absl::Status status_;
};

// Writes that happen together or not at all: undone on the way out unless Commit returned OK.
class Transaction {
 public:
  explicit Transaction(Database* database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Whether it could begin.
  const absl::Status& status() const { return status_; }
  absl::Status Commit();

 private:
  Database* database_;
  absl::Status status_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_SQLITE_H_
