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

enum { BUFFER = 65536, PAUSE_MILLISECONDS = 20, RETRY_MILLISECONDS = 30000, LOOKS = 15, VALUE = 32 };
enum Answer { GONE, SILENT, REFUSED, DONE };
enum Repetition { NEVER, WHILE_REFUSED, UNTIL_STEADY };
static char buffer[BUFFER];
static size_t used;

struct Bytes {
  const uint8_t *start;
  uint32_t count;
};
// A step of the script; CLinux_startWatchdog tells how it stands there.
struct Step {
  enum Repetition repetition;
  uint32_t delay;
  struct Bytes answer, value, line;
};

// A value in an answer as it was at the last look, and at how many looks before it was the same; -1 before the first.
struct Looks {
  char last[VALUE];
  int count, hasMoved;
};

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

// What follows `mark` in a line, up to the next comma or brace; zeros where the mark is not there.
FORKED void takeValue(const char *line, size_t length, struct Bytes mark, char value[VALUE]) {
  memset(value, 0, VALUE);
  const char *end = line + length, *at = memmem(line, length, mark.start, mark.count);
  if (at == NULL) return;
  at += mark.count;
  for (size_t i = 0; i < VALUE && at < end && *at != ',' && *at != '}'; i++) value[i] = *at++;
}

// Waits for the answer to `step`, of which `value` is taken.
FORKED enum Answer readAnswer(int socket, const struct Step *step, char value[VALUE],
                              int64_t deadline) {
  for (;;) {
    char *end;
    while ((end = memchr(buffer, '\n', used)) != NULL) {
      size_t length = (size_t)(end - buffer) + 1;
      int isOurs = memmem(buffer, length, step->answer.start, step->answer.count) != NULL;
      int isError = memmem(buffer, length, "\"error\"", 7) != NULL;
      if (isOurs) takeValue(buffer, length, step->value, value);
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

// Whether the value has moved before this look and not since, or has not for a while.
FORKED int isSteady(struct Looks *looks, const char value[VALUE]) {
  int moves = looks->count >= 0 && memcmp(looks->last, value, VALUE) != 0;
  memcpy(looks->last, value, VALUE);
  looks->hasMoved |= moves;
  looks->count = moves ? 0 : looks->count + 1;
  return looks->count >= (looks->hasMoved ? 1 : LOOKS);
}

// Sends the line until it need not be sent again; 0 where nothing more can be sent.
FORKED int take(int socket, const struct Step *step, int32_t patience) {
  rest(step->delay);
  int64_t start = milliseconds(), deadline = start + patience;
  int64_t lastRetry = patience < RETRY_MILLISECONDS ? deadline : start + RETRY_MILLISECONDS;
  struct Looks looks = {.count = -1};
  for (;;) {
    char value[VALUE];
    if (!sendAll(socket, step->line.start, step->line.count, deadline)) return 0;
    enum Answer answer = readAnswer(socket, step, value, deadline);
    if (answer == GONE) return 0;
    int isRepeated = step->repetition == WHILE_REFUSED  ? answer == REFUSED
                     : step->repetition == UNTIL_STEADY ? answer == DONE && !isSteady(&looks, value)
                                                        : 0;
    if (!isRepeated || milliseconds() >= lastRetry) return 1;
    rest(PAUSE_MILLISECONDS);
  }
}

FORKED struct Bytes takeBytes(const uint8_t **script) {
  struct Bytes bytes;
  memcpy(&bytes.count, *script, 4);
  bytes.start = *script + 4;
  *script = bytes.start + bytes.count;
  return bytes;
}

FORKED void runScript(int socket, const uint8_t *script, size_t byteCount, int32_t patience) {
  const uint8_t *end = script + byteCount;
  while (script < end) {
    struct Step step = {.repetition = *script};
    memcpy(&step.delay, script + 1, 4);
    script += 5;
    step.answer = takeBytes(&script);
    step.value = takeBytes(&script);
    step.line = takeBytes(&script);
    if (!take(socket, &step, patience)) return;
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
