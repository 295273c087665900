/* fault_calls KIND NUMBER LOG PROGRAM ARGUMENT...: runs the program, and the NUMBER-th of its system calls of a kind goes
 * wrong: KIND is a name of errno's for the writing ones on files, ENOSPC, EIO or EINTR; or "short" for a read of one byte
 * instead of all. LOG, a file, gets how many such calls there were. Standard output and error are no files here. By
 * ptrace, because libc's own writes pass by what is preloaded; x86-64 only. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__

static bool is_counted(const struct user_regs_struct *regs, bool reads)
{
    switch (regs->orig_rax) {
    case SYS_read:
    case SYS_pread64:
        return reads && regs->rdx > 1;
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_fsync:
    case SYS_ftruncate:
        return !reads && regs->rdi > 2;
    case SYS_rename:
        return !reads;
    default:
        return false;
    }
}

/* At the call's entry. An errno takes the place of its result at the exit, the call itself that of one that is none. */
static void spoil(pid_t thread, struct user_regs_struct regs, int reason)
{
    if (reason) {
        regs.orig_rax = (unsigned long long)-1;
        ptrace(PTRACE_SETREGS, thread, NULL, &regs);
        ptrace(PTRACE_SYSCALL, thread, NULL, NULL);
        waitpid(thread, NULL, __WALL);
        ptrace(PTRACE_GETREGS, thread, NULL, &regs);
        regs.rax = (unsigned long long)-reason;
    } else {
        regs.rdx = 1;
    }
    ptrace(PTRACE_SETREGS, thread, NULL, &regs);
}

/* Until the first process has ended; returns its status as waitpid gives it. */
static int trace(pid_t first, int reason, long number, long *n)
{
    int status;
    for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0;) {
        struct __ptrace_syscall_info info = {0};
        int signal = 0;
        if (!WIFSTOPPED(status)) {
            if (thread == first)
                return status;
            continue;
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            struct user_regs_struct regs;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) > 0 &&
                info.op == PTRACE_SYSCALL_INFO_ENTRY && ptrace(PTRACE_GETREGS, thread, NULL, &regs) == 0 &&
                is_counted(&regs, !reason) && ++*n == number)
                spoil(thread, regs, reason);
        } else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
            signal = WSTOPSIG(status);
        }
        ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(long)signal);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int reason;
    } kinds[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EINTR", EINTR}, {"short", 0}};
    size_t kind = 0;
    int status;
    long n = 0;
    while (argc > 4 && kind < 4 && strcmp(argv[1], kinds[kind].name) != 0)
        kind++;
    if (argc < 5 || kind == 4) {
        fputs("usage: fault_calls ENOSPC|EIO|EINTR|short NUMBER LOG PROGRAM ARGUMENT...\n", stderr);
        return 125;
    }
    const pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(124); /* not allowed here */
        raise(SIGSTOP);
        execv(argv[4], argv + 4);
        _exit(125);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    ptrace(PTRACE_SETOPTIONS, child, NULL,
           (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL));
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    status = trace(child, kinds[kind].reason, strtol(argv[2], NULL, 10), &n);
    FILE *log = fopen(argv[3], "w");
    if (log) {
        fprintf(log, "%ld\n", n);
        fclose(log);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#else

int main(void)
{
    return 124;
}

#endif
