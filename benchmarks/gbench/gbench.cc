/* The whole of Google Benchmark that the project touches, behind gbench.h. */
#include "gbench.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "gbench_library.h"

namespace
{

const char stopped_message[] = "stopped before it ran";

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
    void *last_context = nullptr; /* of the benchmark whose fixture was called last */
};

process_state &process()
{
    static process_state state;
    return state;
}

} // namespace

/* ---- Fixtures ----------------------------------------------------------------------------------- */

struct gb_state {
    benchmark::State &library;
    const int n_arguments;
    enum { READY, RUNNING, DONE } phase = READY;
    bool skipped = false;
    bool out_of_memory = false;
    double manual_seconds = 0;

    /* Runs `body` between two C frames, where no exception may pass. */
    template <typename Body> void guard(Body body) noexcept
    {
        try {
            body();
        } catch (...) {
            out_of_memory = true;
        }
    }

    void skip(const char *message) noexcept
    {
        skipped = true;
        guard([&] { library.SkipWithError(message); });
    }
};

namespace
{

struct registration {
    gb_fixture run;
    void *context;
    int n_arguments;
    bool manual;
};

void call_fixture(const registration &registered, benchmark::State &library)
{
    process().last_context = registered.context;
    if (stop_requested) {
        library.SkipWithError(stopped_message);
        return;
    }
    gb_state state{library, registered.n_arguments};
    registered.run(&state, registered.context);
    /* The library aborts when a loop was not finished, and without manual time goes on to 1e9 iterations. */
    if (!state.skipped && state.phase != gb_state::DONE)
        state.skip("the fixture returned without gb_begin and gb_end; call each once");
    if (!state.skipped && registered.manual && !(state.manual_seconds > 0 && std::isfinite(state.manual_seconds)))
        state.skip("no time was measured; give gb_set_iteration_time a number of seconds above 0");
    /* So short that the string needs no memory of its own. */
    if (state.out_of_memory)
        library.SkipWithError("out of memory");
}

/* ---- Rows --------------------------------------------------------------------------------------- */

/* The error of a run, null when there is none: Google Benchmark up to 1.7, and from 1.8 on. */
template <typename Run> auto run_error(const Run &run, int) -> decltype(run.error_message.c_str())
{
    return run.error_occurred ? run.error_message.c_str() : nullptr;
}

template <typename Run> auto run_error(const Run &run, long) -> decltype(run.skip_message.c_str())
{
    return static_cast<unsigned>(run.skipped) != 0 ? run.skip_message.c_str() : nullptr;
}

class row_reporter : public benchmark::BenchmarkReporter
{
  public:
    row_reporter(gb_report report, void *context) : report_(report), context_(context) { SetErrorStream(&complaints_); }

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
            return !error || std::strcmp(error, stopped_message) != 0;
        });
        if (process().out)
            process().out->add_runs(runs);
        for (const Run &run : runs)
            if (report_ && run.run_type == Run::RT_Iteration)
                report_row(run);
    }

    /* With no benchmark matched, the library says so, or that the filter is no regular expression. */
    bool refused_filter() const
    {
        const std::string complaints = complaints_.str();
        return !complaints.empty() && complaints.rfind("Failed to match", 0) != 0;
    }

  private:
    void report_row(const Run &run) const
    {
        const std::string name = run.run_name.str();
        const char *error = run_error(run, 0);
        const double divisor = error ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(run.iterations);
        std::vector<gb_counter> counters;
        for (const auto &counter : run.counters)
            counters.push_back({counter.first.c_str(), counter.second.value});

        gb_row row{};
        row.name = name.c_str();
        row.benchmark_context = process().last_context;
        row.label = run.report_label.c_str();
        row.error = error;
        row.iterations = run.iterations;
        row.repetition_index = static_cast<int>(run.repetition_index);
        row.repetitions = static_cast<int>(run.repetitions);
        row.real_time_s = run.real_accumulated_time / divisor;
        row.cpu_time_s = run.cpu_accumulated_time / divisor;
        row.counters = counters.data();
        row.n_counters = static_cast<int>(counters.size());
        report_(&row, context_);
    }

    const gb_report report_;
    void *const context_;
    std::ostringstream complaints_;
};

