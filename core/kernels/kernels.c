#include "kernels/kernels.h"

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* The compiler's run time reads CPUID and, for the operating system's part, XCR0. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* One bundle, as every CPU since Skylake-X and Zen 4 has it. */
static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
}

/* Tiles, their products of bfloat16 and of 8 bits, and the system's permission, which it gives to a process once and for
 * all its threads, also those to come: the state of a thread grows by 8 KiB when it first touches a tile. An old kernel
 * or a container's filter refuses. Asking again changes nothing. */
static bool has_amx(void)
{
    enum {
        ARCH_REQ_XCOMP_PERM = 0x1023,
        XFEATURE_XTILEDATA = 18,
        AMX_BF16 = 1 << 22,
        AMX_TILE = 1 << 24,
        AMX_INT8 = 1 << 25
    };
    const unsigned amx = AMX_BF16 | AMX_TILE | AMX_INT8;
    unsigned a, b, c, d;
    return has_avx512() && __builtin_cpu_supports("avx512bf16") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (d & amx) == amx && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#endif

/* Lowest level first: the last one that is supported is the default. */
static const struct {
    const struct kv_kernels *kernels;
    bool (*supported)(void);
} levels[] = {
    {&kv_kernels_portable, always},
#if defined(__x86_64__)
    {&kv_kernels_avx2, has_avx2},
    {&kv_kernels_avx512, has_avx512},
    {&kv_kernels_amx, has_amx},
#elif defined(__aarch64__)
    {&kv_kernels_neon, always},
#endif
};
enum { N_LEVELS = sizeof levels / sizeof levels[0] };

const struct kv_choice *kv_isa_choice(int index)
{
    return index >= 0 && index < N_LEVELS ? &levels[index].kernels->choice : NULL;
}

bool kv_isa_supported(const char *name)
{
    const int i = name ? kv_choice_find(kv_isa_choice, "isa", name, NULL) : -1;
    return i >= 0 && levels[i].supported();
}

const char *kv_isa_default(void)
{
    const struct kv_kernels *highest = NULL;
    kv_kernels_find(NULL, &highest, NULL);
    return highest->choice.name;
}

kv_status kv_kernels_find(const char *name, const struct kv_kernels **kernels, struct kv_error *error)
{
    int i = N_LEVELS - 1;
    *kernels = NULL;
    if (!name) {
        while (!levels[i].supported())
            i--;
    } else if ((i = kv_choice_find(kv_isa_choice, "isa", name, error)) < 0) {
        return KV_ERROR_ARGUMENT;
    } else if (!levels[i].supported()) {
        return kv_fail(error, KV_ERROR_UNSUPPORTED,
                       "isa '%s' is not supported by this CPU or its system; use a lower one", name);
    }
    *kernels = levels[i].kernels;
    return KV_OK;
}
