/* The whole of Google Benchmark that the project touches, behind gbench.h. */
#include "gbench.h"

extern "C" {
#include "base/number.h"
}

#include <strings.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

namespace
{

/* Written by a signal handler, hence lock-free. */
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets this flag");

__attribute__((format(printf, 3, 4))) kv_status fail(kv_error *error, kv_status status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

/* Runs `body`, which returns a kv_status, and lets no exception out. */
template <typename Body> kv_status guarded(kv_error *error, Body body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return fail(error, KV_ERROR_MEMORY, "Google Benchmark: out of memory; free some or run fewer benchmarks");
    } catch (const std::exception &exception) {
        return fail(error, KV_ERROR_UNSUPPORTED, "Google Benchmark: %s; check its flags and its installation",
                    exception.what());
    }
}

/* ---- The file of --benchmark_out ---------------------------------------------------------------- */

/* The library's own --benchmark_out ends the process when it cannot write, and each run replaces the one before. */
class json_file
{
  public:
    explicit json_file(std::string name) : name_(std::move(name)), temporary_(name_ + ".tmp")
    {
        reporter_.SetOutputStream(&body_);
    }

    /* Fails before anything is measured rather than after. */
    kv_status check(kv_error *error) const
    {
        struct stat status;
        if (stat(name_.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
            return fail(error, KV_ERROR_ARGUMENT, "--benchmark_out=%s: not a regular file; name another file",
                        name_.c_str());
        errno = 0;
        const bool writable = std::ofstream(temporary_).is_open();
        if (!writable)
            return fail_to_write(error);
        std::remove(temporary_.c_str());
        return KV_OK;
    }

    void add_context(const benchmark::BenchmarkReporter::Context &context)
    {
        if (!has_context_)
            has_context_ = reporter_.ReportContext(context);
    }

    void add_runs(const std::vector<benchmark::BenchmarkReporter::Run> &runs) { reporter_.ReportRuns(runs); }

    /* Writes a complete document of all runs so far; more can be added afterwards. */
    kv_status write(kv_error *error)
    {
        if (!has_context_)
            return KV_OK;
        errno = 0;
        std::ofstream file(temporary_);
        file << body_.str();
        reporter_.SetOutputStream(&file);
        reporter_.Finalize();
        reporter_.SetOutputStream(&body_);
        file.close();
        if (file && std::rename(temporary_.c_str(), name_.c_str()) == 0)
            return KV_OK;
        const kv_status status = fail_to_write(error);
        std::remove(temporary_.c_str());
        return status;
    }

  private:
    kv_status fail_to_write(kv_error *error) const
    {
        return fail(error, KV_ERROR_IO, "--benchmark_out=%s: cannot be written (%s); name a file in a writable folder",
                    name_.c_str(), errno ? std::strerror(errno) : "write error");
    }

    const std::string name_;
    const std::string temporary_;
    std::ostringstream body_; /* the document without its end */
    benchmark::JSONReporter reporter_;
    bool has_context_ = false;
};

/* As Google Benchmark's flags and registry, once for the process. */
struct process_state {
    std::string program;            /* the library keeps a pointer to it */
    std::unique_ptr<json_file> out; /* null without --benchmark_out */
    bool lists_only = false;
    const gb_benchmark *last = nullptr;  /* that was called last */
    benchmark::State *running = nullptr; /* while its `run` is called */
};

process_state &process()
{
    static process_state state;
    return state;
}

} // namespace

/* The error of what leaves no trace. */
const char gb_pass_over[] = "passed over";

namespace
{

/* What the library calls, with as many iterations as it wants. It aborts when they were not run, and without a time
 * goes on to 1e9 of them. */
void call(const gb_benchmark &registered, benchmark::State &library)
{
    double seconds = 0;
    process().last = &registered;
    const char *error = stop_requested ? gb_pass_over : nullptr;
    if (!error && registered.prepare)
        error = registered.prepare(registered.context);
    if (!error) {
        const auto n = library.max_iterations;
        library.KeepRunningBatch(n);
        process().running = &library;
        error = registered.run(registered.context, static_cast<int64_t>(n), &seconds);
        process().running = nullptr;
        library.KeepRunningBatch(n);
    }
    if (!error && !(seconds > 0 && std::isfinite(seconds)))
        error = "no time was measured; give a number of seconds above 0";
    if (error) {
        library.SkipWithError(error);
        return;
    }
    library.SetIterationTime(seconds);
    for (const gb_counter *c = registered.counters ? registered.counters(registered.context) : nullptr; c && c->name;
         c++)
        library.counters[c->name] = c->value;
}

/* ---- What was measured --------------------------------------------------------------------------------------- */

/* The error of a run, null when there is none: Google Benchmark up to 1.7, and from 1.8 on. */
template <typename Run> auto run_error(const Run &run, int) -> decltype(run.error_message.c_str())
{
    return run.error_occurred ? run.error_message.c_str() : nullptr;
}

template <typename Run> auto run_error(const Run &run, long) -> decltype(run.skip_message.c_str())
{
    return static_cast<unsigned>(run.skipped) != 0 ? run.skip_message.c_str() : nullptr;
}

class reporter : public benchmark::BenchmarkReporter
{
  public:
    reporter() { SetErrorStream(&complaints_); }

