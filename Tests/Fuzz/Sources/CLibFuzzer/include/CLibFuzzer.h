#ifndef CLIBFUZZER_H
#define CLIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

/// What libFuzzer's own main calls: changes inputs and runs `callback` on them, as the arguments say. (LLVM's documentation, "Using
/// libFuzzer as a library".)
int LLVMFuzzerRunDriver(int *argc, char ***argv,
                        int (*callback)(const uint8_t *data, size_t size));

#endif
