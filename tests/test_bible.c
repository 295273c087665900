/* data/bible_kjv.sh against a `bible` that prints what each test wants, with a PATH of a few basic tools.
 *   test_bible BIBLE_SCRIPT */
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define N_CHAPTERS  1189
#define N_VERSES    31102
#define FIRST_VERSE "In the beginning God created the heaven and the earth."
#define LAST_VERSE  "The grace of our Lord Jesus Christ be with you all. Amen."

static const char *script;

/* The chapters of the 66 books. */
static const int chapters_of[] = {50, 40,  27, 36, 34, 24, 21, 4,  31, 24, 22, 25, 29, 36, 10, 13, 10,
                                  42, 150, 31, 12, 8,  66, 52, 5,  48, 12, 14, 3,  9,  1,  4,  7,  3,
                                  3,  3,   2,  14, 4,  28, 16, 24, 21, 28, 16, 16, 13, 6,  6,  4,  4,
                                  5,  3,   6,  4,  3,  1,  13, 5,  5,  3,  5,  1,  1,  1,  22};
enum { N_BOOKS = sizeof chapters_of / sizeof *chapters_of };

/* One test's folder: bin is all of PATH, data holds the script, verses is what `bible` prints. */
struct fixture {
    char folder[64];
    int status;
    char out[2048];
    char err[4096];
};

/* ---- Files ----------------------------------------------------------------------------------------------- */

/* The path of a name in the fixture's folder; valid until the third call after this one. */
static const char *path_of(const struct fixture *f, const char *name)
{
    static char paths[3][256];
    static int next;
    char *path = paths[next++ % 3];
    assert_in_range(snprintf(path, sizeof paths[0], "%s/%s", f->folder, name), 1, sizeof paths[0] - 1);
    return path;
}

static bool exists(const struct fixture *f, const char *name)
{
    return access(path_of(f, name), F_OK) == 0;
}

static void write_text(const struct fixture *f, const char *name, const char *text, int mode)
{
    FILE *file = fopen(path_of(f, name), "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(f, name), (mode_t)mode), 0);
}

static void read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    const size_t length = fread(text, 1, size, file);
    fclose(file);
    assert_true(length < size);
    text[length] = '\0';
}

static void fake(const struct fixture *f, const char *command, const char *body)
{
    char name[64], text[512];
    snprintf(name, sizeof name, "bin/%s", command);
    snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
    write_text(f, name, text, 0755);
}

/* ---- The text that `bible` prints -------------------------------------------------------------------------- */

/* A change to the whole text: a line more before that verse (counted from 1), or another line instead of it. */
struct change {
    int verse;
    const char *before;
    const char *instead; /* "" leaves the verse out */
};

static const char *text_of_verse(int verse)
{
    return verse == 1 ? FIRST_VERSE : verse == N_VERSES ? LAST_VERSE : "And he said, Behold (as it were)";
}

/* All verses under made-up abbreviations, as even as can be over the chapters. */
static void write_verses(const struct fixture *f, struct change change)
{
    FILE *file = fopen(path_of(f, "verses"), "we");
    assert_non_null(file);
    for (int book = 0, chapter = 0, verse = 0; book < N_BOOKS; book++) {
        for (int c = 1; c <= chapters_of[book]; c++, chapter++) {
            const int n_verses = N_VERSES / N_CHAPTERS + (chapter < N_VERSES % N_CHAPTERS);
            for (int v = 1; v <= n_verses; v++) {
                const bool here = ++verse == change.verse;
                if (here && change.before)
                    fprintf(file, "%s\n", change.before);
                if (here && change.instead)
                    fputs(change.instead, file);
                else
                    fprintf(file, "%sB%c%c%d:%d %s\n", book % 5 ? "" : "1", 'a' + book / 26, 'a' + book % 26, c, v,
                            text_of_verse(verse));
            }
        }
    }
    assert_int_equal(fclose(file), 0);
}

