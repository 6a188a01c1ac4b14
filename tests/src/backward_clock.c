/* Lets a process see its wall clock an hour behind as soon as the file named by BACKWARD_CLOCK exists; LD_PRELOADed by the
 * test of the same name. What asks libc gets the answer here. What asks the vDSO by itself is not shown one, makes system
 * calls then, and a seccomp filter sends those to a handler. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_mask)(int, const sigset_t *, sigset_t *);
static unsigned long (*real_auxv)(unsigned long);
static const char *file;

static int is_wall(clockid_t which) {
    return which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    if (!real_clock) real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int saved = errno, made = real_clock(which, at);
    if (made == 0 && is_wall(which) && file && access(file, F_OK) == 0) at->tv_sec -= 3600;
    errno = saved;
    return made;
}

unsigned long getauxval(unsigned long which) {
    if (which == AT_SYSINFO_EHDR) return 0;
    if (!real_auxv) real_auxv = dlsym(RTLD_NEXT, "getauxval");
    return real_auxv(which);
}

/* A blocked signal cannot be handled. */
static int mask(int how, const sigset_t *set, sigset_t *old) {
    sigset_t without;
    if (!real_mask) real_mask = dlsym(RTLD_NEXT, "pthread_sigmask");
    if (set) {
        without = *set;
        if (how != SIG_UNBLOCK) sigdelset(&without, SIGSYS);
        set = &without;
    }
    return real_mask(how, set, old);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    return mask(how, set, old);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
    int e = mask(how, set, old);
    if (e) errno = e;
    return e ? -1 : 0;
}

static void trapped(int signal, siginfo_t *info, void *context) {
    ucontext_t *at = context;
    (void)signal, (void)info;
#if defined(__x86_64__)
    greg_t *r = at->uc_mcontext.gregs;
    r[REG_RAX] = clock_gettime((clockid_t)r[REG_RDI], (struct timespec *)r[REG_RSI]) ? -EINVAL : 0;
#elif defined(__aarch64__)
    unsigned long long *r = (unsigned long long *)at->uc_mcontext.regs;
    r[0] = clock_gettime((clockid_t)r[0], (struct timespec *)r[1]) ? (unsigned long long)-EINVAL : 0;
#else
#error "no registers known"
#endif
}

__attribute__((constructor)) static void begin(void) {
    file = getenv("BACKWARD_CLOCK");
    struct timespec once;
    clock_gettime(CLOCK_MONOTONIC, &once);
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK | SA_RESTART};
    sigaction(SIGSYS, &action, NULL);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME_COARSE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(99);
}
