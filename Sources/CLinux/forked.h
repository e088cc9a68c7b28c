#ifndef CLINUX_FORKED_H
#define CLINUX_FORKED_H

// For processes that stay a copy of this one, or are until they become a program. After the fork only what is async-signal-safe
// is called: other threads of the parent may have held any lock.

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

// What runs in the child, or beside it: the thread sanitizer takes locks.
#define FORKED __attribute__((no_sanitize("thread"))) static

// The thread sanitizer stands in for what the child calls (read, close, prctl and more) and takes its locks there; a fork that it sees
// makes it let them be, one that it does not see leaves the child waiting for a thread of the parent's.
// Otherwise fork(3) without the handlers of pthread_atfork(3), which take locks as well.
#if __has_feature(thread_sanitizer)
#define COPY_PROCESS fork
#else
#define COPY_PROCESS _Fork
#endif

// A child whose parent ignores SIGCHLD leaves no status behind.
static inline void stopIgnoringChildren(void) {
  struct sigaction action;
  if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
    signal(SIGCHLD, SIG_DFL);
}

// fork(2), with all signals blocked in the child: one that comes right after it would end the child, or run a handler of the parent's
// there.
FORKED pid_t forkBlockingSignals(void) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t process = COPY_PROCESS();
  if (process == 0) return 0;
  int number = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = number;
  return process;
}

// A child at the other end of a link: sockets of `type`, and not a pipe, since a write to one can leave out SIGPIPE. Each of the two has its
// end in `link`; the child has the parent's as well. Returns 0 in the child, and -errno where there is none.
FORKED int32_t forkLinked(int type, int32_t *link) {
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return -errno;
  stopIgnoringChildren();
  pid_t process = forkBlockingSignals();
  int number = errno;
  if (process == 0) {
    *link = ends[0];
    return 0;
  }
  close(ends[0]);
  if (process < 0) {
    close(ends[1]);
    return -number;
  }
  *link = ends[1];
  return process;
}

FORKED void closeRange(uint32_t first, uint32_t last) {
  if (first > last || syscall(SYS_close_range, first, last, 0) == 0) return;
  // A kernel before 5.9, or a filter of the container.
  for (uint32_t number = first; number <= last && number < 65536; number++) close((int)number);
}

// Keeping a descriptor of the parent's would keep a socket open, or a pipe that somebody reads to its end.
FORKED void closeAllBut(int one, int other) {
  uint32_t low = (uint32_t)(one < other ? one : other);
  uint32_t high = (uint32_t)(one < other ? other : one);
  if (low > 0) closeRange(0, low - 1);
  closeRange(low + 1, high - 1);
  closeRange(high + 1, ~0U);
}

// The same, for three.
FORKED void closeAllButThree(int one, int two, int three) {
  uint32_t low = (uint32_t)(one < two ? one : two), high = (uint32_t)(one < two ? two : one);
  uint32_t other = (uint32_t)three;
  uint32_t first = other < low ? other : low, last = other > high ? other : high;
  uint32_t middle = other < low ? low : other > high ? high : other;
  if (first > 0) closeRange(0, first - 1);
  closeRange(first + 1, middle - 1);
  closeRange(middle + 1, last - 1);
  closeRange(last + 1, ~0U);
}

// Waits for the word with which the parent lets the process go. Whether it came, and not the link's end.
FORKED int isLetGo(int link) {
  char byte;
  ssize_t count;
  do
    count = read(link, &byte, 1);
  while (count < 0 && errno == EINTR);
  return count == 1;
}

#endif
