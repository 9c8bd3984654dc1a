#pragma once
// Starting processes: the part between fork and exec, where only async-signal-safe calls are allowed and no Swift may
// run, and the few Linux calls that Glibc's Swift module does not show.

#include <stdint.h>
#include <sys/types.h>

/// Where a start failed. The number travels from the child to the parent with its errno.
enum drover_stage {
    DROVER_STAGE_FORK = 1,
    DROVER_STAGE_SESSION = 2,
    DROVER_STAGE_DESCRIPTORS = 3,
    DROVER_STAGE_DIRECTORY = 4,
    DROVER_STAGE_EXEC = 5,
};

struct drover_spawn {
    const char *executable;
    char *const *arguments;   // with argv[0], ended by NULL
    char *const *environment; // ended by NULL
    const char *directory;
    int output;       // a descriptor for standard output and error; -1 for /dev/null
    int death_signal; // sent to the process when the *thread* that started it ends; 0 for none
};

/// Starts a process in a session of its own: standard input from /dev/null, no other descriptor, default signals.
/// Returns 0, or an errno with the stage it belongs to. The caller reaps.
int drover_spawn_session(const struct drover_spawn *request, pid_t *pid, int *stage);

/// The same under a keeper, a process between us and it that lets nothing survive:
/// * it is the reaper of every descendant, also of those that leave the session;
/// * it ends with the leader's own end, after it has killed whatever the leader left;
/// * it kills everything when the thread that started it ends, and so when our process does, however it ends;
/// * `drover_keeper_end` makes it send TERM to the group, and KILL to everything after the grace.
/// `pid` is the keeper's. The request's death signal is not looked at.
int drover_spawn_kept(const struct drover_spawn *request, pid_t *pid, int *stage);

/// Asks a keeper to end its group: TERM now, KILL to every descendant after the grace (0: at once). May be repeated;
/// the earliest deadline holds. Returns 0 or an errno.
int drover_keeper_end(pid_t keeper, int grace_milliseconds);

/// A descriptor that becomes readable when the process ends, closed on exec; negative errno on failure.
int drover_pidfd_open(pid_t pid);

/// Signals the session group whose leader the descriptor names, even if the leader has ended. Returns 0 or an errno.
int drover_pidfd_signal_group(int pidfd, pid_t pid, int signal);

/// Reaps a child that has ended. Returns 1 with `code` (an exit code, or minus a signal's number), 0 when it still
/// runs, negative errno when it is no child of ours.
int drover_pidfd_reap(int pidfd, int *code);

/// A pipe whose ends are closed on exec; reading from its read end never blocks. Returns 0 or an errno.
int drover_output_pipe(int *read_end, int *write_end);

/// A set of descriptors to watch (epoll); negative errno on failure.
int drover_watch_create(void);

/// Watches a descriptor until it is readable or hung up once. Returns 0 or an errno.
int drover_watch_add(int set, int descriptor, uint64_t token);

void drover_watch_remove(int set, int descriptor);

/// Waits for at least one; writes the tokens of up to `capacity` and returns their number (0 when interrupted).
int drover_watch_wait(int set, uint64_t *tokens, int capacity);
