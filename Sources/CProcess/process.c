#define _GNU_SOURCE
#include "CProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// What a child writes to its parent when it could not become the program.
struct failure {
    int stage;
    int error;
};

// Descriptors made ready by the parent, all above 2, so that dup2 below never hits one of them.
struct descriptors {
    int input;
    int output;
    int report; // closed by a successful exec
};

static const int largest_signal = 64;
// The keeper's own word for "the one who started me is gone".
#define PARENT_ENDED SIGHUP
// `drover_keeper_end`'s word, with the grace as its value. A realtime signal, because those queue: a second, shorter
// grace is not lost while the first still waits to be taken.
#define END_ASKED (SIGRTMIN + 1)
// The grace where somebody sends the keeper a plain TERM.
static const int default_grace_milliseconds = 10000;
// Processes that do not even follow KILL (they hang in the kernel) are waited for no longer than this.
static const int leftover_milliseconds = 10000;
static const int leftover_poll_milliseconds = 20;

// MARK: Between fork and exec

static void give_up(int report, int stage, int error) {
    struct failure failure = {stage, error};
    ssize_t written;
    do {
        written = write(report, &failure, sizeof failure);
    } while (written < 0 && errno == EINTR);
    _exit(127);
}

// By the bare system call, because glibc hides its own two signals, which may have been inherited ignored. All zeros
// is the default disposition on every architecture.
static void reset_signals(void) {
    static const unsigned char defaults[64];
    for (int number = 1; number <= largest_signal; number++)
        syscall(SYS_rt_sigaction, number, defaults, NULL, (size_t)(largest_signal / 8));
}

// Closes everything above 2 but `first` and `second` (which may be the same).
static int close_others(int first, int second) {
    int low = first < second ? first : second, high = first < second ? second : first;
    if (low > 3 && close_range(3, (unsigned)low - 1, 0) < 0) return -1;
    if (high > low + 1 && close_range((unsigned)low + 1, (unsigned)high - 1, 0) < 0) return -1;
    return close_range((unsigned)high + 1, UINT_MAX, 0);
}

// Becomes the program, or reports why not. All signals are blocked when this begins. It may run in a vfork child: it
// writes to nothing but its own frame.
static void become(const struct drover_spawn *request, const struct descriptors *files, int death_signal,
                   pid_t parent) {
    if (death_signal != 0) {
        prctl(PR_SET_PDEATHSIG, death_signal);
        if (getppid() != parent) _exit(127);
    }
    if (setsid() < 0) give_up(files->report, DROVER_STAGE_SESSION, errno);
    if (dup2(files->input, 0) < 0 || dup2(files->output, 1) < 0 || dup2(files->output, 2) < 0 ||
        close_others(files->report, files->report) < 0)
        give_up(files->report, DROVER_STAGE_DESCRIPTORS, errno);
    if (chdir(request->directory) < 0) give_up(files->report, DROVER_STAGE_DIRECTORY, errno);
    reset_signals();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(request->executable, request->arguments, request->environment);
    give_up(files->report, DROVER_STAGE_EXEC, errno);
}

// MARK: The keeper

static int64_t monotonic_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Signals every direct child. As the keeper is the reaper of its descendants, repeating it reaches all of them: whose
// parent has been killed becomes a direct child. `except` is left out: it has been told already.
static void signal_children(int number, pid_t except) {
    int file = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    char text[4096];
    pid_t pid = 0;
    ssize_t count;
    while ((count = read(file, text, sizeof text)) > 0) {
        for (ssize_t index = 0; index < count; index++) {
            if (text[index] >= '0' && text[index] <= '9') {
                pid = pid * 10 + (text[index] - '0');
            } else if (pid > 0) {
                if (pid != except) kill(pid, number);
                pid = 0;
            }
        }
    }
    close(file);
}

static void kill_everything(pid_t leader) {
    kill(-leader, SIGKILL);
    signal_children(SIGKILL, 0);
}

