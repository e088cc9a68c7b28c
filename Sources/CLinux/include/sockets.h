#ifndef CLINUX_SOCKETS_H
#define CLINUX_SOCKETS_H

// Unix stream sockets. Every descriptor that is made here closes on exec. Every function returns 0
// (or the value that its comment names) when it succeeds and -errno when it fails.

#include <stddef.h>
#include <stdint.h>

/// Bytes of a path that fit into a socket's address, without the zero (unix(7): sun_path).
enum { CLinux_SOCKET_PATH_BYTES = 107 };

/// The most descriptors that one message carries here. The kernel's own limit is 253 (SCM_MAX_FD).
enum { CLinux_MESSAGE_DESCRIPTORS = 16 };

/// socket(2), AF_UNIX and SOCK_STREAM; returns the descriptor.
int32_t CLinux_unixSocket(void);

/// setsockopt(2), SO_SNDTIMEO: the longest that connect(2) and blocking writes wait; 0 for ever.
int32_t CLinux_setSendTimeout(int32_t descriptor, uint64_t microseconds);

/// connect(2) to the socket at `path`, of at most CLinux_SOCKET_PATH_BYTES; else -ENAMETOOLONG.
int32_t CLinux_connectUnix(int32_t descriptor, const char *path);

/// socketpair(2), AF_UNIX and SOCK_STREAM.
int32_t CLinux_socketPair(int32_t *first, int32_t *second);

/// sendmsg(2) without waiting and without SIGPIPE, with `descriptors` (SCM_RIGHTS) if there are
/// any, at most CLinux_MESSAGE_DESCRIPTORS. `byteCount` is not 0. Returns the bytes sent.
int64_t CLinux_sendMessage(int32_t descriptor, const void *bytes, size_t byteCount,
                           const int32_t *descriptors, uint32_t descriptorCount);

/// setsockopt(2), SO_SNDBUFFORCE, or SO_SNDBUF where that is not permitted.
int32_t CLinux_setSendBuffer(int32_t descriptor, int32_t byteCount);

/// ioctl(2), SIOCINQ: the bytes that the peer has sent and nobody has received. Returns them.
int64_t CLinux_queuedBytes(int32_t descriptor);

/// recvmsg(2) without waiting. Returns the bytes received, 0 at the end. `descriptors` has room for
/// CLinux_MESSAGE_DESCRIPTORS, or is NULL: then the kernel drops any that come.
int64_t CLinux_receiveMessage(int32_t descriptor, void *bytes, size_t byteCount,
                              int32_t *descriptors, uint32_t *descriptorCount);

/// poll(2) for reading, or for writing. Returns 1 when the descriptor is ready or broken, 0 when
/// the time is over.
int32_t CLinux_waitReady(int32_t descriptor, int32_t forWriting, int32_t milliseconds);

/// shutdown(2), both directions: the peer sees the end, and so does a thread that waits here.
int32_t CLinux_shutdown(int32_t descriptor);

/// getsockopt(2), SO_PEERCRED: who made the other end.
int32_t CLinux_peer(int32_t descriptor, int32_t *processID, uint32_t *userID, uint32_t *groupID);

#endif
