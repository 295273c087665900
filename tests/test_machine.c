/* What is said of a machine, on sample trees and on this one. */
#include "machine/probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sample_machines.h"

#define MIB ((int64_t)1 << 20)

static void assert_cache(const struct kv_machine_cache *cache, int64_t bytes, int instances)
{
    assert_int_equal(cache->bytes, bytes);
    assert_int_equal(cache->instances, instances);
}

static void assert_features(const struct kv_machine *machine, const char *expected)
{
    char joined[512] = "";
    for (int i = 0; i < machine->n_features; i++) {
        strcat(strcat(joined, i > 0 ? " " : ""), machine->features[i]);
    }
    assert_string_equal(joined, expected);
}

static void test_intel_vm(void **state)
{
    (void)state;
    sample_intel_vm();
    struct kv_machine machine;
    kv_machine_read(&machine, sample_root);
    assert_string_equal(machine.cpu_vendor, "GenuineIntel");
    assert_string_equal(machine.cpu_name, "INTEL(R) XEON(R) PLATINUM 8581C CPU @ 2.30GHz");
    assert_int_equal(machine.cpu_family, 6);
    assert_int_equal(machine.cpu_model, 207);
    assert_int_equal(machine.cpu_stepping, 2);
    assert_int_equal(machine.hypervisor, 1);
    assert_features(&machine, "sse2 sse4_2 avx avx2 fma f16c avx512f avx512bw avx512dq avx512vl avx512_bf16 amx_tile "
                              "amx_bf16");
    assert_int_equal(machine.cpus_online, 4);
    assert_int_equal(machine.cpus_affinity, 3);
    assert_int_equal(machine.cores_online, 2);
    assert_int_equal(machine.cores_affinity, 2);
    assert_int_equal(machine.sockets, 1);
    assert_cache(&machine.l1d, 48 * 1024, 2);
    assert_cache(&machine.l1i, 32 * 1024, 2);
    assert_cache(&machine.l2, 2 * MIB, 2);
    assert_cache(&machine.l3, 260 * MIB, 1);
    assert_int_equal(machine.memory_total_bytes, 16000 * MIB);
    assert_int_equal(machine.memory_available_bytes, 8000 * MIB);
    assert_int_equal(machine.memory_limit_bytes, 4096 * MIB);
    assert_string_equal(machine.huge_pages, "madvise");
    assert_string_equal(machine.hostname, "xeon");
    assert_string_equal(machine.product, "Google Compute Engine");
    assert_string_equal(machine.os, "Debian GNU/Linux 12 (bookworm)");
    assert_string_equal(machine.kernel, "6.1.0-18-cloud-amd64");
    assert_string_equal(machine.governor, "");
    assert_int_equal(machine.turbo, -1);
    assert_true(machine.load[0] == 0.42 && machine.load[1] == 1.05 && machine.load[2] == 10.99);
}

static void test_amd_server(void **state)
{
    (void)state;
    sample_amd_server();
    struct kv_machine machine;
    kv_machine_read(&machine, sample_root);
    assert_string_equal(machine.cpu_vendor, "AuthenticAMD");
    assert_int_equal(machine.hypervisor, 0);
    assert_features(&machine, "sse2 avx avx2 fma");
    assert_int_equal(machine.cores_affinity, 4);
    assert_int_equal(machine.sockets, 2);
    assert_cache(&machine.l1d, 32 * 1024, 4);
    assert_cache(&machine.l2, -1, -1);
    assert_cache(&machine.l3, 32 * MIB, 2);
    assert_int_equal(machine.memory_limit_bytes, 1024 * MIB);
    assert_string_equal(machine.governor, "schedutil,performance");
    assert_int_equal(machine.turbo, 1);
    assert_string_equal(machine.turbo_control, "cpufreq/boost");

    sample_put("1\n", "/sys/devices/system/cpu/intel_pstate/no_turbo");
    kv_machine_read(&machine, sample_root);
    assert_int_equal(machine.turbo, 0);
}

static void test_arm_board(void **state)
{
    (void)state;
    sample_arm_board();
    struct kv_machine machine;
    kv_machine_read(&machine, sample_root);
    assert_string_equal(machine.cpu_vendor, "ARM");
    assert_string_equal(machine.cpu_name, "Cortex-A72");
    assert_int_equal(machine.cpu_family, 8);
    assert_int_equal(machine.cpu_model, 0xd08);
    assert_int_equal(machine.cpu_stepping, 3);
    assert_int_equal(machine.hypervisor, -1);
    assert_features(&machine, "asimd asimdhp");
    assert_int_equal(machine.cores_online, 4);
    assert_int_equal(machine.sockets, 1);
    assert_cache(&machine.l1d, -1, -1);
    assert_string_equal(machine.product, "Raspberry Pi 4 Model B Rev 1.4");
    assert_string_equal(machine.os, "A \\Board");
    assert_int_equal(machine.memory_total_bytes, 4 * MIB);
    assert_int_equal(machine.memory_available_bytes, -1);
    assert_int_equal(machine.memory_limit_bytes, -1);
    assert_string_equal(machine.governor, "ondemand");
}

