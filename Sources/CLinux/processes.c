#include "CLinux.h"
#include "forked.h"

#include <errno.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

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

uint64_t CLinux_load(const uint64_t *address) { return __atomic_load_n(address, __ATOMIC_ACQUIRE); }

void CLinux_store(uint64_t *address, uint64_t value) {
  __atomic_store_n(address, value, __ATOMIC_RELEASE);
}

void CLinux_fence(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

void CLinux_closeFrom(uint32_t first) { closeRange(first, ~0U); }
