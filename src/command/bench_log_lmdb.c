/*
 * LMDB as a log: a module of `ayre bench log`. The number is the key, which MDB_APPEND takes at the end
 * without a search.
 */
#include "command/bench_log_store.h"

#include <stdlib.h>
#include <unistd.h>

#include <lmdb.h>

LOG_STORE_EXPORT;

#define MAP_BYTES  ((size_t)1 << 34) /* of addresses; the file is as large as what is in it */
#define ZERO_BYTES ((size_t)1 << 20)

struct lmdb_log {
	MDB_env *environment;
	MDB_dbi table;
};

/* Its own errors are small negative numbers below all of errno. */
static int code_of(int result)
{
	if (result > 0)
		return -result;
	return result == 0 ? 0 : result == MDB_NOTFOUND ? -EBADMSG : -EIO;
}

/* Behind what is there now. LMDB does not mind how long its file is. */
static int give_room(MDB_env *environment, uint64_t room_bytes)
{
	char *zeros = calloc(1, ZERO_BYTES);
	off_t end = 0;
	int fd, result = zeros ? code_of(mdb_env_get_fd(environment, &fd)) : -ENOMEM;

	if (result == 0) {
		end = lseek(fd, 0, SEEK_END);
		result = end < 0 ? -errno : 0;
	}
	for (uint64_t done = 0; result == 0 && done < room_bytes; done += ZERO_BYTES)
		if (pwrite(fd, zeros, ZERO_BYTES, end + (off_t)done) != (ssize_t)ZERO_BYTES)
			result = -ENOSPC;
	if (result == 0 && fsync(fd) == -1)
		result = -errno;
	free(zeros);
	return result;
}

static int make_table(struct lmdb_log *log)
{
	MDB_txn *transaction;
	int result = mdb_txn_begin(log->environment, NULL, 0, &transaction);

	if (result == 0)
		result = mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY, &log->table);
	if (result == 0)
		result = mdb_txn_commit(transaction);
	return code_of(result);
}

static void close_log(void *log)
{
	struct lmdb_log *lmdb = log;

	mdb_env_close(lmdb->environment);
	free(lmdb);
}

static int open_log(const struct log_store_options *options, void **ret_log)
{
	unsigned int flags = MDB_NOSUBDIR | (options->safe ? 0 : MDB_NOSYNC | MDB_WRITEMAP);
	struct lmdb_log *log = calloc(1, sizeof(*log));
	int result = log ? code_of(mdb_env_create(&log->environment)) : -ENOMEM;

	if (result < 0) {
		free(log);
		return result;
	}
	result = code_of(mdb_env_set_mapsize(log->environment, MAP_BYTES));
	if (result == 0)
		result = code_of(mdb_env_open(log->environment, options->path, flags, 0600));
	if (result == 0)
		result = make_table(log);
	if (result == 0 && options->safe)
		result = give_room(log->environment, options->room_bytes);
	if (result < 0)
		close_log(log);
	else
		*ret_log = log;
	return result;
}

static int append(void *log, uint64_t first, const struct log_message *messages, size_t count)
{
	struct lmdb_log *lmdb = log;
	MDB_txn *transaction;
	int result = mdb_txn_begin(lmdb->environment, NULL, 0, &transaction);

	if (result != 0)
		return code_of(result);
	for (size_t i = 0; result == 0 && i < count; i++) {
		size_t number = first + i;
		MDB_val key = {.mv_size = sizeof(number), .mv_data = &number};
		MDB_val value = {
			.mv_size = sizeof(messages[i]),
			.mv_data = (void *)(uintptr_t)messages[i].bytes,
		};

		result = mdb_put(transaction, lmdb->table, &key, &value, MDB_APPEND);
	}
	if (result == 0)
		return code_of(mdb_txn_commit(transaction));
	mdb_txn_abort(transaction);
	return code_of(result);
}

static int scan(void *log, uint64_t count)
{
	struct lmdb_log *lmdb = log;
	MDB_val key, value;
	MDB_cursor *cursor;
	MDB_txn *transaction;
	int result = mdb_txn_begin(lmdb->environment, NULL, MDB_RDONLY, &transaction);

	if (result != 0)
		return code_of(result);
	result = mdb_cursor_open(transaction, lmdb->table, &cursor);
	if (result == 0) {
		for (uint64_t i = 0; result == 0 && i < count; i++) {
			result = mdb_cursor_get(cursor, &key, &value, i ? MDB_NEXT : MDB_FIRST);
			if (result == 0)
				result = -log_message_check(value.mv_data, i);
		}
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(transaction);
	return code_of(result);
}

static int find(void *log, uint64_t number)
{
	struct lmdb_log *lmdb = log;
	size_t wanted = number;
	MDB_val key = {.mv_size = sizeof(wanted), .mv_data = &wanted}, value;
	MDB_txn *transaction;
	int result = mdb_txn_begin(lmdb->environment, NULL, MDB_RDONLY, &transaction);

	if (result != 0)
		return code_of(result);
	result = mdb_get(transaction, lmdb->table, &key, &value);
	if (result == 0)
		result = -log_message_check(value.mv_data, number);
	mdb_txn_abort(transaction);
	return code_of(result);
}

const struct log_store bench_log_store = {
	.open = open_log,
	.close = close_log,
	.append = append,
	.scan = scan,
	.find = find,
};
