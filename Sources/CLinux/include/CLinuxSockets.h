#pragma once
// Calls that glibc declares only under _GNU_SOURCE, which Swift's Glibc overlay does not set.
#include <pthread.h>
#include <sys/socket.h>

int clinux_accept4(int descriptor, struct sockaddr *_Nonnull name, socklen_t *_Nonnull size, int flags);

// recv(2) and send(2) without what glibc does around them so that a thread can be cancelled meanwhile: no thread is, and in
// a program of several it takes a tenth of the call.
ssize_t clinux_receive(int descriptor, void *_Nullable buffer, size_t count, int flags);
ssize_t clinux_send(int descriptor, const void *_Nullable buffer, size_t count, int flags);

int clinux_thread_set_name(const char *_Nonnull name);
/// Lets timed waits of the calling thread end when they are due, not up to 50 us later (`PR_SET_TIMERSLACK`).
int clinux_thread_wait_precisely(void);

// Takes (`type` F_WRLCK) or gives back (F_UNLCK) a lock of the open file description on one byte, at once or not at all
// (F_OFD_SETLK); returns 0, or -1 with errno.
int clinux_lock_byte(int descriptor, long long offset, short type);