/* ---- The script --------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    static const char *const tools[] = {"sh", "dirname", "awk", "wc", "cut",   "sha256sum", "mktemp", "mv",
                                        "rm", "cat",     "env", "id", "sleep", "head",      "tail",   "tr"};
    static char text[1 << 15];
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->folder, "/tmp/kvbench bible-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(mkdir(path_of(f, "bin"), 0755), 0);
    assert_int_equal(mkdir(path_of(f, "data"), 0755), 0);
    assert_int_equal(mkdir(path_of(f, "scratch"), 0755), 0);
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        char name[64], target[64];
        snprintf(name, sizeof name, "bin/%s", tools[i]);
        snprintf(target, sizeof target, "/usr/bin/%s", tools[i]);
        if (access(target, X_OK) != 0)
            snprintf(target, sizeof target, "/bin/%s", tools[i]);
        assert_int_equal(access(target, X_OK), 0);
        assert_int_equal(symlink(target, path_of(f, name)), 0);
    }
    read_text(script, text, sizeof text);
    write_text(f, "data/bible_kjv.sh", text, 0755);
    fake(f, "bible", "echo \"$*\" >\"$FOLDER/asked\"; cat \"$FOLDER/verses\"");
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    const int failed = nftw(f->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return failed;
}

/* In a process group of its own, as a shell starts what a person may interrupt. arguments: at most 3, NULL at the end
 */
static pid_t start(const struct fixture *f, const char *const *arguments)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    const char *argv[5] = {path_of(f, "data/bible_kjv.sh")};
    for (int i = 0; i < 3 && arguments[i]; i++)
        argv[1 + i] = arguments[i];
    setpgid(0, 0);
    setenv("PATH", path_of(f, "bin"), 1);
    setenv("TMPDIR", path_of(f, "scratch"), 1);
    setenv("FOLDER", f->folder, 1);
    if (chdir(f->folder) == 0 && freopen("stdout", "w", stdout) && freopen("stderr", "w", stderr))
        execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(126);
}

/* Waits, reads what was printed, and sees to it that nothing temporary was left. */
static void finish(struct fixture *f, pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    f->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_text(path_of(f, "stdout"), f->out, sizeof f->out);
    read_text(path_of(f, "stderr"), f->err, sizeof f->err);
    assert_int_equal(rmdir(path_of(f, "scratch")), 0); /* it is empty */
    assert_int_equal(mkdir(path_of(f, "scratch"), 0755), 0);
}

static void run(struct fixture *f, const char *const *arguments)
{
    finish(f, start(f, arguments));
}
#define RUN(f, ...) run((f), (const char *const[]){__VA_ARGS__, NULL})

static void assert_status(const struct fixture *f, int expected)
{
    if (f->status != expected)
        fail_msg("exit status %d instead of %d; stderr: %s", f->status, expected, f->err);
}

/* It ended so, the last line on stderr names that, and there is neither OUT nor a part of it. */
static void assert_refused(const struct fixture *f, int expected, const char *part)
{
    assert_status(f, expected);
    const char *last = strstr(f->err, "bible_kjv.sh: ");
    for (const char *next = last; next; next = strstr(next + 1, "\nbible_kjv.sh: "))
        last = next;
    if (!last || !strstr(last, part))
        fail_msg("'%s' is not in the last line of stderr: %s", part, f->err);
    assert_string_equal(f->out, "");
    assert_int_equal(rename(path_of(f, "data/bible_kjv.sh"), path_of(f, "script")), 0);
    assert_int_equal(rmdir(path_of(f, "data")), 0);
    assert_int_equal(mkdir(path_of(f, "data"), 0755), 0);
    assert_int_equal(rename(path_of(f, "script"), path_of(f, "data/bible_kjv.sh")), 0);
}

/* ---- Tests -------------------------------------------------------------------------------------------------- */

static int count_lines(const char *text, const char *line)
{
    const size_t length = strlen(line);
    int n = 0;
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
        n += strncmp(at, line, length) == 0 && at[length] == '\n';
    return n;
}

static void test_whole_text(void **state)
{
    static const char *const headings[] = {"Genesis 50", "1 Samuel 31",       "Psalm 150",  "Song of Solomon 8",
                                           "Obadiah 1",  "1 Thessalonians 5", "Philemon 1", "Jude 1",
                                           "Malachi 4",  "Matthew 1",         "Titus 3",    "Revelation 22"};
    static char text[2 << 20], asked[256];
    struct fixture *f = *state;
    write_verses(f, (struct change){.verse = 0});
    run(f, (const char *const[]){NULL});
    assert_status(f, 0);
    assert_string_equal(f->err, "");
    read_text(path_of(f, "asked"), asked, sizeof asked);
    assert_string_equal(asked, "-f gen1:1-rev22:21\n");
    read_text(path_of(f, "data/bible-kjv.txt"), text, sizeof text);
    static const char begin[] = "Genesis 1\n\n" FIRST_VERSE "\nAnd he", end[] = "were)\n" LAST_VERSE "\n";
    assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
    assert_string_equal(text + strlen(text) - strlen(end), end);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
        assert_int_equal(count_lines(text, headings[i]), 1);
    assert_int_equal(count_lines(text, ""), 2 * N_CHAPTERS - 1);
    assert_int_equal(count_lines(text, text_of_verse(2)), N_VERSES - 2);
    assert_non_null(strstr(text, "were)\n\nGenesis 2\n\nAnd he"));
    assert_non_null(strstr(text, "were)\n\nExodus 1\n\nAnd he"));
}

