#include "unit.h"

#include <fnmatch.h>
#include <stdlib.h>

enum { MAX_TESTS = 64 };

static struct CMUnitTest tests[MAX_TESTS];
static size_t n_tests;
static CMFixtureFunction group_before, group_after;

void list_test(const struct CMUnitTest *test)
{
    const char *wanted = getenv("KV_TESTS");
    if (wanted && fnmatch(wanted, test->name, 0) != 0)
        return;
    if (n_tests < MAX_TESTS)
        tests[n_tests] = *test;
    n_tests++;
}

void list_fixtures(CMFixtureFunction before, CMFixtureFunction after)
{
    group_before = before;
    group_after = after;
}

int main(int argc, char **argv)
{
    (void)argc;
    if (n_tests == 0 || n_tests > MAX_TESTS) {
        print_error("%zu tests are none, or more than there is room for\n", n_tests);
        return 1;
    }
    return _cmocka_run_group_tests(argv[0], tests, n_tests, group_before, group_after);
}

struct kv_pool *make_pool(int n_threads)
{
    struct kv_pool *pool;
    OK(kv_pool_create(&pool, n_threads, &error));
    return pool;
}

struct kv_model *synthesize(const struct kv_config *config, uint64_t seed, const char *matmul, int n_threads)
{
    struct kv_model *model;
    struct kv_pool *pool = make_pool(n_threads);
    OK(kv_model_synthesize(&model, config, seed, NULL, matmul, pool, &error));
    kv_pool_free(pool);
    return model;
}

struct kv_model *load_model(const char *folder, const char *matmul, int n_threads)
{
    struct kv_model *model;
    struct kv_pool *pool = make_pool(n_threads);
    OK(kv_model_load(&model, folder, NULL, matmul, pool, &error));
    kv_pool_free(pool);
    return model;
}

struct kv_session *make_session(const struct kv_model *model, struct kv_pool *pool, struct kv_session_options options)
{
    struct kv_session *session;
    OK(kv_session_create(&session, model, pool, &options, &error));
    return session;
}
