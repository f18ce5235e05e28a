#pragma once
// Landlock and seccomp for the query child. glibc has no wrappers for these calls and the importer does not see the
// macros that build a filter program.
#include <stdbool.h>
#include <stdint.h>

// Closes every descriptor but the standard three, forbids core dumps and debuggers, and has the process killed when the
// thread that started it ends; returns 0, or -1 with errno.
int clinux_enter_child(void);

// Highest Landlock ABI of the running kernel, or 0 where there is none.
int clinux_landlock_abi(void);

// Makes a rule set that handles every right to files (and, where known, network ports and scopes) of `abi`;
// returns its descriptor, or -1 with errno.
int clinux_landlock_create(int abi);

// Lets the rule set read the file `path`, and where `is_writable` is set, make, write and remove files below the
// folder `path`; returns 0, or -1 with errno.
int clinux_landlock_allow(int rule_set, int abi, const char *path, bool is_writable);

// Restricts the calling thread and all it starts later; returns 0, or -1 with errno.
int clinux_landlock_restrict(int rule_set);

// Puts a filter on all threads that answers EPERM to system calls which start programs or processes, make sockets, reach
// into other processes, change the machine or gain rights, and kills a process that speaks another calling
// convention; returns 0, or -1 with errno.
int clinux_seccomp_restrict(void);
