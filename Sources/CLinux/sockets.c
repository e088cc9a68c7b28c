#include "sockets.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == CLinux_SOCKET_PATH_BYTES + 1,
               "the length of sun_path");

int32_t CLinux_unixSocket(void) {
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return descriptor >= 0 ? descriptor : -errno;
}

int32_t CLinux_setSendTimeout(int32_t descriptor, uint64_t microseconds) {
  struct timeval limit = {.tv_sec = (time_t)(microseconds / 1000000),
                          .tv_usec = (suseconds_t)(microseconds % 1000000)};
  return setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 ? 0 : -errno;
}

int32_t CLinux_connectUnix(int32_t descriptor, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t byteCount = strlen(path);
  if (byteCount > CLinux_SOCKET_PATH_BYTES)
    return -ENAMETOOLONG;
  memcpy(address.sun_path, path, byteCount);
  return connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
}

int32_t CLinux_socketPair(int32_t *first, int32_t *second) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return -errno;
  *first = pair[0];
  *second = pair[1];
  return 0;
}

int32_t CLinux_setSendBuffer(int32_t descriptor, int32_t byteCount) {
  // Past the system's limit where this process may.
  if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &byteCount, sizeof byteCount) == 0)
    return 0;
  return setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &byteCount, sizeof byteCount) == 0 ? 0 : -errno;
}

int64_t CLinux_queuedBytes(int32_t descriptor) {
  int count = 0;
  return ioctl(descriptor, SIOCINQ, &count) == 0 ? count : -errno;
}

int64_t CLinux_sendMessage(int32_t descriptor, const void *bytes, size_t byteCount,
                           const int32_t *descriptors, uint32_t descriptorCount) {
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = byteCount};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(CLinux_MESSAGE_DESCRIPTORS * sizeof(int))];
  if (descriptorCount > CLinux_MESSAGE_DESCRIPTORS)
    return -EINVAL;
  if (descriptorCount > 0) {
    size_t length = descriptorCount * sizeof(int);
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(length);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(head), descriptors, length);
  }
  ssize_t sent = sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent >= 0 ? sent : -errno;
}

int64_t CLinux_receiveMessage(int32_t descriptor, void *bytes, size_t byteCount,
                              int32_t *descriptors, uint32_t *descriptorCount) {
  struct iovec part = {.iov_base = bytes, .iov_len = byteCount};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(CLinux_MESSAGE_DESCRIPTORS * sizeof(int))];
  if (descriptors != NULL) {
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    *descriptorCount = 0;
  }
  ssize_t received = recvmsg(descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received < 0)
    return -errno;
  if (descriptors == NULL)
    return received;
  // A message may bring its descriptors in several heads; together they fit into `control`.
  for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
      continue;
    size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(descriptors + *descriptorCount, CMSG_DATA(head), count * sizeof(int));
    *descriptorCount += (uint32_t)count;
  }
  return received;
}

int32_t CLinux_waitReady(int32_t descriptor, int32_t forWriting, int32_t milliseconds) {
  struct pollfd waiting = {.fd = descriptor, .events = forWriting ? POLLOUT : POLLIN};
  int result = poll(&waiting, 1, milliseconds);
  return result >= 0 ? result : -errno;
}

int32_t CLinux_shutdown(int32_t descriptor) {
  return shutdown(descriptor, SHUT_RDWR) == 0 ? 0 : -errno;
}

int32_t CLinux_peer(int32_t descriptor, int32_t *processID, uint32_t *userID, uint32_t *groupID) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return -errno;
  *processID = peer.pid;
  *userID = peer.uid;
  *groupID = peer.gid;
  return 0;
}