static void assert_all_unknown(const struct kv_machine *machine)
{
    assert_string_equal(machine->hostname, "");
    assert_string_equal(machine->product, "");
    assert_string_equal(machine->os, "");
    assert_string_equal(machine->kernel, "");
    assert_string_equal(machine->cpu_vendor, "");
    assert_string_equal(machine->cpu_name, "");
    assert_true(machine->cpu_family == -1 && machine->cpu_model == -1 && machine->cpu_stepping == -1);
    assert_true(machine->hypervisor == -1 && machine->n_features == -1);
    assert_true(machine->cpus_online == -1 && machine->cpus_affinity == -1);
    assert_true(machine->cores_online == -1 && machine->cores_affinity == -1 && machine->sockets == -1);
    assert_cache(&machine->l1d, -1, -1);
    assert_cache(&machine->l1i, -1, -1);
    assert_cache(&machine->l2, -1, -1);
    assert_cache(&machine->l3, -1, -1);
    assert_int_equal(machine->memory_total_bytes, -1);
    assert_int_equal(machine->memory_available_bytes, -1);
    assert_int_equal(machine->memory_limit_bytes, -1);
    assert_string_equal(machine->huge_pages, "");
    assert_string_equal(machine->governor, "");
    assert_int_equal(machine->turbo, -1);
    assert_null(machine->turbo_control);
    assert_true(machine->load[0] == -1 && machine->load[1] == -1 && machine->load[2] == -1);
}

static void test_unknown_machine(void **state)
{
    (void)state;
    struct kv_machine machine;
    kv_machine_read(&machine, sample_root);
    assert_all_unknown(&machine);

    /* Files that are there and say nothing that can be used. */
    sample_put(":\nflags\nmodel\t: x\ncpu family\t: 99999999999\nstepping\t: unknown\n", "/proc/cpuinfo");
    sample_put("x", "/proc/loadavg");
    sample_put("cpu 1 2 3\n", "/proc/stat");
    sample_put("MemTotal: many kB\nMemAvailable: 5 pages\n", "/proc/meminfo");
    sample_put("memory\n4:memory\n::\n", "/proc/self/cgroup");
    sample_put("always\n", "/sys/kernel/mm/transparent_hugepage/enabled");
    sample_put("", "/sys/class/dmi/id/product_name");
    sample_put("2\n", "/sys/devices/system/cpu/intel_pstate/no_turbo");
    const char *lists[] = {"", "0-", "-1", "3-1", "0-9999999999", "0,", "0-1-2", "a"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        sample_put(lists[i], "/sys/devices/system/cpu/online");
        kv_machine_read(&machine, sample_root);
        assert_all_unknown(&machine);
    }
}

static void test_quota(void **state)
{
    struct kv_machine machine;
    (void)state;
    sample_intel_vm();
    sample_put("max 100000\n", "/sys/fs/cgroup/system.slice/run.scope/cpu.max");
    kv_machine_read(&machine, sample_root);
    assert_float_equal(machine.cpu_quota, -1, 0);
    sample_put("150000 100000\n", "/sys/fs/cgroup/system.slice/cpu.max");
    kv_machine_read(&machine, sample_root);
    assert_float_equal(machine.cpu_quota, 1.5, 1e-12);
}

static void test_topology_that_contradicts_itself(void **state)
{
    (void)state;
    sample_intel_vm();
    sample_put("2-3\n", SAMPLE_CPU "topology/thread_siblings_list", 1); /* does not hold CPU 1 itself */
    struct kv_machine machine;
    kv_machine_read(&machine, sample_root);
    assert_int_equal(machine.cpus_online, 4);
    assert_int_equal(machine.cores_online, -1);
    assert_int_equal(machine.cores_affinity, -1);
    assert_int_equal(machine.sockets, 1);
}

