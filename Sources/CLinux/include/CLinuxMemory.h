#pragma once
#include <malloc.h>
// What the compiler offers and Swift does not.

#include <stdbool.h>
#include <stdint.h>

// Asks the processor to bring the memory at `address` near, and waits for nothing.
static inline void clinux_prefetch(const void *_Nonnull address) { __builtin_prefetch(address); }

// Sixty-four bytes that are compared at once, and a bit for each.
typedef uint8_t clinux_bytes64 __attribute__((ext_vector_type(64)));
typedef bool clinux_bits64 __attribute__((ext_vector_type(64)));

// Which of the 64 bytes from `bytes` on are `byte`: the lowest bit stands for the first.
static inline uint64_t clinux_marks(const uint8_t *_Nonnull bytes, uint8_t byte) {
    clinux_bytes64 block;
    __builtin_memcpy(&block, bytes, sizeof block);
    clinux_bits64 bits = __builtin_convertvector(block == byte, clinux_bits64);
    uint64_t marks;
    __builtin_memcpy(&marks, &bits, sizeof marks);
    return marks;
}

// Which of the 64 bytes from `bytes` on are less than `limit`.
static inline uint64_t clinux_marks_below(const uint8_t *_Nonnull bytes, uint8_t limit) {
    clinux_bytes64 block;
    __builtin_memcpy(&block, bytes, sizeof block);
    clinux_bits64 bits = __builtin_convertvector(block < limit, clinux_bits64);
    uint64_t marks;
    __builtin_memcpy(&marks, &bits, sizeof marks);
    return marks;
}

// Blocks of so many bytes and more are mapped, and given back to the system when they are freed (M_MMAP_THRESHOLD).
static inline int clinux_map_blocks(int bytes) { return mallopt(M_MMAP_THRESHOLD, bytes); }
