#include "CLinux.h"
#include "forked.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/socket.h>
#include <sys/uio.h>
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

// The watchdog. The variables are of the child alone.

enum { BUFFER = 65536, PAUSE_MILLISECONDS = 20, RETRY_MILLISECONDS = 30000 };
enum Answer { GONE, SILENT, REFUSED, DONE };
static char buffer[BUFFER];
static size_t used;

FORKED int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Waits until the socket is ready or broken; 0 when the time is over.
FORKED int waitUntilReady(int socket, short events, int64_t deadline) {
  for (;;) {
    int64_t left = deadline - milliseconds();
    struct pollfd waiting = {socket, events, 0};
    int result = poll(&waiting, 1, left > 0 ? (int)left : 0);
    if (result > 0) return 1;
    if (result < 0 ? errno != EINTR : left <= 0) return 0;
  }
}

// Whether all of it was sent. If not, no other command can be: the last one may have been cut.
FORKED int sendAll(int socket, const uint8_t *bytes, size_t count, int64_t deadline) {
  while (count > 0) {
    // Whether the socket waits is a property that it shares with the parent's descriptor.
    ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!waitUntilReady(socket, POLLOUT, deadline)) return 0;
      continue;
    }
    if (sent <= 0) return 0;
    bytes += sent;
    count -= (size_t)sent;
  }
  return 1;
}

// Takes the first line out of the buffer.
FORKED void dropLine(size_t length) {
  memmove(buffer, buffer + length, used - length);
  used -= length;
}

// Waits for the line that has `mark` in it.
FORKED enum Answer readAnswer(int socket, const uint8_t *mark, size_t markLength,
                              int64_t deadline) {
  for (;;) {
    char *end;
    while ((end = memchr(buffer, '\n', used)) != NULL) {
      size_t length = (size_t)(end - buffer) + 1;
      int isOurs = memmem(buffer, length, mark, markLength) != NULL;
      int isError = memmem(buffer, length, "\"error\"", 7) != NULL;
      dropLine(length);
      if (isOurs) return isError ? REFUSED : DONE;
    }
    // A line that is longer than the buffer is not an answer to any of these commands.
    if (used == BUFFER) used = 0;
    if (!waitUntilReady(socket, POLLIN, deadline)) return SILENT;
    ssize_t count = recv(socket, buffer + used, BUFFER - used, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) continue;
    if (count <= 0) return GONE;
    used += (size_t)count;
  }
}

FORKED void rest(uint32_t milliseconds) {
  struct timespec pause = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
  nanosleep(&pause, NULL);
}

FORKED void runScript(int socket, const uint8_t *script, size_t byteCount, int32_t patience) {
  const uint8_t *end = script + byteCount;
  while (script < end) {
    uint8_t retries = *script;
    uint32_t delay, lineLength;
    uint16_t markLength;
    memcpy(&delay, script + 1, 4);
    memcpy(&markLength, script + 5, 2);
    const uint8_t *mark = script + 7;
    memcpy(&lineLength, mark + markLength, 4);
    const uint8_t *line = mark + markLength + 4;
    rest(delay);
    int64_t start = milliseconds(), deadline = start + patience;
    int64_t lastRetry = patience < RETRY_MILLISECONDS ? deadline : start + RETRY_MILLISECONDS;
    for (;;) {
      if (!sendAll(socket, line, lineLength, deadline)) return;
      enum Answer answer = readAnswer(socket, mark, markLength, deadline);
      if (answer == GONE) return;
      if (answer != REFUSED || !retries || milliseconds() >= lastRetry) break;
      rest(PAUSE_MILLISECONDS);
    }
    script = line + lineLength;
  }
}

FORKED _Noreturn void watch(int32_t link, int32_t socket, const uint8_t *script,
                            size_t byteCount, int32_t patience) {
  setsid();
  prctl(PR_SET_NAME, "ram watchdog", 0, 0, 0);
  // The other end of the link among them, whose last copy must be the parent's.
  closeAllBut(link, socket);
  if (!isLetGo(link)) runScript(socket, script, byteCount, patience);
  _exit(0);
}

int32_t CLinux_startWatchdog(int32_t link, int32_t socket, const uint8_t *script,
                             size_t byteCount, int32_t patience) {
  pid_t child = forkBlockingSignals();
  if (child == 0) watch(link, socket, script, byteCount, patience);
  return child < 0 ? -errno : child;
}