/* The one test that looks at this machine: what the C library says must agree. */
static void test_this_machine(void **state)
{
    (void)state;
    struct kv_machine machine;
    kv_machine_read(&machine, NULL);
    assert_int_equal(machine.cpus_online, sysconf(_SC_NPROCESSORS_ONLN));
    assert_in_range(machine.cpus_affinity, 1, machine.cpus_online);
    /* A container may show less in /proc/meminfo than the machine has. */
    assert_in_range(machine.memory_total_bytes, MIB, (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    char hostname[256];
    assert_int_equal(gethostname(hostname, sizeof hostname), 0);
    assert_string_equal(machine.hostname, hostname);
}

static void test_steal(void **state)
{
    (void)state;
    struct kv_cpu_time start, end, unknown = {-1, -1};
    kv_cpu_time_read(&start, sample_root);
    assert_int_equal(start.total, -1);
    sample_intel_vm();
    kv_cpu_time_read(&start, sample_root);
    assert_int_equal(start.steal, 20);
    assert_int_equal(start.total, 1000);
    end = (struct kv_cpu_time){.steal = 25, .total = 1200};
    assert_true(kv_cpu_time_steal_percent(&start, &end) == 2.5);
    assert_true(kv_cpu_time_steal_percent(&start, &start) == -1); /* no tick has passed */
    assert_true(kv_cpu_time_steal_percent(&end, &start) == -1);
    assert_true(kv_cpu_time_steal_percent(&unknown, &end) == -1);
}

/* Mappings that only touch the bytes do not count, and one that goes on beyond them counts no more than them. */
static void test_huge_pages(void **state)
{
    (void)state;
    const void *base = (const void *)(uintptr_t)0x10000000;
    assert_int_equal(kv_huge_bytes(base, 4 * MIB, sample_root), -1);
    sample_put("0fe00000-10000000 rw-p 00000000 00:00 0 \nRss:  2048 kB\nAnonHugePages:      2048 kB\n"
               "10000000-10200000 rw-p 00000000 00:00 0 \nAnonHugePages:      2048 kB\nVmFlags: rd wr hg \n"
               "10200000-10400000 rw-p 00000000 00:00 0 \nAnonHugePages:         0 kB\n"
               "10400000-10c00000 rw-p 00000000 00:00 0  [heap]\nAnonHugePages:      8192 kB\n",
               "/proc/self/smaps");
    assert_int_equal(kv_huge_bytes(base, 4 * MIB, sample_root), 2 * MIB);
    assert_int_equal(kv_huge_bytes(base, 5 * MIB, sample_root), 5 * MIB);
    if (access("/proc/self/smaps", R_OK) == 0)
        assert_in_range(kv_huge_bytes(state, 1, NULL), 0, 1); /* of this machine */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_set_up, sample_tear_down)

/* ---- Counts ------------------------------------------------------------------------------------------ */

static void counts_tell_what_happened_between(void **state)
{
    struct kv_counts start, end;
    (void)state;
    sample_put("cpu  100 0 50 800 20 0 0 30 0 0\n", "/proc/stat");
    sample_put("some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 total=7\n", "/proc/pressure/cpu");
    kv_counts_read(&start, sample_root);
    sample_put("cpu  130 0 60 810 20 0 0 80 0 0\n", "/proc/stat");
    sample_put("some avg10=9.00 avg60=0.00 avg300=0.00 total=2500000\n", "/proc/pressure/cpu");
    kv_counts_read(&end, sample_root);
    assert_true(start.pressure_seconds == 2 && end.pressure_seconds == 2.5);
    assert_true(end.seconds >= start.seconds && end.page_faults >= start.page_faults);
    end.seconds = start.seconds + 2;
    end.switches = start.switches + 3;
    const struct kv_strain strain = kv_strain_between(&start, &end);
    assert_true(strain.seconds == 2 && strain.stolen_pct == 50 && strain.cpu_ticks == 100);
    assert_true(strain.pressure_pct == 25 && strain.switches == 3);
}

static void counts_that_are_not_there_are_unknown(void **state)
{
    struct kv_counts counts;
    (void)state;
    kv_counts_read(&counts, sample_root);
    const struct kv_strain strain = kv_strain_between(&counts, &counts);
    assert_true(isnan(counts.pressure_seconds) && isnan(strain.pressure_pct));
    assert_true(isnan(strain.stolen_pct) && isnan(strain.cpu_ticks));
    assert_true(strain.switches == 0 && strain.page_faults == 0);
    sample_put("full avg10=0.00 avg60=0.00 avg300=0.00 total=2\n", "/proc/pressure/cpu");
    kv_counts_read(&counts, sample_root);
    assert_true(isnan(counts.pressure_seconds));
}

static void the_clock_is_a_mean_of_the_cpus(void **state)
{
    (void)state;
    assert_true(isnan(kv_clock_hz(sample_root)));
    sample_put("2000000\n", SAMPLE_CPU "cpufreq/scaling_cur_freq", 0);
    sample_put("3000000\n", SAMPLE_CPU "cpufreq/scaling_cur_freq", 1);
    assert_true(kv_clock_hz(sample_root) == 2.5e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_intel_vm),
        TEST(test_amd_server),
        TEST(test_arm_board),
        TEST(test_unknown_machine),
        TEST(test_quota),
        TEST(test_topology_that_contradicts_itself),
        TEST(test_this_machine),
        TEST(test_huge_pages),
        TEST(test_steal),
        TEST(counts_tell_what_happened_between),
        TEST(counts_that_are_not_there_are_unknown),
        TEST(the_clock_is_a_mean_of_the_cpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
