#pragma once
#include <stdint.h>

// Allocations that the calling thread has asked for since it began. The program that links this has its own `malloc` and
// relatives in front of the C library's, which still do the work.
uint64_t allocation_count(void);