// Waits for one of the keeper's signals: its number, or 0 at the deadline (negative: no deadline).
static int wait_for_signal(int64_t deadline, siginfo_t *information) {
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, END_ASKED);
    sigaddset(&awaited, PARENT_ENDED);
    if (deadline < 0) {
        int number = sigwaitinfo(&awaited, information);
        return number < 0 ? SIGCHLD : number;
    }
    int64_t left = deadline - monotonic_milliseconds();
    if (left < 0) left = 0;
    struct timespec rest = {left / 1000, (left % 1000) * 1000000};
    int number = sigtimedwait(&awaited, information, &rest);
    if (number >= 0) return number;
    return errno == EAGAIN ? 0 : SIGCHLD;
}

// Reaps what has ended, but leaves the leader a zombie: as long as it is one, its number names its group and no other.
static int leader_has_ended(pid_t leader) {
    for (;;) {
        siginfo_t information;
        memset(&information, 0, sizeof information);
        if (waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) < 0) return 1;
        if (information.si_pid == 0) return 0;
        if (information.si_pid == leader) return 1;
        waitpid(information.si_pid, NULL, WNOHANG);
    }
}

// Kills what the leader left and reaps all of it, the leader included. Returns the leader's wait status.
static int clear_away(pid_t leader) {
    int leader_status = 0;
    kill_everything(leader);
    while (waitpid(leader, &leader_status, 0) < 0 && errno == EINTR) {}
    int64_t deadline = monotonic_milliseconds() + leftover_milliseconds;
    while (monotonic_milliseconds() < deadline) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD) break;
        if (pid > 0) continue;
        signal_children(SIGKILL, 0);
        siginfo_t information;
        wait_for_signal(monotonic_milliseconds() + leftover_poll_milliseconds, &information);
    }
    return leader_status;
}

// Ends as the leader ended.
static void end_like(int status) {
    if (WIFSIGNALED(status)) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        int number = WTERMSIG(status);
        signal(number, SIG_DFL);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, number);
        kill(getpid(), number);
        sigprocmask(SIG_UNBLOCK, &one, NULL);
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
}

static void watch(pid_t leader) {
    int64_t deadline = -1;
    for (;;) {
        siginfo_t information;
        memset(&information, 0, sizeof information);
        int number = wait_for_signal(deadline, &information);
        if (leader_has_ended(leader)) break;
        if (number == SIGTERM || number == END_ASKED) {
            int grace = number == END_ASKED ? information.si_value.sival_int : default_grace_milliseconds;
            if (grace > 0) {
                kill(-leader, SIGTERM);
                signal_children(SIGTERM, leader);
            }
            int64_t asked = monotonic_milliseconds() + grace;
            if (deadline < 0 || asked < deadline) deadline = asked;
        } else if (number == PARENT_ENDED) {
            deadline = monotonic_milliseconds();
        }
        if (deadline >= 0 && monotonic_milliseconds() >= deadline) break;
    }
    end_like(clear_away(leader));
}

// The keeper's whole life, in a forked copy of a process with many threads: nothing here allocates or locks.
static void keep(const struct drover_spawn *request, const struct descriptors *files, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, PARENT_ENDED);
    if (getppid() != parent) _exit(127);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "drover-keeper");
    if (setsid() < 0) give_up(files->report, DROVER_STAGE_SESSION, errno);
    reset_signals();
    if (dup2(files->input, 0) < 0 || dup2(files->input, 1) < 0 || dup2(files->input, 2) < 0 ||
        close_others(files->report, files->output) < 0)
        give_up(files->report, DROVER_STAGE_DESCRIPTORS, errno);
    pid_t keeper = getpid();
    // The program's input must be above 2 as well: it is the keeper's own /dev/null.
    struct descriptors own = {.input = 0, .output = files->output, .report = files->report};
    pid_t leader = fork();
    if (leader < 0) give_up(files->report, DROVER_STAGE_FORK, errno);
    if (leader == 0) become(request, &own, SIGKILL, keeper);
    close(files->report);
    close(files->output);
    // So that it holds no mounted file system; where that fails, nothing is lost.
    if (chdir("/") == 0) watch(leader);
    watch(leader);
}

