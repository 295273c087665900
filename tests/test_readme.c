/* README.md says what the reference run says: its tables are written by a script, never by hand. */
#include "support.h"

#include <stdlib.h>

static void test_tables_are_of_the_reference_run(void **state)
{
    (void)state;
    assert_int_equal(system("'" KV_PYTHON "' '" KV_README_SCRIPT "' --check"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables_are_of_the_reference_run)};
    return cmocka_run_group_tests_name("readme", tests, NULL, NULL);
}
