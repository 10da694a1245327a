#include "server/jobs/sqlite.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sqlite3.h"

namespace petit::serving {
namespace {

// How long a commit waits for somebody who looks into the store with a tool of his own.
constexpr int kBusyTimeoutMs = 5000;

bool IsOutOfSpace(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

// Whether the last error of the database's file or of its log was one of space. sqlite3_system_errno does not tell it
// of a commit.
bool LacksSpace(sqlite3* connection) {
  for (const int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    int error = 0;
    if (sqlite3_file_control(connection, "main", which, &file) != SQLITE_OK) continue;
    if (file == nullptr || file->pMethods == nullptr) continue;
    if (file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) == SQLITE_OK && IsOutOfSpace(error)) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::Status Database::ErrorOf(int code) const {
  const std::string message = absl::StrCat("job store ", path_, ": ", sqlite3_errmsg(connection_));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat(message, "; free space on its disk"));
    case SQLITE_IOERR:
      // Quotas and limits on a file's size do not come as SQLITE_FULL.
      if (LacksSpace(connection_)) {
        return absl::ResourceExhaustedError(absl::StrCat(message, "; free space on its disk"));
      }
      return absl::InternalError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return absl::FailedPreconditionError(message);
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &connection,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (connection == nullptr) return absl::ResourceExhaustedError("no memory for the job store");
  std::unique_ptr<Database> database(new Database(connection, path));
  if (code != SQLITE_OK) return database->ErrorOf(code);
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, kBusyTimeoutMs);
  // Exclusive: the log then needs no shared memory, which network file systems do not have.
  for (const char* pragma : {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL",
                             "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"}) {
    if (absl::Status status = Query(database.get(), pragma).Run(); !status.ok()) return status;
  }
  return database;
}

Database::~Database() { sqlite3_close_v2(connection_); }

absl::Status Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ErrorOf(code);
}

std::int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(connection_); }

Query::Query(Database* database, const std::string& sql) : database_(database) {
  Check(sqlite3_prepare_v2(database->connection_, sql.c_str(), -1, &statement_, nullptr));
}

Query::~Query() { sqlite3_finalize(statement_); }

void Query::Check(int code) {
  if (status_.ok() && code != SQLITE_OK) status_ = database_->ErrorOf(code);
}

Query& Query::Int(std::int64_t value) {
  if (status_.ok()) Check(sqlite3_bind_int64(statement_, ++bound_, value));
  return *this;
}

Query& Query::Text(absl::string_view value) {
  if (status_.ok()) {
    Check(sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  }
  return *this;
}

Query& Query::Blob(absl::string_view value) {
  if (status_.ok()) {
    // Without a pointer SQLite would bind NULL.
    const char* data = value.empty() ? "" : value.data();
    Check(sqlite3_bind_blob64(statement_, ++bound_, data, value.size(), SQLITE_TRANSIENT));
  }
  return *this;
}

Query& Query::Null() {
  if (status_.ok()) Check(sqlite3_bind_null(statement_, ++bound_));
  return *this;
}

absl::StatusOr<bool> Query::Next() {
  if (!status_.ok()) return status_;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  status_ = database_->ErrorOf(code);
  return status_;
}

absl::Status Query::Run() {
  while (true) {
    const absl::StatusOr<bool> row = Next();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
  }
}

std::int64_t Query::IntAt(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Query::BytesAt(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  if (data == nullptr) return std::string();
  return std::string(static_cast<const char*>(data),
                     static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

bool Query::IsNullAt(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

Transaction::Transaction(Database* database) : database_(database), status_(database->Execute("BEGIN IMMEDIATE")) {}

Transaction::~Transaction() {
  // Some errors have rolled it back already.
  if (status_.ok() && sqlite3_get_autocommit(database_->connection_) == 0) {
    database_->Execute("ROLLBACK").IgnoreError();
  }
}

absl::Status Transaction::Commit() { return database_->Execute("COMMIT"); }

}  // namespace petit::serving