static void test_its_size_and_digest_are_told(void **state)
{
    struct fixture *f = *state;
    char expected[256], digest[65] = "";
    struct stat status;
    write_verses(f, (struct change){.verse = 0});
    RUN(f, "a b.txt");
    assert_status(f, 0);
    assert_int_equal(stat(path_of(f, "a b.txt"), &status), 0);
    snprintf(expected, sizeof expected, "sha256sum '%s'", path_of(f, "a b.txt"));
    FILE *pipe = popen(expected, "r");
    assert_non_null(pipe);
    assert_int_equal(fread(digest, 1, 64, pipe), 64);
    pclose(pipe);
    /* 7 words a verse, but 10 and 12 in the first and the last; 2 a heading, one more for the chapters of 1 Samuel and
     * the 16 other books that begin with a number, two more for the 8 of the Song of Solomon */
    const int numbered = 31 + 24 + 22 + 25 + 29 + 36 + 16 + 13 + 5 + 3 + 6 + 4 + 5 + 3 + 5 + 1 + 1;
    const int n_words = 7 * (N_VERSES - 2) + 10 + 12 + 2 * N_CHAPTERS + numbered + 2 * 8;
    snprintf(expected, sizeof expected, "a b.txt: %lld bytes, %d words, %d verses\nsha256 %s\n",
             (long long)status.st_size, n_words, N_VERSES, digest);
    assert_string_equal(f->out, expected);
}

static void test_slips_of_typing_go(void **state)
{
    static char text[2 << 20];
    struct fixture *f = *state;
    write_verses(f, (struct change){2, NULL, "1Baa1:2 two  runs   of spaces, one at the end \n"});
    RUN(f, "out");
    assert_status(f, 0);
    read_text(path_of(f, "out"), text, sizeof text);
    assert_int_equal(count_lines(text, "two runs of spaces, one at the end"), 1);
}

static void test_other_texts_are_refused(void **state)
{
    static const struct {
        struct change change;
        const char *part;
    } changes[] = {
        {{N_VERSES, NULL, ""}, "verses: 31101 and not 31102"},
        {{N_VERSES, "1Bcn22:26 And one more.", "1Bcn22:27 " LAST_VERSE "\n"}, "verses: 31103"},
        {{1, NULL, "1Baa1:1 At first God made\n"}, "the first verse begins \"At first"},
        {{N_VERSES, NULL, "1Bcn22:26 The end.\n"}, "the last verse begins \"The end"},
        {{2, NULL, ""}, "the verse at 1Baa1:3: 3 and not 2"},
        {{2, "1Baa1:1 Again.", NULL}, "the verse at 1Baa1:1: 1 and not 2"},
        {{N_VERSES, "1Bcn24:1 A chapter too far.", NULL}, "the chapter that begins at 1Bcn24:1"},
        {{N_VERSES, "1Bcn23:1 One chapter more.", ""}, "chapters of Revelation: 23 and not 22"},
        {{N_VERSES, "Bzz1:1 One book more.", NULL}, "books: more than 66"},
        {{100, NULL, "Genesis\n"}, "line 100 is no verse"},
        {{100, NULL, "1Baa4:19 \n"}, "line 100 is no verse"},
        {{100, NULL, "1Baa4:19 Beg\303\266tter\n"}, "line 100 is no verse"},
        {{100, "", NULL}, "line 100 is no verse"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        write_verses(f, changes[i].change);
        run(f, (const char *const[]){NULL});
        assert_refused(f, 1, changes[i].part);
    }
    write_text(f, "verses", "", 0644);
    run(f, (const char *const[]){NULL});
    assert_refused(f, 1, "books: 0 and not 66");
}

static void test_failures_keep_what_was_there(void **state)
{
    struct fixture *f = *state;
    char text[64];
    write_text(f, "out", "as before", 0644);
    fake(f, "bible", "echo 'no bible.data' >&2; exit 3");
    RUN(f, "out");
    assert_refused(f, 1, "'bible' failed (no bible.data); install bible-kjv again");
    RUN(f, "nowhere/out");
    assert_refused(f, 1, "cannot write nowhere/out");
    read_text(path_of(f, "out"), text, sizeof text);
    assert_string_equal(text, "as before");
}

static void test_interruption_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    fake(f, "bible", ": >\"$FOLDER/started\"; sleep 30");
    const pid_t child = start(f, (const char *const[]){NULL});
    for (int i = 0; i < 1000 && !exists(f, "started"); i++)
        usleep(10000);
    assert_true(exists(f, "started"));
    assert_int_equal(kill(-child, SIGTERM), 0);
    finish(f, child);
    assert_refused(f, 143, "interrupted");
}

