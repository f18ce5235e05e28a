#define _GNU_SOURCE
#include "CLinuxSockets.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int clinux_accept4(int descriptor, struct sockaddr *name, socklen_t *size, int flags) {
    return accept4(descriptor, name, size, flags);
}

int clinux_thread_set_name(const char *name) {
    return pthread_setname_np(pthread_self(), name);
}

int clinux_thread_wait_precisely(void) { return prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); }

ssize_t clinux_receive(int descriptor, void *buffer, size_t count, int flags) {
    return syscall(SYS_recvfrom, descriptor, buffer, count, flags, NULL, NULL);
}

ssize_t clinux_send(int descriptor, const void *buffer, size_t count, int flags) {
    return syscall(SYS_sendto, descriptor, buffer, count, flags, NULL, 0);
}

int clinux_lock_byte(int descriptor, long long offset, short type) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
    return fcntl(descriptor, F_OFD_SETLK, &range);
}
