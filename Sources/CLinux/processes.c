#include "CLinux.h"
#include "forked.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

// Of linux/fs.h, since Linux 6.7: headers may be older than the kernel.
typedef struct {
  uint64_t start, end, categories;
} PageRegion;
typedef struct {
  uint64_t size, flags, start, end, walkEnd, regions, regionCount, mostPages;
  uint64_t inverted, allOf, anyOf, returned;
} PageScan;
enum {
  PAGE_IS_FILE = 1 << 2,
  PAGE_IS_PRESENT = 1 << 3,
  PAGE_IS_SWAPPED = 1 << 4,
  PAGE_IS_PFNZERO = 1 << 5,
  PAGE_IS_HUGE = 1 << 6,
};
#define PAGEMAP_SCAN _IOWR('f', 16, PageScan)

// Of linux/mman.h, since Linux 6.1.
enum { COLLAPSE = 25 };

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

int32_t CLinux_collapse(int32_t descriptor, uint64_t address, size_t byteCount) {
  struct iovec there = {(void *)(uintptr_t)address, byteCount};
  return syscall(SYS_process_madvise, descriptor, &there, 1UL, COLLAPSE, 0U) < 0 ? -errno : 0;
}

int32_t CLinux_nextPages(int32_t descriptor, uint64_t start, uint64_t end, int32_t kind,
                         uint64_t *first, uint64_t *last, uint64_t *walked) {
  uint64_t not = kind == CLinux_PAGES_OWN ? PAGE_IS_FILE : PAGE_IS_PFNZERO;
  uint64_t also = kind == CLinux_PAGES_HUGE ? PAGE_IS_HUGE : 0;
  PageRegion region = {0, 0, 0};
  PageScan scan;
  memset(&scan, 0, sizeof scan);
  scan.size = sizeof scan;
  scan.start = start;
  scan.end = end;
  scan.regions = (uintptr_t)&region;
  scan.regionCount = 1;
  scan.inverted = not;
  scan.allOf = not | also;
  scan.anyOf = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
  int count = ioctl(descriptor, PAGEMAP_SCAN, &scan);
  if (count < 0) return -errno;
  *first = region.start;
  *last = region.end;
  *walked = scan.walkEnd;
  return count;
}

void CLinux_deviceNumbers(uint64_t device, uint32_t *high, uint32_t *low) {
  *high = major(device);
  *low = minor(device);
}

uint64_t CLinux_load(const uint64_t *address) { return __atomic_load_n(address, __ATOMIC_ACQUIRE); }

void CLinux_store(uint64_t *address, uint64_t value) {
  __atomic_store_n(address, value, __ATOMIC_RELEASE);
}

void CLinux_fence(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

void CLinux_closeFrom(uint32_t first) { closeRange(first, ~0U); }
