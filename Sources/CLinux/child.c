#include "child.h"
#include "forked.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

// How long a program may take to hear what a guard has said, QEMU reads nothing until it has opened its disks; and for how much of it the
// guard itself is there.
enum { FAREWELL_SECONDS = 60, GUARD_SECONDS = 1 };

// Tells the parent why there is no program, and ends.
FORKED _Noreturn void giveUp(int errors) {
  int number = errno;
  while (write(errors, &number, sizeof number) < 0 && errno == EINTR)
    ;
  _exit(127);
}

// A handler of the parent's must not run here.
FORKED void resetSignals(void) {
  for (int number = 1; number < NSIG; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) != 0) continue;
    if (action.sa_handler != SIG_IGN || number == SIGPIPE) {
      action.sa_handler = SIG_DFL;
      action.sa_flags = 0;
      sigaction(number, &action, NULL);
    }
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

// Lets `number` be a copy of `descriptor` that the program inherits.
FORKED int inherit(int descriptor, int number) {
  if (descriptor == number) {
    int flags = fcntl(number, F_GETFD);
    return flags < 0 ? flags : fcntl(number, F_SETFD, flags & ~FD_CLOEXEC);
  }
  return dup2(descriptor, number);
}

// The standard descriptors are replaced last: what they are replaced by, and what is needed until the end, is out of their way.
FORKED _Noreturn void become(const char *program, char *const *arguments,
                             const CLinux_SpawnOptions *options, int gate, int errors) {
  // The parent has ended, or has changed its mind.
  if (!isLetGo(gate)) _exit(127);
  if (options->startsSession && setsid() < 0) giveUp(errors);
  for (int i = 0; i < options->descriptorCount; i++)
    if (inherit(options->descriptors[i], options->descriptors[i]) < 0) giveUp(errors);
  int standard[3];
  for (int i = 0; i < 3; i++) {
    standard[i] = options->standard[i] < 0 ? -1 : fcntl(options->standard[i], F_DUPFD_CLOEXEC, 3);
    if (options->standard[i] >= 0 && standard[i] < 0) giveUp(errors);
  }
  for (int i = 0; i < 3; i++)
    if (standard[i] >= 0 && dup2(standard[i], i) < 0) giveUp(errors);
  resetSignals();
  // execvp would take a text that is no program for a shell's.
  if (strchr(program, '/') != NULL)
    execv(program, arguments);
  else
    execvp(program, arguments);
  giveUp(errors);
}

// A pipe whose ends are out of the way of the standard descriptors.
static int makePipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  for (int i = 0; i < 2; i++) {
    if (ends[i] > 2) continue;
    int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
    int number = errno;
    close(ends[i]);
    ends[i] = moved;
    if (moved < 0) {
      close(ends[1 - i]);
      return -number;
    }
  }
  return 0;
}

int32_t CLinux_spawn(const char *program, char *const *arguments,
                     const CLinux_SpawnOptions *options, CLinux_Spawned *spawned) {
  int gate[2], errors[2];
  int result = makePipe(gate);
  if (result != 0) return result;
  result = makePipe(errors);
  if (result == 0) {
    stopIgnoringChildren();
    pid_t process = forkBlockingSignals();
    int number = errno;
    if (process == 0) {
      // Its own copy would keep the gate from ending with the parent.
      close(gate[1]);
      become(program, arguments, options, gate[0], errors[1]);
    }
    close(errors[1]);
    *spawned = (CLinux_Spawned){process, gate[1], errors[0]};
    if (process < 0) {
      close(errors[0]);
      result = -number;
    }
  }
  close(gate[0]);
  if (result != 0) close(gate[1]);
  return result;
}

