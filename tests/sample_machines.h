/* Sample trees of /proc, /sys and /etc for tests, below a temporary folder that each test has to itself. */
#ifndef SAMPLE_MACHINES_H
#define SAMPLE_MACHINES_H

/* That folder, for the test that runs now: empty at first. */
extern char sample_root[64];

/* For cmocka_unit_test_setup_teardown. */
int sample_set_up(void **state);
int sample_tear_down(void **state);

/* Writes the text to a file below sample_root and makes its folders. */
void sample_put(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where that CPU (an int) has its files. */
#define SAMPLE_CPU "/sys/devices/system/cpu/cpu%d/"

/* 4 CPUs of 2 threads a core on one socket; this process may use CPUs 0, 1 and 2 (and absent ones). */
void sample_intel_vm(void);

/* Two sockets of two cores without threads; each socket has an L3 of its own. In a container of 1 GiB. */
void sample_amd_server(void);

/* Four cores, and a kernel that tells little of them. */
void sample_arm_board(void);

#endif
