#ifndef CLINUX_PROCESSES_H
#define CLINUX_PROCESSES_H

// Other processes: their memory, and memory in common with them.

#include <stddef.h>
#include <stdint.h>

/// process_vm_readv(2) of one range. Returns the bytes that were read, or -errno.
int64_t CLinux_readProcess(int32_t process, void *local, uint64_t remote, size_t byteCount);

/// process_vm_writev(2) of one range. Returns the bytes that were written, or -errno.
int64_t CLinux_writeProcess(int32_t process, const void *local, uint64_t remote, size_t byteCount);

/// process_madvise(2) of one range, MADV_COLLAPSE: has the kernel map it by huge pages. Returns 0, or -errno.
int32_t CLinux_collapse(int32_t descriptor, uint64_t address, size_t byteCount);

/// Which pages CLinux_nextPages looks for, of those that are in memory or swapped out.
enum {
  /// All but those that map the kernel's page of zeros.
  CLinux_PAGES_NONZERO = 0,
  /// Those that are not a file's: a process's own copies, where a file is mapped privately.
  CLinux_PAGES_OWN = 1,
  /// Those that are mapped by huge pages.
  CLinux_PAGES_HUGE = 2,
};

/// ioctl(2), PAGEMAP_SCAN (Linux 6.7) of an open /proc/PID/pagemap: the first run of such pages from `start` on, both ends of the range
/// being multiples of the size of a page. Returns 1 and where it begins and ends, or 0 where it has come to the end; `walked` is where it
/// stopped.
int32_t CLinux_nextPages(int32_t descriptor, uint64_t start, uint64_t end, int32_t kind,
                         uint64_t *first, uint64_t *last, uint64_t *walked);

/// The two numbers in a device number (makedev(3)).
void CLinux_deviceNumbers(uint64_t device, uint32_t *major, uint32_t *minor);

/// The word at `address`, which another process may write meanwhile; what was written before it is seen afterwards.
uint64_t CLinux_load(const uint64_t *address);

/// Writes the word at `address`, which another process may read meanwhile; what was written before is seen there first.
void CLinux_store(uint64_t *address, uint64_t value);

/// Keeps reads before from being moved behind those that follow (a fence of kind acquire).
void CLinux_fence(void);

/// Closes all descriptors from `first` on.
void CLinux_closeFrom(uint32_t first);

#endif
