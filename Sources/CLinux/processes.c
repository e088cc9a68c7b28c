#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t CLinux_readProcess(int32_t process, void *local, uint64_t remote, size_t byteCount) {
  struct iovec here = {local, byteCount};
  struct iovec there = {(void *)(uintptr_t)remote, byteCount};
  ssize_t count = process_vm_readv(process, &here, 1, &there, 1, 0);
  return count < 0 ? -errno : count;
}

int64_t CLinux_writeProcess(int32_t process, const void *local, uint64_t remote,
                            size_t byteCount) {
  struct iovec here = {(void *)local, byteCount};
  struct iovec there = {(void *)(uintptr_t)remote, byteCount};
  ssize_t count = process_vm_writev(process, &here, 1, &there, 1, 0);
  return count < 0 ? -errno : count;
}

void CLinux_deviceNumbers(uint64_t device, uint32_t *high, uint32_t *low) {
  *high = major(device);
  *low = minor(device);
}

int32_t CLinux_pipe(int32_t *reading, int32_t *writing) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  *reading = ends[0];
  *writing = ends[1];
  return 0;
}

int32_t CLinux_reap(int32_t process) {
  int status;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return 0;
}

// The watchdog. After the fork only what is async-signal-safe is called: other threads of the parent may have held any
// lock.

#define WATCHDOG __attribute__((no_sanitize("thread"))) static

enum { INPUT = 0, SOCKET = 1, BUFFER = 65536, ANSWER_SECONDS = 300, ATTEMPTS = 1500 };
static char buffer[BUFFER];

WATCHDOG int sendAll(const uint8_t *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(SOCKET, bytes, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd waiting = {SOCKET, POLLOUT, 0};
      if (poll(&waiting, 1, ANSWER_SECONDS * 1000) <= 0) return 0;
      continue;
    }
    if (sent <= 0) return 0;
    bytes += sent;
    count -= (size_t)sent;
  }
  return 1;
}

// Waits for the line that has `mark` in it. Gives 1 for success, 0 for an error in it, -1 where none comes.
WATCHDOG int readAnswer(const uint8_t *mark, size_t markLength) {
  static size_t used = 0;
  for (;;) {
    char *end = memchr(buffer, '\n', used);
    while (end != NULL) {
      size_t length = (size_t)(end - buffer) + 1;
      int isOurs = memmem(buffer, length, mark, markLength) != NULL;
      int isError = memmem(buffer, length, "\"error\"", 7) != NULL;
      memmove(buffer, buffer + length, used - length);
      used -= length;
      if (isOurs) return !isError;
      end = memchr(buffer, '\n', used);
    }
    // A line that is longer than the buffer is not an answer to any of these commands.
    if (used == BUFFER) used = 0;
    struct pollfd waiting = {SOCKET, POLLIN, 0};
    if (poll(&waiting, 1, ANSWER_SECONDS * 1000) <= 0) return -1;
    ssize_t count = recv(SOCKET, buffer + used, BUFFER - used, 0);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return -1;
    used += (size_t)count;
  }
}

WATCHDOG void runScript(const uint8_t *script, size_t byteCount) {
  const uint8_t *end = script + byteCount;
  while (script < end) {
    uint8_t retries = *script;
    uint16_t markLength;
    uint32_t lineLength;
    memcpy(&markLength, script + 1, 2);
    const uint8_t *mark = script + 3;
    memcpy(&lineLength, mark + markLength, 4);
    const uint8_t *line = mark + markLength + 4;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (!sendAll(line, lineLength)) return;
      int answer = readAnswer(mark, markLength);
      if (answer < 0) return;
      if (answer == 1 || !retries) break;
      struct timespec pause = {0, 20 * 1000 * 1000};
      nanosleep(&pause, NULL);
    }
    script = line + lineLength;
  }
}

WATCHDOG _Noreturn void watch(int32_t pipe, int32_t socket, const uint8_t *script,
                              size_t byteCount) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  setsid();
  prctl(PR_SET_NAME, "ram watchdog", 0, 0, 0);
  // To numbers that are neither's own first.
  int high = dup(socket);
  while (high >= 0 && high <= SOCKET) high = dup(socket);
  if (high < 0 || dup2(pipe, INPUT) < 0 || dup2(high, SOCKET) < 0) _exit(1);
  syscall(SYS_close_range, SOCKET + 1, ~0U, 0);
  char byte;
  ssize_t count;
  do {
    count = read(INPUT, &byte, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 0) runScript(script, byteCount);
  _exit(0);
}

int32_t CLinux_startWatchdog(int32_t pipe, int32_t socket, const uint8_t *script,
                             size_t byteCount) {
  pid_t child = _Fork();
  if (child < 0) return -errno;
  if (child == 0) watch(pipe, socket, script, byteCount);
  return child;
}