    bool ReportContext(const Context &context) override
    {
        if (process().out)
            process().out->add_context(context);
        return true;
    }

    void ReportRuns(const std::vector<Run> &all) override
    {
        std::vector<Run> runs;
        std::copy_if(all.begin(), all.end(), std::back_inserter(runs), [](const Run &run) {
            const char *error = run_error(run, 0);
            return !error || std::strcmp(error, gb_pass_over) != 0;
        });
        if (process().out)
            process().out->add_runs(runs);
        for (const Run &run : runs)
            if (run.run_type == Run::RT_Iteration && process().last->done)
                process().last->done(process().last->context, run_error(run, 0));
    }

    /* With no benchmark matched, the library says so, or that the filter is no regular expression. */
    bool refused_filter() const
    {
        const std::string complaints = complaints_.str();
        return !complaints.empty() && complaints.rfind("Failed to match", 0) != 0;
    }

  private:
    std::ostringstream complaints_;
};

const char *refusal(const gb_benchmark &benchmark)
{
    if (!benchmark.run)
        return "has nothing to run; set run";
    if (benchmark.iterations < 0 || !(benchmark.min_time_s >= 0))
        return "has a negative number of iterations or seconds; use 0 for the default";
    if (benchmark.iterations > 0 && benchmark.min_time_s > 0)
        return "has both iterations and min_time_s; set one of them";
    return nullptr;
}

kv_status register_benchmark(const gb_benchmark &benchmark)
{
    auto *added = benchmark::RegisterBenchmark(benchmark.name,
                                               [benchmark](benchmark::State &state) { call(benchmark, state); });
    added->Unit(benchmark.unit == GB_MICROSECONDS ? benchmark::kMicrosecond : benchmark::kMillisecond);
    added->Repetitions(1);
    added->UseManualTime();
    if (benchmark.iterations > 0)
        added->Iterations(benchmark.iterations);
    if (benchmark.min_time_s > 0)
        added->MinTime(benchmark.min_time_s);
    return KV_OK;
}

/* ---- Flags -------------------------------------------------------------------------------------- */

/* Google Benchmark's own parser prints, and exits on some values; here each flag is tried alone, so that the error can
 * name it. */
struct usage_requested : std::exception {
};

/* While it lives, the library's complaints about a flag go nowhere: the caller has a kv_error instead. */
class silenced_cerr
{
  public:
    silenced_cerr() : buffer_(std::cerr.rdbuf(nullptr)) {}
    ~silenced_cerr() { std::cerr.rdbuf(buffer_); }
    silenced_cerr(const silenced_cerr &) = delete;
    silenced_cerr &operator=(const silenced_cerr &) = delete;

