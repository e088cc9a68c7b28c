#ifndef CLIBURING_SHIM_H
#define CLIBURING_SHIM_H

// liburing.h defines _GNU_SOURCE for itself. features.h first settles the macros the way Swift's
// Glibc module has them; without it the two modules disagree about fd_set.
#include <features.h>
// liburing has a copy of the kernel's header with the same include guard. The kernel's comes first,
// so that this module and swift-system's see the same declarations.
#include <linux/io_uring.h>
#include <liburing.h>

#endif
