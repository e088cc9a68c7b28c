#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/stat.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

// linux/stat.h and not sys/stat.h, since glibc 2.36's struct statx has no direct I/O fields.

#ifndef STATX_DIOALIGN
#error "mapped-ram needs the headers of Linux 6.1 or newer (linux/stat.h without STATX_DIOALIGN)"
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

const int32_t CLinux_O_DIRECT = O_DIRECT;
const int32_t CLinux_O_TMPFILE = O_TMPFILE;
const int32_t CLinux_O_PATH = O_PATH;
const int32_t CLinux_SEEK_DATA = SEEK_DATA;
const int32_t CLinux_SEEK_HOLE = SEEK_HOLE;
const int32_t CLinux_MADV_POPULATE_READ = MADV_POPULATE_READ;
const int32_t CLinux_MADV_POPULATE_WRITE = MADV_POPULATE_WRITE;

const int32_t CLinux_IOPRIO_BEST_EFFORT = IOPRIO_CLASS_BE;
const int32_t CLinux_IOPRIO_IDLE = IOPRIO_CLASS_IDLE;

int32_t CLinux_setIOPriority(int32_t kind, int32_t level) {
  int priority = IOPRIO_PRIO_VALUE(kind, level);
  return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) == 0 ? 0 : -errno;
}

int32_t CLinux_directIOAlignment(int32_t descriptor, uint32_t *memory, uint32_t *offset) {
  struct statx found;
  memset(&found, 0, sizeof found);
  *memory = 0;
  *offset = 0;
  if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &found) != 0)
    return -errno;
  if ((found.stx_mask & STATX_DIOALIGN) == 0)
    return 0;
  *memory = found.stx_dio_mem_align;
  *offset = found.stx_dio_offset_align;
  return 1;
}

int32_t CLinux_punchHole(int32_t descriptor, int64_t offset, int64_t byteCount) {
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return fallocate(descriptor, mode, offset, byteCount) == 0 ? 0 : -errno;
}

int32_t CLinux_cloneFile(int32_t descriptor, int32_t source) {
  return ioctl(descriptor, FICLONE, source) == 0 ? 0 : -errno;
}

int32_t CLinux_setCopyOnWriteBytes(int32_t descriptor, uint32_t byteCount) {
  struct fsxattr attributes;
  if (ioctl(descriptor, FS_IOC_FSGETXATTR, &attributes) != 0)
    return -errno;
  attributes.fsx_xflags |= FS_XFLAG_COWEXTSIZE;
  attributes.fsx_cowextsize = byteCount;
  return ioctl(descriptor, FS_IOC_FSSETXATTR, &attributes) == 0 ? 0 : -errno;
}

int32_t CLinux_blockDeviceSize(int32_t descriptor, uint64_t *byteCount) {
  return ioctl(descriptor, BLKGETSIZE64, byteCount) == 0 ? 0 : -errno;
}

int32_t CLinux_extents(int32_t descriptor, uint64_t offset, uint64_t byteCount,
                       CLinux_Extent *extents, uint32_t *count) {
  // The extents follow the head in one piece of memory.
  _Alignas(struct fiemap) char
      memory[sizeof(struct fiemap) + CLinux_EXTENTS * sizeof(struct fiemap_extent)];
  struct fiemap *map = (struct fiemap *)memory;
  memset(map, 0, sizeof *map);
  map->fm_start = offset;
  map->fm_length = byteCount;
  map->fm_extent_count = CLinux_EXTENTS;
  *count = 0;
  if (ioctl(descriptor, FS_IOC_FIEMAP, map) != 0)
    return -errno;
  for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
    struct fiemap_extent found = map->fm_extents[i];
    extents[i].offset = found.fe_logical;
    extents[i].byteCount = found.fe_length;
    extents[i].isUnwritten = (found.fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0;
    extents[i].isLast = (found.fe_flags & FIEMAP_EXTENT_LAST) != 0;
  }
  *count = map->fm_mapped_extents;
  return 0;
}

int32_t CLinux_terminalWidth(int32_t descriptor, uint32_t *columns) {
  struct winsize size;
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0)
    return -errno;
  *columns = size.ws_col;
  return 0;
}

int32_t CLinux_linkDescriptor(int32_t descriptor, int32_t directory, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  return linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

int32_t CLinux_memoryFile(const char *name) {
  int descriptor = memfd_create(name, MFD_CLOEXEC);
  return descriptor >= 0 ? descriptor : -errno;
}

int32_t CLinux_setThreadName(const char *name) {
  return -pthread_setname_np(pthread_self(), name);
}

int32_t CLinux_threadID(void) { return (int32_t)syscall(SYS_gettid); }

int32_t CLinux_fileSystemType(int32_t descriptor, uint64_t *type) {
  struct statfs found;
  if (fstatfs(descriptor, &found) != 0)
    return -errno;
  *type = (uint64_t)(unsigned long)found.f_type;
  return 0;
}

int32_t CLinux_eventDescriptor(void) {
  int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return descriptor >= 0 ? descriptor : -errno;
}

int32_t CLinux_pipe(int32_t *ends) { return pipe2(ends, O_CLOEXEC) == 0 ? 0 : -errno; }

int32_t CLinux_isLocked(int32_t descriptor, int64_t offset, int64_t byteCount) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = byteCount;
  if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0)
    return -errno;
  return lock.l_type != F_UNLCK;
}