// MARK: The parent's side

// A copy above 2, closed on exec.
static int high_copy(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 3); }

static int high_null(void) {
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (file < 0 || file > 2) return file;
    int copy = high_copy(file);
    close(file);
    return copy;
}

// Reads what the child has to say: nothing after a successful exec.
static int failure_of(int report, struct failure *failure) {
    ssize_t count;
    do {
        count = read(report, failure, sizeof *failure);
    } while (count < 0 && errno == EINTR);
    return count == (ssize_t)sizeof *failure;
}

static int start(const struct drover_spawn *request, int kept, pid_t *pid, int *stage) {
    *stage = DROVER_STAGE_DESCRIPTORS;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return errno;
    struct descriptors files;
    files.input = high_null();
    files.output = request->output < 0 ? high_null() : high_copy(request->output);
    files.report = high_copy(ends[1]);
    int error = files.input < 0 || files.output < 0 || files.report < 0 ? errno : 0;
    close(ends[1]);
    pid_t child = -1;
    if (error == 0) {
        *stage = DROVER_STAGE_FORK;
        pid_t parent = getpid();
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        if (kept) {
            child = fork();
            if (child == 0) keep(request, &files, parent);
        } else {
            child = vfork();
            if (child == 0) become(request, &files, request->death_signal, parent);
        }
        error = child < 0 ? errno : 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (files.input >= 0) close(files.input);
    if (files.output >= 0) close(files.output);
    if (files.report >= 0) close(files.report);
    struct failure failure;
    if (error == 0 && failure_of(ends[0], &failure)) {
        *stage = failure.stage;
        error = failure.error;
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    }
    close(ends[0]);
    if (error == 0) *pid = child;
    return error;
}

int drover_spawn_session(const struct drover_spawn *request, pid_t *pid, int *stage) {
    return start(request, 0, pid, stage);
}

int drover_spawn_kept(const struct drover_spawn *request, pid_t *pid, int *stage) {
    return start(request, 1, pid, stage);
}

int drover_keeper_end(pid_t keeper, int grace_milliseconds) {
    union sigval value = {.sival_int = grace_milliseconds};
    return sigqueue(keeper, END_ASKED, value) < 0 ? errno : 0;
}

// MARK: Descriptors of processes

int drover_pidfd_open(pid_t pid) {
    long descriptor = syscall(SYS_pidfd_open, pid, 0);
    return descriptor < 0 ? -errno : (int)descriptor;
}

int drover_pidfd_signal_group(int pidfd, pid_t pid, int number) {
    // PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9: names the group for certain. Before, only its number can be used.
    if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 1 << 2) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    return kill(-pid, number) < 0 ? errno : 0;
}

int drover_pidfd_reap(int pidfd, int *code) {
    siginfo_t information;
    memset(&information, 0, sizeof information);
    int result;
    do {
        result = waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &information, WEXITED | WNOHANG);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    if (information.si_pid == 0) return 0;
    *code = information.si_code == CLD_EXITED ? information.si_status : -information.si_status;
    return 1;
}

// MARK: Watching

int drover_output_pipe(int *read_end, int *write_end) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return errno;
    // Only our end: the writers share theirs and must block, which is what throttles them.
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    *read_end = ends[0];
    *write_end = ends[1];
    return 0;
}

int drover_watch_create(void) {
    int set = epoll_create1(EPOLL_CLOEXEC);
    return set < 0 ? -errno : set;
}

int drover_watch_add(int set, int descriptor, uint64_t token) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = token}};
    return epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) < 0 ? errno : 0;
}

void drover_watch_remove(int set, int descriptor) { epoll_ctl(set, EPOLL_CTL_DEL, descriptor, NULL); }

int drover_watch_wait(int set, uint64_t *tokens, int capacity) {
    struct epoll_event events[64];
    int count = epoll_wait(set, events, capacity < 64 ? capacity : 64, -1);
    for (int index = 0; index < count; index++) tokens[index] = events[index].data.u64;
    return count < 0 ? 0 : count;
}