static void test_usage(void **state)
{
    struct fixture *f = *state;
    RUN(f, "--wrong");
    assert_refused(f, 2, "unknown option --wrong");
    RUN(f, "a", "b");
    assert_refused(f, 2, "'b' was given too");
    RUN(f, "scratch");
    assert_refused(f, 2, "not 'scratch'");
    RUN(f, "");
    assert_refused(f, 2, "not ''");
    assert_false(exists(f, "asked"));
    RUN(f, "--help");
    assert_status(f, 0);
    assert_int_equal(strncmp(f->out, "Usage: data/bible_kjv.sh ", 25), 0);
}

/* ---- The package -------------------------------------------------------------------------------------------- */

/* Notes each call, and installs the program once it is asked to. */
#define APT                                                                                                            \
    "echo \"apt-get $*\" >>\"$FOLDER/calls\"; case $* in *install*) "                                                  \
    "[ ! -e \"$FOLDER/broken\" ] || { echo 'no such package'; exit 100; }; "                                           \
    "mv \"$FOLDER/bible\" \"$FOLDER/bin/bible\" ;; *) exit 1 ;; esac"

static void take_bible_away(const struct fixture *f, const char *user)
{
    char body[64];
    snprintf(body, sizeof body, "echo %s", user);
    assert_int_equal(rename(path_of(f, "bin/bible"), path_of(f, "bible")), 0);
    assert_int_equal(unlink(path_of(f, "bin/id")), 0);
    fake(f, "id", body);
}

static void test_package_is_missing(void **state)
{
    struct fixture *f = *state;
    take_bible_away(f, "1000");
    run(f, (const char *const[]){NULL});
    assert_refused(f, 1, "install Debian's package bible-kjv, or what has it on this system");
    fake(f, "apt-get", APT);
    run(f, (const char *const[]){NULL});
    assert_refused(f, 1, "as root, run: apt-get update && apt-get install -y --no-install-recommends bible-kjv");
    assert_false(exists(f, "calls"));
}

static void test_package_cannot_be_installed(void **state)
{
    struct fixture *f = *state;
    take_bible_away(f, "0");
    fake(f, "apt-get", APT);
    write_text(f, "broken", "", 0644);
    run(f, (const char *const[]){NULL});
    assert_refused(f, 1, "apt-get failed, as shown above");
    assert_non_null(strstr(f->err, "no such package\n"));
    fake(f, "apt-get", "exit 0");
    run(f, (const char *const[]){NULL});
    assert_refused(f, 1, "bible-kjv is installed and has no program 'bible'");
}

static void install_as(struct fixture *f, const char *user)
{
    char calls[512];
    take_bible_away(f, user);
    fake(f, "apt-get", APT);
    write_verses(f, (struct change){.verse = 0});
    run(f, (const char *const[]){NULL});
    assert_status(f, 0);
    assert_true(exists(f, "data/bible-kjv.txt"));
    read_text(path_of(f, "calls"), calls, sizeof calls);
    assert_string_equal(calls, "apt-get update\napt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "
                               "bible-kjv\n");
}

static void test_root_installs_the_package(void **state)
{
    struct fixture *f = *state;
    install_as(f, "0");
    assert_string_equal(f->err, "bible_kjv.sh: installing bible-kjv (apt-get)\n");
}

static void test_sudo_installs_the_package(void **state)
{
    struct fixture *f = *state;
    fake(f, "sudo", "exec \"$@\"");
    install_as(f, "1000");
    assert_string_equal(f->err, "bible_kjv.sh: installing bible-kjv (sudo apt-get)\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole_text),
        TEST(test_its_size_and_digest_are_told),
        TEST(test_slips_of_typing_go),
        TEST(test_other_texts_are_refused),
        TEST(test_failures_keep_what_was_there),
        TEST(test_interruption_leaves_nothing),
        TEST(test_usage),
        TEST(test_package_is_missing),
        TEST(test_package_cannot_be_installed),
        TEST(test_root_installs_the_package),
        TEST(test_sudo_installs_the_package),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: test_bible BIBLE_SCRIPT\n");
        return 2;
    }
    script = argv[1];
    return cmocka_run_group_tests_name("bible", tests, NULL, NULL);
}
