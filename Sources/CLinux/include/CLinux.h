#ifndef CLINUX_H
#define CLINUX_H

// The Linux calls and constants that Swift's Glibc module does not import. Every function returns
// 0 (or the value that its comment names) when it succeeds and -errno when it fails.

#include <stddef.h>
#include <stdint.h>

#include "child.h"
#include "processes.h"
#include "sockets.h"

extern const int32_t CLinux_O_DIRECT;
extern const int32_t CLinux_O_TMPFILE;
extern const int32_t CLinux_O_PATH;

/// The kinds of lseek(2) that find data and holes.
extern const int32_t CLinux_SEEK_DATA;
extern const int32_t CLinux_SEEK_HOLE;

/// The advice numbers of madvise(2) that old headers lack.
extern const int32_t CLinux_MADV_POPULATE_READ;
extern const int32_t CLinux_MADV_POPULATE_WRITE;

/// statx(2), STATX_DIOALIGN. Returns 1 where the kernel and the file system say something, else 0
/// and alignments of 0. Both alignments are 0 as well where direct I/O on the file is not possible.
int32_t CLinux_directIOAlignment(int32_t descriptor, uint32_t *memory, uint32_t *offset);

/// fallocate(2), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE.
int32_t CLinux_punchHole(int32_t descriptor, int64_t offset, int64_t byteCount);

/// ioctl(2), FICLONE: lets the file of `descriptor` be what the file of `source` is, in blocks that both share.
int32_t CLinux_cloneFile(int32_t descriptor, int32_t source);

/// ioctl(2), FS_IOC_FSSETXATTR: how many bytes get blocks of their own at least where shared blocks of the file are written.
int32_t CLinux_setCopyOnWriteBytes(int32_t descriptor, uint32_t byteCount);

/// ioctl(2), BLKGETSIZE64.
int32_t CLinux_blockDeviceSize(int32_t descriptor, uint64_t *byteCount);

/// The most extents that one call of CLinux_extents gives.
enum { CLinux_EXTENTS = 1024 };

/// A part of a file that has blocks, or data that has none yet.
typedef struct {
  uint64_t offset;
  uint64_t byteCount;
  /// Allocated beforehand: reads as zeros, but for data that is in the page cache alone.
  uint32_t isUnwritten;
  uint32_t isLast;
} CLinux_Extent;

/// ioctl(2), FS_IOC_FIEMAP: the first extents that overlap the range, whole, in ascending order.
/// `extents` has room for CLinux_EXTENTS.
int32_t CLinux_extents(int32_t descriptor, uint64_t offset, uint64_t byteCount,
                       CLinux_Extent *extents, uint32_t *count);

/// ioctl(2), TIOCGWINSZ: columns of the terminal behind the descriptor; ENOTTY for anything else.
int32_t CLinux_terminalWidth(int32_t descriptor, uint32_t *columns);

/// linkat(2) through /proc/self/fd: gives an O_TMPFILE file the name `name` in `directory`.
int32_t CLinux_linkDescriptor(int32_t descriptor, int32_t directory, const char *name);

/// The classes of ioprio_set(2).
extern const int32_t CLinux_IOPRIO_BEST_EFFORT;
extern const int32_t CLinux_IOPRIO_IDLE;

/// ioprio_set(2), IOPRIO_WHO_PROCESS: the I/O priority of this thread.
int32_t CLinux_setIOPriority(int32_t kind, int32_t level);

/// memfd_create(2), MFD_CLOEXEC; returns the descriptor.
int32_t CLinux_memoryFile(const char *name);

/// eventfd(2), EFD_CLOEXEC | EFD_NONBLOCK; returns the descriptor.
int32_t CLinux_eventDescriptor(void);

/// pipe2(2), O_CLOEXEC: the reading end first.
int32_t CLinux_pipe(int32_t *ends);

/// pthread_setname_np(3): names the calling thread. At most 15 bytes and a zero.
int32_t CLinux_setThreadName(const char *name);

/// gettid(2).
int32_t CLinux_threadID(void);

/// fcntl(2), F_OFD_GETLK: whether another open file has a lock on some of these bytes, 1 or 0.
int32_t CLinux_isLocked(int32_t descriptor, int64_t offset, int64_t byteCount);

/// statfs(2), f_type of the file system that holds the file.
int32_t CLinux_fileSystemType(int32_t descriptor, uint64_t *type);

#endif
