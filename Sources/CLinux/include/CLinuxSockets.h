#pragma once
// Calls that glibc declares only under _GNU_SOURCE, which Swift's Glibc overlay does not set.
#include <pthread.h>
#include <sys/socket.h>

int clinux_accept4(int descriptor, struct sockaddr *_Nonnull name, socklen_t *_Nonnull size, int flags);
int clinux_thread_set_name(const char *_Nonnull name);
