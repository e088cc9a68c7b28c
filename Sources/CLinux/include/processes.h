#ifndef CLINUX_PROCESSES_H
#define CLINUX_PROCESSES_H

// Other processes: their memory, and a watchdog for this one.

#include <stddef.h>
#include <stdint.h>

/// process_vm_readv(2) of one range. Returns the bytes that were read.
int64_t CLinux_readProcess(int32_t process, void *local, uint64_t remote, size_t byteCount);

/// process_vm_writev(2) of one range. Returns the bytes that were written.
int64_t CLinux_writeProcess(int32_t process, const void *local, uint64_t remote, size_t byteCount);

/// The two numbers in a device number (makedev(3)).
void CLinux_deviceNumbers(uint64_t device, uint32_t *major, uint32_t *minor);

/// Starts a watchdog, and returns its process number. All signals are blocked in it.
///
/// It waits on `link`, a socket. A byte there ends it. The end of the link without one means that this process has ended in
/// the middle of something: then it sends the commands of `script` over `socket`, one after the other, and waits up to `patience`
/// milliseconds for each one's answer. One that is not answered in time does not keep the next ones from being sent.
///
/// The script is steps, one after the other: a byte that says how the command is repeated; milliseconds to wait before it is sent (4
/// bytes, host order); then the mark of the answer, the mark of the value, and the command's line with its newline, each
/// with its length before it (4 bytes, host order).
///
/// A command is repeated, as long as the patience lasts, but for half a minute at most: never (0); while its answer is an error
/// (1); or until the value that follows its mark in the answer has moved and then has not, or has not for 16 answers (2).
int32_t CLinux_startWatchdog(int32_t link, int32_t socket, const uint8_t *script,
                             size_t byteCount, int32_t patience);

#endif
