#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

extern char **environ;

// A child whose parent ignores SIGCHLD leaves no status behind.
static void stopIgnoringChildren(void) {
  struct sigaction action;
  if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
    signal(SIGCHLD, SIG_DFL);
}

static int addFiles(posix_spawn_file_actions_t *files, const CLinux_SpawnOptions *options) {
  int result = 0;
  for (int i = 0; result == 0 && i < 3; i++)
    if (options->standard[i] >= 0)
      result = posix_spawn_file_actions_adddup2(files, options->standard[i], i);
  // A descriptor that is duplicated to its own number loses its close-on-exec flag (glibc 2.29 and newer).
  for (int i = 0; result == 0 && i < options->descriptorCount; i++)
    result = posix_spawn_file_actions_adddup2(files, options->descriptors[i], options->descriptors[i]);
  return result;
}

static int setAttributes(posix_spawnattr_t *attributes, const CLinux_SpawnOptions *options) {
  sigset_t none, standard;
  sigemptyset(&none);
  sigemptyset(&standard);
  sigaddset(&standard, SIGPIPE);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options->startsSession)
    flags |= POSIX_SPAWN_SETSID;
  int result = posix_spawnattr_setsigmask(attributes, &none);
  if (result == 0)
    result = posix_spawnattr_setsigdefault(attributes, &standard);
  if (result == 0)
    result = posix_spawnattr_setflags(attributes, flags);
  return result;
}

int32_t CLinux_spawn(const char *program, char *const *arguments, const CLinux_SpawnOptions *options) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  pid_t process = -1;
  stopIgnoringChildren();
  int result = posix_spawn_file_actions_init(&files);
  if (result != 0)
    return -result;
  result = posix_spawnattr_init(&attributes);
  if (result == 0) {
    result = addFiles(&files, options);
    if (result == 0)
      result = setAttributes(&attributes, options);
    if (result == 0)
      result = posix_spawnp(&process, program, &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&files);
  return result == 0 ? process : -result;
}

int32_t CLinux_processDescriptor(int32_t process) {
  int descriptor = (int)syscall(SYS_pidfd_open, process, 0);
  return descriptor >= 0 ? descriptor : -errno;
}

int32_t CLinux_signalProcess(int32_t descriptor, int32_t number) {
  return syscall(SYS_pidfd_send_signal, descriptor, number, NULL, 0) == 0 ? 0 : -errno;
}

int32_t CLinux_waitChild(int32_t process, int32_t blocks, int32_t *how, int32_t *status) {
  siginfo_t found;
  int result;
  do {
    found.si_pid = 0;
    result = waitid(P_PID, (id_t)process, &found, WEXITED | (blocks ? 0 : WNOHANG));
  } while (result != 0 && errno == EINTR);
  if (result != 0)
    return -errno;
  if (found.si_pid == 0)
    return 0;
  *how = found.si_code;
  *status = found.si_status;
  return 1;
}

// Only calls that are safe after a fork of a process with threads.
static _Noreturn void guard(int target, int input) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  // The terminal's signals and its end are not the guard's business.
  setsid();
  prctl(PR_SET_NAME, "mapped-ram-guard", 0, 0, 0);
  // Keeping a descriptor of the parent's would keep a socket open, or a pipe that somebody reads to its end.
  int low = target < input ? target : input, high = target < input ? input : target;
  if (low > 0)
    syscall(SYS_close_range, 0, low - 1, 0);
  if (high > low + 1)
    syscall(SYS_close_range, low + 1, high - 1, 0);
  syscall(SYS_close_range, high + 1, ~0U, 0);
  char byte;
  ssize_t count;
  do
    count = read(input, &byte, 1);
  while (count < 0 && errno == EINTR);
  if (count != 1)
    syscall(SYS_pidfd_send_signal, target, SIGKILL, NULL, 0);
  _exit(0);
}

int32_t CLinux_startGuard(int32_t target, int32_t *release) {
  // Sockets and not a pipe, since a write to one can leave out SIGPIPE.
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return -errno;
  stopIgnoringChildren();
  pid_t process = fork();
  if (process == 0)
    guard(target, ends[0]);
  int number = errno;
  close(ends[0]);
  if (process < 0) {
    close(ends[1]);
    return -number;
  }
  *release = ends[1];
  return process;
}

int32_t CLinux_releaseGuard(int32_t guard, int32_t release) {
  char byte = 0;
  ssize_t count;
  do
    count = send(release, &byte, 1, MSG_NOSIGNAL);
  while (count < 0 && errno == EINTR);
  close(release);
  int32_t how, status;
  int32_t result = CLinux_waitChild(guard, 1, &how, &status);
  return result < 0 ? result : 0;
}

int32_t CLinux_signalDescriptor(const int32_t *numbers, int32_t count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++)
    sigaddset(&set, numbers[i]);
  int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return descriptor >= 0 ? descriptor : -errno;
}

int32_t CLinux_readSignal(int32_t descriptor, int32_t *isFromKernel) {
  struct signalfd_siginfo found;
  ssize_t count;
  do
    count = read(descriptor, &found, sizeof found);
  while (count < 0 && errno == EINTR);
  if (count < 0)
    return -errno;
  *isFromKernel = found.ssi_code == SI_KERNEL;
  return (int32_t)found.ssi_signo;
}
