#ifndef CLINUX_CHILD_H
#define CLINUX_CHILD_H

// Starting, watching and ending a child. Every function returns 0 (or the value that its comment names) when it
// succeeds and -errno when it fails.

#include <stddef.h>
#include <stdint.h>

/// What a child is to get, besides the caller's environment, directory and inheritable descriptors.
typedef struct {
  /// Descriptors that keep their number.
  const int32_t *descriptors;
  int32_t descriptorCount;
  /// The standard input, output and error; -1 for the caller's own.
  int32_t standard[3];
  /// Whether it is to lead a session of its own (setsid).
  int32_t startsSession;
} CLinux_SpawnOptions;

/// A child that waits to be let run.
typedef struct {
  int32_t process;
  /// Where it waits: it ends if this is closed, also by the end of the caller.
  int32_t gate;
  /// Where it tells that exec failed.
  int32_t errors;
} CLinux_Spawned;

/// Makes a process that will be `program`, found in PATH, once it is let run: no signal is blocked in it then, and SIGPIPE is not ignored.
/// SIGCHLD of the caller is set to its default action if it was ignored.
int32_t CLinux_spawn(const char *program, char *const *arguments,
                     const CLinux_SpawnOptions *options, CLinux_Spawned *spawned);

/// Lets it run, and waits until it has become the program. An error is that of execvp(3); the process has ended then, and is to be waited
/// for.
int32_t CLinux_letRun(const CLinux_Spawned *spawned);

/// Lets it end instead.
void CLinux_dropSpawned(const CLinux_Spawned *spawned);

/// pidfd_open(2), close-on-exec; returns the descriptor.
int32_t CLinux_processDescriptor(int32_t process);

/// pidfd_send_signal(2).
int32_t CLinux_signalProcess(int32_t descriptor, int32_t number);

/// waitid(2) of a child. Returns 1 when it has ended, which is told once, and 0 where it still runs and `blocks` is 0. `status` is the
/// exit status or the signal, `how` CLD_EXITED (1), CLD_KILLED (2) or CLD_DUMPED (3).
int32_t CLinux_waitChild(int32_t process, int32_t blocks, int32_t *how, int32_t *status);

/// What is said to a program before it is killed.
typedef struct {
  /// A connected stream socket; the program, or one that it has started, has the other end.
  int32_t socket;
  const uint8_t *bytes;
  size_t byteCount;
  /// How many seconds the program is given then.
  int32_t patience;
} CLinux_Farewell;

/// Forks a process that, when this process ends, says `farewell` (unless that is NULL), waits until the process behind `target` (a pidfd)
/// has ended, but only as long as the farewell says, and kills it with SIGKILL. Then it keeps its end of the farewell's socket until the
/// other end is closed, for a minute at most and after one second in another process. Returns its number; `release` is a descriptor: a
/// byte written to it, as CLinux_release does, makes the guard go without harm.
int32_t CLinux_startGuard(int32_t target, const CLinux_Farewell *farewell, int32_t *release);

/// How many processes a guard of several can watch over; they have numbers below this.
enum { CLinux_GUARDED = 4096 };

/// Forks a process that watches over several: when this process ends, it kills them with SIGKILL. Returns its number; `link` is a
/// descriptor for CLinux_watch, CLinux_unwatch and CLinux_release.
int32_t CLinux_startGuardOfSeveral(int32_t *link);

/// Gives such a guard the process behind `target` (a pidfd) to watch over, as its number `number`. What it was given is never forgotten,
/// also if this process ends at once. -EPIPE where the guard is gone.
int32_t CLinux_watch(int32_t link, int32_t number, int32_t target);

/// Takes a process back.
int32_t CLinux_unwatch(int32_t link, int32_t number);

/// Lets a guard do at once what it is there for; `link` is closed. It is to be waited for.
void CLinux_letAct(int32_t link);

/// Lets a guard end without having done anything, closes `link`, and waits for its end.
int32_t CLinux_release(int32_t process, int32_t link);

/// signalfd(2), close-on-exec and non-blocking; returns the descriptor. The signals must be blocked by the caller.
int32_t CLinux_signalDescriptor(const int32_t *numbers, int32_t count);

/// Reads one signal. Returns its number, or -EAGAIN. `isFromKernel` is 1 for one that no process sent: the terminal's.
int32_t CLinux_readSignal(int32_t descriptor, int32_t *isFromKernel);

#endif
