/*
 * SQLite as a log: a module of `ayre bench log`. A table by number in WAL mode, with what is asked for often
 * prepared once. Its write-ahead log is a file that it reuses, so it needs no room before.
 */
#include "command/bench_log_store.h"

#include <stdlib.h>

#include <sqlite3.h>

LOG_STORE_EXPORT;

enum statement {
	STATEMENT_BEGIN,
	STATEMENT_INSERT,
	STATEMENT_COMMIT,
	STATEMENT_ALL,
	STATEMENT_ONE,
	STATEMENT_COUNT,
};

static const char *const texts[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_INSERT] = "INSERT INTO log VALUES(?1, ?2)",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ALL] = "SELECT message FROM log ORDER BY number",
	[STATEMENT_ONE] = "SELECT message FROM log WHERE number = ?1",
};

struct sqlite_log {
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENT_COUNT];
};

static void close_log(void *log)
{
	struct sqlite_log *sqlite = log;

	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(sqlite->statements[i]);
	sqlite3_close(sqlite->database);
	free(sqlite);
}

static int set_up(struct sqlite_log *log, const struct log_store_options *options)
{
	if (sqlite3_open(options->path, &log->database) != SQLITE_OK ||
	    sqlite3_exec(log->database,
	                 "PRAGMA journal_mode = WAL; PRAGMA mmap_size = 1099511627776; "
	                 "CREATE TABLE log(number INTEGER PRIMARY KEY, message BLOB)",
	                 NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(log->database,
	                 options->safe ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF",
	                 NULL, NULL, NULL) != SQLITE_OK)
		return -EIO;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v2(log->database, texts[i], -1, &log->statements[i], NULL) !=
		    SQLITE_OK)
			return -EIO;
	return 0;
}

static int open_log(const struct log_store_options *options, void **ret_log)
{
	struct sqlite_log *log = calloc(1, sizeof(*log));
	int result = log ? set_up(log, options) : -ENOMEM;

	if (result < 0 && log)
		close_log(log);
	if (result == 0)
		*ret_log = log;
	return result;
}

static int step(const struct sqlite_log *log, enum statement which)
{
	int result = sqlite3_step(log->statements[which]);

	sqlite3_reset(log->statements[which]);
	return result == SQLITE_DONE ? 0 : result == SQLITE_FULL ? -ENOSPC : -EIO;
}

/* A single row is a transaction of its own. */
static int append(void *log, uint64_t first, const struct log_message *messages, size_t count)
{
	struct sqlite_log *sqlite = log;
	sqlite3_stmt *insert = sqlite->statements[STATEMENT_INSERT];
	int result = count > 1 ? step(sqlite, STATEMENT_BEGIN) : 0;

	for (size_t i = 0; result == 0 && i < count; i++) {
		sqlite3_bind_int64(insert, 1, (sqlite3_int64)(first + i));
		sqlite3_bind_blob(insert, 2, messages[i].bytes, sizeof(messages[i].bytes),
		                  SQLITE_STATIC);
		result = step(sqlite, STATEMENT_INSERT);
	}
	if (result == 0 && count > 1)
		result = step(sqlite, STATEMENT_COMMIT);
	return result;
}

static int check_row(sqlite3_stmt *statement, uint64_t number)
{
	if (sqlite3_step(statement) != SQLITE_ROW ||
	    sqlite3_column_bytes(statement, 0) != LOG_MESSAGE_BYTES)
		return -EBADMSG;
	return log_message_check(sqlite3_column_blob(statement, 0), number);
}

static int scan(void *log, uint64_t count)
{
	sqlite3_stmt *all = ((struct sqlite_log *)log)->statements[STATEMENT_ALL];
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++)
		result = check_row(all, i);
	sqlite3_reset(all);
	return result;
}

static int find(void *log, uint64_t number)
{
	sqlite3_stmt *one = ((struct sqlite_log *)log)->statements[STATEMENT_ONE];
	int result;

	sqlite3_bind_int64(one, 1, (sqlite3_int64)number);
	result = check_row(one, number);
	sqlite3_reset(one);
	return result;
}

const struct log_store bench_log_store = {
	.open = open_log,
	.close = close_log,
	.append = append,
	.scan = scan,
	.find = find,
};