const char *refusal(const gb_benchmark &benchmark)
{
    if (!benchmark.run)
        return "has no fixture; set run";
    if (benchmark.n_arguments < 0 || (benchmark.n_arguments > 0 && !benchmark.arguments))
        return "has n_arguments without arguments; set both";
    if (benchmark.iterations < 0 || benchmark.repetitions < 0 || !(benchmark.min_time_s >= 0))
        return "has a negative number of iterations, repetitions or seconds; use 0 for the default";
    if (benchmark.iterations > 0 && benchmark.min_time_s > 0)
        return "has both iterations and min_time_s; set one of them";
    return nullptr;
}

kv_status register_benchmark(const gb_benchmark &benchmark)
{
    static const benchmark::TimeUnit units[] = {benchmark::kNanosecond, benchmark::kMicrosecond,
                                                benchmark::kMillisecond, benchmark::kSecond};
    const registration registered{benchmark.run, benchmark.context, benchmark.n_arguments,
                                  benchmark.clock == GB_MANUAL_TIME};
    auto *added = benchmark::RegisterBenchmark(
        benchmark.name, [registered](benchmark::State &state) { call_fixture(registered, state); });
    added->Unit(units[benchmark.unit]);
    if (benchmark.n_arguments > 0)
        added->Args({benchmark.arguments, benchmark.arguments + benchmark.n_arguments});
    if (benchmark.n_arguments > 0 && benchmark.argument_names)
        added->ArgNames({benchmark.argument_names, benchmark.argument_names + benchmark.n_arguments});
    if (benchmark.iterations > 0)
        added->Iterations(benchmark.iterations);
    if (benchmark.repetitions > 0)
        added->Repetitions(benchmark.repetitions);
    if (benchmark.min_time_s > 0)
        added->MinTime(benchmark.min_time_s);
    if (registered.manual)
        added->UseManualTime();
    else
        added->UseRealTime();
    return KV_OK;
}

} // namespace

/* ---- For gbench_flags.c ------------------------------------------------------------------------- */

namespace
{

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

} // namespace

bool gb_library_takes(const char *program, const char *flag)
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

kv_status gb_library_write_to(const char *file, struct kv_error *error)
{
    return guarded(error, [&] {
        process().out.reset();
        if (!file)
            return KV_OK;
        auto out = std::make_unique<json_file>(file);
        const kv_status status = out->check(error);
        if (status == KV_OK)
            process().out = std::move(out);
        return status;
    });
}

void gb_library_list_only(bool lists_only)
{
    process().lists_only = lists_only;
}

/* ---- The C interface ---------------------------------------------------------------------------- */

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

void gb_clear(void)
{
    benchmark::ClearRegisteredBenchmarks();
    process().last_context = nullptr;
}

int64_t gb_argument(struct gb_state *state, int index)
{
    if (index >= 0 && index < state->n_arguments)
        return state->library.range(static_cast<size_t>(index));
    state->skip("gb_argument has no argument of that index; register more arguments");
    return 0;
}

int64_t gb_begin(struct gb_state *state)
{
    if (!state->skipped && state->phase != gb_state::READY)
        state->skip("gb_begin was called twice; call it once");
    if (state->skipped)
        return 0;
    state->phase = gb_state::RUNNING;
    const int64_t iterations = state->library.max_iterations;
    state->guard([&] { state->library.KeepRunningBatch(iterations); });
    return iterations;
}

void gb_end(struct gb_state *state)
{
    if (state->skipped)
        return;
    if (state->phase != gb_state::RUNNING) {
        state->skip("gb_end was called without gb_begin; call each once");
        return;
    }
    state->guard([&] { state->library.KeepRunningBatch(state->library.max_iterations); });
    state->phase = gb_state::DONE;
}

void gb_set_iteration_time(struct gb_state *state, double seconds)
{
    state->manual_seconds += seconds;
    state->library.SetIterationTime(seconds);
}

void gb_set_counter(struct gb_state *state, const char *name, double value)
{
    state->guard([&] { state->library.counters[name] = value; });
}

void gb_set_label(struct gb_state *state, const char *text)
{
    state->guard([&] { state->library.SetLabel(text); });
}

void gb_skip_with_error(struct gb_state *state, const char *message)
{
    state->skip(message);
}

kv_status gb_run(gb_report report, void *context, size_t *matched, struct kv_error *error)
{
    if (matched)
        *matched = 0;
    return guarded(error, [&] {
        row_reporter reporter(report, context);
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
