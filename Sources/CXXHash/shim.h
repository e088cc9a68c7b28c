#ifndef CXXHASH_SHIM_H
#define CXXHASH_SHIM_H

#include <stddef.h>
#include <xxhash.h>

// On x86 the library may have a second entry that takes the widest vectors that the processor has (Debian's does). It is in no
// header that is always there, and not in every build of the library.
#if defined(__x86_64__)
XXH128_hash_t XXH3_128bits_dispatch(const void *input, size_t length) __attribute__((weak));
#endif

/// XXH3 of 128 bits.
static inline XXH128_hash_t CXXHash_hash(const void *input, size_t length) {
#if defined(__x86_64__)
  if (XXH3_128bits_dispatch) return XXH3_128bits_dispatch(input, length);
#endif
  return XXH3_128bits(input, length);
}

#endif
