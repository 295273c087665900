/* Programs of tests that list themselves: TEST(name) { ... } is a test of its program, in the order of the file, and
 * GROUP names what is set up before all of them. KV_TESTS, a pattern of names, leaves out the others. `main` is in
 * unit.c. */
#ifndef KV_TESTS_UNIT_H
#define KV_TESTS_UNIT_H

#include "support.h"

/* `parameter` is what `before` leaves in *state, or the group's. */
#define TEST_WITH(name, parameter, before, after)                                                                      \
    static void test_##name(__attribute__((unused)) parameter);                                                        \
    static void run_##name(void **state)                                                                               \
    {                                                                                                                  \
        test_##name(*state);                                                                                           \
    }                                                                                                                  \
    __attribute__((constructor)) static void list_##name(void)                                                         \
    {                                                                                                                  \
        list_test(&(struct CMUnitTest){#name, run_##name, before, after, NULL});                                       \
    }                                                                                                                  \
    static void test_##name(__attribute__((unused)) parameter)
#define TEST(name) TEST_WITH(name, void *nothing, NULL, NULL)

#define GROUP(before, after)                                                                                           \
    __attribute__((constructor)) static void list_group(void)                                                          \
    {                                                                                                                  \
        list_fixtures(before, after);                                                                                  \
    }

void list_test(const struct CMUnitTest *test);
void list_fixtures(CMFixtureFunction before, CMFixtureFunction after);

/* Of the latest call that took it. */
__attribute__((unused)) static struct kv_error error;
#define OK(call) assert_ok(call, error)
#define REFUSED(call, expected, part, other)                                                                           \
    check_refused((call), (expected), &error, (part), (other), __FILE__, __LINE__)

struct kv_pool *make_pool(int n_threads);
/* By a pool of their own; "reference" keeps plain rows, which tests can read. */
struct kv_model *synthesize(const struct kv_config *config, uint64_t seed, const char *matmul, int n_threads);
struct kv_model *load_model(const char *folder, const char *matmul, int n_threads);
struct kv_session *make_session(const struct kv_model *model, struct kv_pool *pool, struct kv_session_options options);

#endif
