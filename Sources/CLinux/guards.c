#include "child.h"
#include "forked.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

// What the guard of several hears: a process, with its pidfd, or that it is to be forgotten.
typedef struct {
  int32_t number;
  int32_t isWatched;
} Watch;

FORKED _Noreturn void guardSeveral(int link) {
  // Of each process its pidfd and 1.
  static int32_t guarded[CLinux_GUARDED];
  setsid();
  prctl(PR_SET_NAME, "mapped-ram-guard", 0, 0, 0);
  closeAllBut(link, link);
  for (;;) {
    Watch watch;
    union {
      struct cmsghdr header;
      char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec bytes = {&watch, sizeof watch};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1,
                             .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t count = recvmsg(link, &message, MSG_CMSG_CLOEXEC);
    if (count < 0 && errno == EINTR) continue;
    // A single byte lets it go, the end of the link does not.
    if (count == 1) _exit(0);
    if (count != sizeof watch) break;
    if (watch.number < 0 || watch.number >= CLinux_GUARDED) break;
    int32_t *place = &guarded[watch.number];
    if (*place > 0) close(*place - 1);
    *place = 0;
    if (!watch.isWatched) continue;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
      *place = *(int *)(void *)CMSG_DATA(header) + 1;
  }
  for (int i = 0; i < CLinux_GUARDED; i++)
    if (guarded[i] > 0) syscall(SYS_pidfd_send_signal, guarded[i] - 1, SIGKILL, NULL, 0);
  _exit(0);
}

int32_t CLinux_startGuardOfSeveral(int32_t *link) {
  int32_t process = forkLinked(SOCK_SEQPACKET, link);
  if (process == 0) guardSeveral(*link);
  return process;
}

static int32_t sendWatch(int32_t link, Watch watch, const int32_t *target) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct iovec bytes = {&watch, sizeof watch};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
  if (target != NULL) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), target, sizeof(int));
  }
  ssize_t count;
  do
    count = sendmsg(link, &message, MSG_NOSIGNAL);
  while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : 0;
}

int32_t CLinux_watch(int32_t link, int32_t number, int32_t target) {
  return sendWatch(link, (Watch){number, 1}, &target);
}

int32_t CLinux_unwatch(int32_t link, int32_t number) {
  return sendWatch(link, (Watch){number, 0}, NULL);
}
