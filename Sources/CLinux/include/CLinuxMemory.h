#pragma once
// What the compiler offers and Swift does not.

// Asks the processor to bring the memory at `address` near, and waits for nothing.
static inline void clinux_prefetch(const void *_Nonnull address) { __builtin_prefetch(address); }
