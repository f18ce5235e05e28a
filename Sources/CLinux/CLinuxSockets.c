#define _GNU_SOURCE
#include "CLinuxSockets.h"

int clinux_accept4(int descriptor, struct sockaddr *name, socklen_t *size, int flags) {
    return accept4(descriptor, name, size, flags);
}

int clinux_thread_set_name(const char *name) {
    return pthread_setname_np(pthread_self(), name);
}
