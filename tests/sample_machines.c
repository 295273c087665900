#include "sample_machines.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CPU SAMPLE_CPU

char sample_root[64];

int sample_set_up(void **state)
{
    (void)state;
    strcpy(sample_root, "/tmp/kvbench_sample.XXXXXX");
    return mkdtemp(sample_root) == NULL;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

int sample_tear_down(void **state)
{
    (void)state;
    return nftw(sample_root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void sample_put(const char *text, const char *format, ...)
{
    char rest[256], path[384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rest, sizeof rest, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof path, "%s%s", sample_root, rest);
    for (char *slash = strchr(path + strlen(sample_root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_cache(int cpu, int index, const char *level, const char *type, const char *size, const char *shared)
{
    sample_put(level, CPU "cache/index%d/level", cpu, index);
    sample_put(type, CPU "cache/index%d/type", cpu, index);
    sample_put(size, CPU "cache/index%d/size", cpu, index);
    sample_put(shared, CPU "cache/index%d/shared_cpu_list", cpu, index);
}

void sample_intel_vm(void)
{
    sample_put("processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 207\n"
               "model name\t: INTEL(R) XEON(R) PLATINUM 8581C CPU @ 2.30GHz\nstepping\t: 2\n"
               "flags\t\t: fpu sse2 sse4_2 fma hypervisor f16c avx avx2 avx512f avx512dq avx512bw avx512vl amx_bf16 "
               "avx512_bf16 amx_tile avx512fictional\nbugs\t\t: spectre_v1\n\n"
               "processor\t: 1\nvendor_id\t: SecondBlock\nmodel name\t: second\nflags\t\t: amx_int8\n\n",
               "/proc/cpuinfo");
    sample_put("Name:\tkvbench\nCpus_allowed:\tff7\nCpus_allowed_list:\t0-2,4-11\n", "/proc/self/status");
    sample_put("0-3\n", "/sys/devices/system/cpu/online");
    for (int cpu = 0; cpu < 4; cpu++) {
        const char *pair = cpu < 2 ? "0-1\n" : "2-3\n";
        sample_put(pair, CPU "topology/thread_siblings_list", cpu);
        sample_put("0-3\n", CPU "topology/core_siblings_list", cpu);
        put_cache(cpu, 0, "1\n", "Data\n", "48K\n", pair);
        put_cache(cpu, 1, "1\n", "Instruction\n", "32K\n", pair);
        put_cache(cpu, 2, "2\n", "Unified\n", "2048K\n", pair);
        put_cache(cpu, 3, "3\n", "Unified\n", "266240K\n", "0-3\n");
    }
    sample_put("MemTotal:       16384000 kB\nMemFree:         100 kB\nMemAvailable:    8192000 kB\n", "/proc/meminfo");
    sample_put("0::/system.slice/run.scope\n", "/proc/self/cgroup");
    sample_put("max\n", "/sys/fs/cgroup/system.slice/run.scope/memory.max");
    sample_put("4294967296\n", "/sys/fs/cgroup/system.slice/memory.max");
    sample_put("xeon\n", "/proc/sys/kernel/hostname");
    sample_put("6.1.0-18-cloud-amd64\n", "/proc/sys/kernel/osrelease");
    sample_put("Google Compute Engine\n", "/sys/class/dmi/id/product_name");
    sample_put("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", "/etc/os-release");
    sample_put("0.42 1.05 10.99 1/93 8225\n", "/proc/loadavg");
    sample_put("cpu  100 5 50 800 20 3 2 20 40 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n", "/proc/stat");
    sample_put("always [madvise] never\n", "/sys/kernel/mm/transparent_hugepage/enabled");
}

void sample_amd_server(void)
{
    sample_put(
        "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7313 16-Core Processor\n"
        "stepping\t: 1\nflags\t\t: fpu sse2 avx avx2 fma\n\n",
        "/proc/cpuinfo");
    sample_put("Cpus_allowed_list:\t0-3\n", "/proc/self/status");
    sample_put("0-3\n", "/sys/devices/system/cpu/online");
    for (int cpu = 0; cpu < 4; cpu++) {
        char self[8];
        snprintf(self, sizeof self, "%d\n", cpu);
        sample_put(self, CPU "topology/thread_siblings_list", cpu);
        sample_put(cpu % 2 == 0 ? "0,2\n" : "1,3\n", CPU "topology/core_siblings_list", cpu);
        put_cache(cpu, 0, "1\n", "Data\n", "32K\n", self);
        put_cache(cpu, 1, "3\n", "Unified\n", "32M\n", cpu % 2 == 0 ? "0,2\n" : "1,3\n");
        sample_put(cpu == 3 ? "performance\n" : "schedutil\n", CPU "cpufreq/scaling_governor", cpu);
    }
    sample_put("1\n", "/sys/devices/system/cpu/cpufreq/boost");
    sample_put("MemTotal: 2097152 kB\nMemAvailable: 1048576 kB\n", "/proc/meminfo");
    sample_put("5:cpu,cpuacct:/\n4:memory:/docker/0123abcd\n1:name=systemd:/memory\n0::/\n", "/proc/self/cgroup");
    /* Inside the container only the top of its own tree is mounted. */
    sample_put("1073741824\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes");
    sample_put("[always] madvise never\n", "/sys/kernel/mm/transparent_hugepage/enabled");
    sample_put("2.50 0.00 0.00 1/1 1\n", "/proc/loadavg");
}

void sample_arm_board(void)
{
    sample_put(
        "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid asimdhp\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n",
        "/proc/cpuinfo");
    sample_put("Cpus_allowed_list:\t0-3\n", "/proc/self/status");
    sample_put("0-3\n", "/sys/devices/system/cpu/online");
    for (int cpu = 0; cpu < 4; cpu++) {
        char self[8];
        snprintf(self, sizeof self, "%d\n", cpu);
        sample_put(self, CPU "topology/thread_siblings_list", cpu);
        sample_put("0-3\n", CPU "topology/core_siblings_list", cpu);
        sample_put("1\n", CPU "cache/index0/level", cpu);
        sample_put("Data\n", CPU "cache/index0/type", cpu); /* neither size nor sharing, as with an old device tree */
        sample_put("ondemand\n", CPU "cpufreq/scaling_governor", cpu);
    }
    sample_put("Raspberry Pi 4 Model B Rev 1.4", "/sys/firmware/devicetree/base/model");
    sample_put("PRETTY_NAME='A \\Board'\n", "/usr/lib/os-release");
    sample_put("MemTotal: 4096 kB\n", "/proc/meminfo");
    sample_put("0::/user.slice\n", "/proc/self/cgroup");
    sample_put("8388608\n", "/sys/fs/cgroup/user.slice/memory.max"); /* above the total: no limit */
}