int32_t CLinux_letRun(const CLinux_Spawned *spawned) {
  char byte = 0;
  ssize_t count;
  // Nobody reads if the child was killed meanwhile; the signal must not come here.
  sigset_t pipeSignal, before;
  sigemptyset(&pipeSignal);
  sigaddset(&pipeSignal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipeSignal, &before);
  do
    count = write(spawned->gate, &byte, 1);
  while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EPIPE) {
    struct timespec now = {0, 0};
    sigtimedwait(&pipeSignal, NULL, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(spawned->gate);
  int number = 0;
  do
    count = read(spawned->errors, &number, sizeof number);
  while (count < 0 && errno == EINTR);
  close(spawned->errors);
  return count == sizeof number ? -number : 0;
}

void CLinux_dropSpawned(const CLinux_Spawned *spawned) {
  close(spawned->gate);
  close(spawned->errors);
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

FORKED int64_t millisecondsUntil(const struct timespec *end) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)(end->tv_sec - now.tv_sec) * 1000 + (end->tv_nsec - now.tv_nsec) / 1000000;
}

// Waits for `events`, or the end, of a descriptor; 0 when the time is over.
FORKED int waitUntil(const struct timespec *end, int descriptor, short events) {
  for (;;) {
    int64_t left = millisecondsUntil(end);
    struct pollfd waiting = {descriptor, events, 0};
    int result = poll(&waiting, 1, left > 0 ? (int)left : 0);
    if (result > 0) return 1;
    if (result < 0 ? errno != EINTR : left <= 0) return 0;
  }
}

FORKED struct timespec after(int32_t seconds) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += seconds;
  return end;
}

// Whether all of it was said before the time was over.
FORKED int say(const CLinux_Farewell *farewell, const struct timespec *end) {
  size_t done = 0;
  while (done < farewell->byteCount) {
    ssize_t count = send(farewell->socket, farewell->bytes + done, farewell->byteCount - done,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0)
      done += (size_t)count;
    else if (errno == EAGAIN) {
      if (!waitUntil(end, farewell->socket, POLLOUT)) return 0;
    } else if (errno != EINTR)
      return 0;
  }
  return 1;
}

// Until nobody has the other end any more: whoever has it and has not read yet what was said loses it with ours (QEMU does). Whether that
// came before the time was over.
FORKED int waitForEndOfConversation(int socket, int32_t seconds) {
  static char answers[4096];
  struct timespec end = after(seconds);
  while (waitUntil(&end, socket, POLLIN)) {
    ssize_t count = recv(socket, answers, sizeof answers, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) return 1;
  }
  return 0;
}

FORKED _Noreturn void guard(int target, const CLinux_Farewell *farewell, int input) {
  // The terminal's signals and its end are not the guard's business.
  setsid();
  prctl(PR_SET_NAME, "mapped-ram-guard", 0, 0, 0);
  closeAllButThree(target, input, farewell == NULL ? input : farewell->socket);
  if (isLetGo(input)) _exit(0);
  int isSaid = 0;
  if (farewell != NULL) {
    struct timespec end = after(farewell->patience);
    isSaid = say(farewell, &end);
    if (isSaid) waitUntil(&end, target, POLLIN);
  }
  syscall(SYS_pidfd_send_signal, target, SIGKILL, NULL, 0);
  // What takes longer is a process's that nobody has to wait for.
  if (isSaid && !waitForEndOfConversation(farewell->socket, GUARD_SECONDS) && COPY_PROCESS() == 0)
    waitForEndOfConversation(farewell->socket, FAREWELL_SECONDS);
  _exit(0);
}

int32_t CLinux_startGuard(int32_t target, const CLinux_Farewell *farewell, int32_t *release) {
  int32_t process = forkLinked(SOCK_STREAM, release);
  if (process == 0) guard(target, farewell, *release);
  return process;
}

void CLinux_letAct(int32_t link) { close(link); }

int32_t CLinux_release(int32_t process, int32_t link) {
  char byte = 0;
  ssize_t count;
  do
    count = send(link, &byte, 1, MSG_NOSIGNAL);
  while (count < 0 && errno == EINTR);
  close(link);
  int32_t how, status;
  int32_t result = CLinux_waitChild(process, 1, &how, &status);
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