  private:
    std::streambuf *buffer_;
};

/* Gives the library one flag, or with null the environment alone. False when it does not take it. */
bool library_takes(const char *program, const char *flag)
{
    const silenced_cerr silenced;
    int argc = flag ? 2 : 1;
    try {
        process().program = program;
        char *argv[] = {process().program.data(), const_cast<char *>(flag), nullptr};
        /* The library would print its usage and exit with 0; an exception from its callback prevents both. */
        benchmark::Initialize(&argc, argv, [] { throw usage_requested(); });
    } catch (const std::exception &) {
        return false;
    }
    return argc == 1;
}

struct flags {
    std::string out; /* empty: no file */
    std::string out_format;
    bool lists_only;
};

std::string environment(const char *name, const char *otherwise)
{
    const char *value = std::getenv(name);
    return value ? value : otherwise;
}

/* The text after "name=" when `argument` is that flag, otherwise null. */
const char *flag_value(const char *argument, const char *name)
{
    const size_t length = std::strlen(name);
    return std::strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : nullptr;
}

/* Google Benchmark's reading of a boolean flag. */
bool is_true(const std::string &value)
{
    for (const char *no : {"0", "f", "n", "false", "no", "off"})
        if (strcasecmp(value.c_str(), no) == 0)
            return false;
    return true;
}

/* A number from `least` up, and nothing after it but one of the letters in `units`. */
bool is_number(const char *text, double least, const char *units)
{
    double number;
    return kv_number_decimal(&text, least, 1e9, &number) && (!*text || (std::strchr(units, *text) && !text[1]));
}

/* Refuses what Google Benchmark would take, and then exit on or run nothing. */
bool is_in_range(const char *flag)
{
    if (const char *value = flag_value(flag, "--benchmark_repetitions"))
        return is_number(value, 1, "");
    if (const char *value = flag_value(flag, "--benchmark_min_time"))
        return is_number(value, 0, "sx");
    if (const char *value = flag_value(flag, "--benchmark_min_warmup_time"))
        return is_number(value, 0, "");
    return true;
}

bool take(flags &flags, const char *program, const char *flag)
{
    if (const char *value = flag_value(flag, "--benchmark_out")) {
        flags.out = value;
        return true;
    }
    if (const char *value = flag_value(flag, "--benchmark_out_format")) {
        flags.out_format = value;
        return flags.out_format == "json";
    }
    if (!is_in_range(flag) || !library_takes(program, flag))
        return false;
    if (const char *value = flag_value(flag, "--benchmark_list_tests"))
        flags.lists_only = is_true(value);
    else if (std::strcmp(flag, "--benchmark_list_tests") == 0)
        flags.lists_only = true;
    return true;
}

/* Takes flags out of argv up to the first that cannot be taken. */
kv_status take_all(flags &flags, int *argc, char **argv, kv_error *error)
{
    static const char prefix[] = "--benchmark_";
    const char *refused = nullptr;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const bool is_ours = !refused && std::strncmp(argv[i], prefix, std::strlen(prefix)) == 0;
        if (is_ours && take(flags, argv[0], argv[i]))
            continue;
        if (is_ours)
            refused = argv[i];
        argv[kept++] = argv[i];
    }
    if (kept < *argc)
        argv[kept] = nullptr;
    *argc = kept;
    if (!refused)
        return KV_OK;
    return fail(error, KV_ERROR_ARGUMENT,
                "%s: unknown to Google Benchmark, or not a value that can be used here; correct it or leave it out",
                refused);
}

kv_status initialize(int *argc, char **argv, kv_error *error)
{
    if (!library_takes(argv[0], nullptr))
        return fail(error, KV_ERROR_ARGUMENT,
                    "a BENCHMARK_* environment variable has a value Google Benchmark cannot use; unset it");
    flags flags{environment("BENCHMARK_OUT", ""), environment("BENCHMARK_OUT_FORMAT", "json"),
                is_true(environment("BENCHMARK_LIST_TESTS", "no"))};
    const kv_status status = take_all(flags, argc, argv, error);
    if (status != KV_OK)
        return status;
    if (!flags.out.empty() && flags.out_format != "json")
        return fail(error, KV_ERROR_ARGUMENT, "BENCHMARK_OUT_FORMAT is set to something else than json; unset it");
    /* The file is written by us, and nothing may be dropped, whatever the environment says. */
    library_takes(argv[0], "--benchmark_out=");
    library_takes(argv[0], "--benchmark_report_aggregates_only=false");
    library_takes(argv[0], "--benchmark_display_aggregates_only=false");
    process().lists_only = flags.lists_only;
    process().out.reset();
    if (flags.out.empty())
        return KV_OK;
    auto out = std::make_unique<json_file>(flags.out);
    const kv_status checked = out->check(error);
    if (checked == KV_OK)
        process().out = std::move(out);
    return checked;
}

} // namespace

/* ---- The C interface ---------------------------------------------------------------------------- */

kv_status gb_initialize(int *argc, char **argv, struct kv_error *error)
{
    if (*argc < 1 || !argv[0])
        return fail(error, KV_ERROR_ARGUMENT, "gb_initialize: argv has no program name; pass what main was given");
    return guarded(error, [&] { return initialize(argc, argv, error); });
}

bool gb_lists_only(void)
{
    return process().lists_only;
}

kv_status gb_register(const struct gb_benchmark *benchmark, struct kv_error *error)
{
    if (!benchmark->name || !*benchmark->name)
        return fail(error, KV_ERROR_ARGUMENT, "a benchmark has no name; set name");
    if (const char *reason = refusal(*benchmark))
        return fail(error, KV_ERROR_ARGUMENT, "benchmark %s %s", benchmark->name, reason);
    return guarded(error, [&] { return register_benchmark(*benchmark); });
}

void gb_pause(void)
{
    if (process().running)
        process().running->PauseTiming();
}

void gb_resume(void)
{
    if (process().running)
        process().running->ResumeTiming();
}

void gb_clear(void)
{
    benchmark::ClearRegisteredBenchmarks();
    process().last = nullptr;
}

kv_status gb_run(size_t *matched, struct kv_error *error)
{
    if (matched)
        *matched = 0;
    return guarded(error, [&] {
        reporter reporter;
        const size_t count = benchmark::RunSpecifiedBenchmarks(&reporter);
        std::cout.flush();
        if (count == 0 && reporter.refused_filter())
            return fail(error, KV_ERROR_ARGUMENT, "--benchmark_filter=%s: not a regular expression; correct it",
                        benchmark::GetBenchmarkFilter().c_str());
        if (matched)
            *matched = count;
        return process().out ? process().out->write(error) : KV_OK;
    });
}

void gb_request_stop(void)
{
    stop_requested = true;
}

bool gb_stop_requested(void)
{
    return stop_requested;
}
