/*
 * The same of the C++ library: exceptions, containers, streams, threads that cannot be had.
 */
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <locale>
#include <mutex>
#include <random>
#include <regex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include "worker/filter.h"
}

static void require(bool condition)
{
	if (!condition)
		_exit(1);
}

template <typename Error, typename Action> static bool throws(Action action)
{
	try {
		action();
	} catch (const Error &error) {
		return error.what()[0] != '\0';
	}
	return false;
}

static void throw_and_catch()
{
	require(throws<std::out_of_range>([] { (void)std::vector<int>().at(3); }));
	require(throws<std::runtime_error>([] { throw std::runtime_error("text"); }));
	require(throws<std::length_error>([] { std::vector<long> many(~0ul / 8); }));
	require(throws<std::bad_alloc>([] { std::vector<char> many(1ul << 62); }));
	try {
		std::rethrow_exception(std::make_exception_ptr(17));
	} catch (int number) {
		require(number == 17);
	}
}

static void sort_many()
{
	std::vector<int> numbers(1000000);
	std::mt19937 source(1);

	for (int &number : numbers)
		number = static_cast<int>(source());
	std::sort(numbers.begin(), numbers.begin() + 500000);
	std::stable_sort(numbers.begin(), numbers.end());
	require(std::is_sorted(numbers.begin(), numbers.end()));
	(void)std::random_device()();
}

static void want_threads()
{
	require(throws<std::system_error>([] { std::thread([] {}).join(); }));
	require(throws<std::system_error>(
		[] { std::async(std::launch::async, [] { return 1; }).get(); }));
	(void)std::thread::hardware_concurrency();
}

static void use_streams()
{
	std::cout << "# " << 1.5 << " text" << std::endl;
	std::cerr << "# " << true << std::endl;
	require(!std::ifstream("/etc/passwd").is_open());
	require(!std::ofstream("/tmp/x").is_open());
	require(throws<std::runtime_error>([] { std::locale name("de_DE.UTF-8"); }));
	require(std::regex_match("abc", std::regex("a.*")));
}

static void look_for_files()
{
	std::error_code error;

	require(!std::filesystem::exists("/etc/passwd", error));
	require(throws<std::filesystem::filesystem_error>(
		[] { (void)std::filesystem::current_path(); }));
}

static void wait_a_little()
{
	std::mutex mutex;
	std::condition_variable condition;
	std::unique_lock<std::mutex> held(mutex);

	condition.wait_for(held, std::chrono::milliseconds(1));
	std::this_thread::sleep_for(std::chrono::milliseconds(1));
	require(std::chrono::system_clock::now().time_since_epoch().count() > 0);
}

static const struct {
	const char *name;
	void (*run)();
} rows[] = {
	{"exceptions", throw_and_catch}, {"large sorts", sort_many},
	{"threads", want_threads},       {"streams and locales", use_streams},
	{"paths", look_for_files},       {"waiting", wait_a_little},
};

static void run(void (*function)())
{
	struct sock_fprog program = {static_cast<unsigned short>(ayrei_filter_kill_length),
	                             const_cast<struct sock_filter *>(ayrei_filter_kill)};

	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	require(prctl(PR_SET_SECCOMP, 2, &program) == 0);
	function();
	_exit(0);
}

int main(int, char **arguments)
{
	for (const auto &row : rows) {
		pid_t child;
		int status;

		fflush(stdout);
		child = fork();
		if (child == 0)
			run(row.run);
		if (child == -1 || waitpid(child, &status, 0) != child)
			return EXIT_FAILURE;
		printf("%sok - %s: %s\n", status == 0 ? "" : "not ", arguments[1], row.name);
	}
	return EXIT_SUCCESS;
}
