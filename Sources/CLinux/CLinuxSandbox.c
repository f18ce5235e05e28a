#define _GNU_SOURCE
#include "include/CLinuxSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// The attribute of Landlock's newest ABI that is used here (6); older headers know a prefix of it, and the
// kernel takes the size it is told. Values from Documentation/userspace-api/landlock.rst.
struct rule_set_attributes {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

enum {
    RIGHT_EXECUTE = 1 << 0,
    RIGHT_WRITE_FILE = 1 << 1,
    RIGHT_READ_FILE = 1 << 2,
    RIGHT_READ_DIR = 1 << 3,
    RIGHT_REMOVE_DIR = 1 << 4,
    RIGHT_REMOVE_FILE = 1 << 5,
    RIGHT_MAKE_DIR = 1 << 7,
    RIGHT_MAKE_REG = 1 << 8,
    RIGHTS_ABI_1 = (1 << 13) - 1,
    RIGHT_REFER = 1 << 13,
    RIGHT_TRUNCATE = 1 << 14,
    RIGHT_IOCTL_DEV = 1 << 15,
    NET_BIND_AND_CONNECT = 3,
    SCOPE_SOCKET_AND_SIGNAL = 3,
};

int clinux_enter_child(void) {
    if (syscall(SYS_close_range, 3, ~0U, 0) != 0) return -1;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static uint64_t handled_rights(int abi) {
    uint64_t rights = RIGHTS_ABI_1;
    if (abi >= 2) rights |= RIGHT_REFER;
    if (abi >= 3) rights |= RIGHT_TRUNCATE;
    if (abi >= 5) rights |= RIGHT_IOCTL_DEV;
    return rights;
}

int clinux_landlock_abi(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 0 ? 0 : (int)abi;
}

int clinux_landlock_create(int abi) {
    struct rule_set_attributes attributes = {.handled_access_fs = handled_rights(abi)};
    size_t size = sizeof(uint64_t);
    if (abi >= 4) {
        attributes.handled_access_net = NET_BIND_AND_CONNECT;
        size = 2 * sizeof(uint64_t);
    }
    if (abi >= 6) {
        attributes.scoped = SCOPE_SOCKET_AND_SIGNAL;
        size = 3 * sizeof(uint64_t);
    }
    return (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
}

int clinux_landlock_allow(int rule_set, int abi, const char *path, bool is_writable) {
    struct landlock_path_beneath_attr rule = {.allowed_access = RIGHT_READ_FILE};
    if (is_writable) {
        rule.allowed_access |= RIGHT_WRITE_FILE | RIGHT_READ_DIR | RIGHT_REMOVE_DIR |
                               RIGHT_REMOVE_FILE | RIGHT_MAKE_DIR | RIGHT_MAKE_REG;
        if (abi >= 3) rule.allowed_access |= RIGHT_TRUNCATE;
    }
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) return -1;
    long result =
        syscall(SYS_landlock_add_rule, rule_set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int saved = errno;
    close(rule.parent_fd);
    errno = saved;
    return (int)result;
}

int clinux_landlock_restrict(int rule_set) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return (int)syscall(SYS_landlock_restrict_self, rule_set, 0);
}

#define REFUSED(number)                                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1),   \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

int clinux_seccomp_restrict(void) {
    static const uint32_t x32_bit = 0x40000000;
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
#if defined(__x86_64__)
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
#elif defined(__aarch64__)
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_AARCH64, 1, 0),
#else
#error "the query child's filter knows x86-64 and AArch64"
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        // Threads are made, processes are not. The flags of clone3 stand in memory, so it is said to be missing and
        // the C library takes clone, whose flags stand in a register.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
#if defined(__x86_64__)
        REFUSED(fork),
        REFUSED(vfork),
        REFUSED(chmod),
        REFUSED(chown),
        REFUSED(lchown),
#endif
        // Landlock does not cover these.
        REFUSED(fchmod),
        REFUSED(fchmodat),
        REFUSED(fchown),
        REFUSED(fchownat),
        REFUSED(utimensat),
        REFUSED(setxattr),
        REFUSED(lsetxattr),
        REFUSED(fsetxattr),
        REFUSED(removexattr),
        REFUSED(lremovexattr),
        REFUSED(fremovexattr),
        REFUSED(execve),
        REFUSED(execveat),
        REFUSED(socket),
        REFUSED(socketpair),
        REFUSED(connect),
        REFUSED(bind),
        REFUSED(listen),
        REFUSED(accept),
        REFUSED(accept4),
        REFUSED(sendmsg),
        REFUSED(sendmmsg),
        REFUSED(ptrace),
        REFUSED(process_vm_readv),
        REFUSED(process_vm_writev),
        REFUSED(kcmp),
        REFUSED(pidfd_open),
        REFUSED(pidfd_getfd),
        REFUSED(pidfd_send_signal),
        REFUSED(kill),
        REFUSED(tkill),
        REFUSED(rt_sigqueueinfo),
        REFUSED(mount),
        REFUSED(umount2),
        REFUSED(move_mount),
        REFUSED(open_tree),
        REFUSED(fsopen),
        REFUSED(fsmount),
        REFUSED(fspick),
        REFUSED(pivot_root),
        REFUSED(chroot),
        REFUSED(unshare),
        REFUSED(setns),
        REFUSED(bpf),
        REFUSED(perf_event_open),
        REFUSED(io_uring_setup),
        REFUSED(io_uring_enter),
        REFUSED(io_uring_register),
        REFUSED(userfaultfd),
        REFUSED(keyctl),
        REFUSED(add_key),
        REFUSED(request_key),
        REFUSED(memfd_create),
        REFUSED(open_by_handle_at),
        REFUSED(name_to_handle_at),
        REFUSED(init_module),
        REFUSED(finit_module),
        REFUSED(delete_module),
        REFUSED(kexec_load),
        REFUSED(kexec_file_load),
        REFUSED(reboot),
        REFUSED(swapon),
        REFUSED(swapoff),
        REFUSED(syslog),
        REFUSED(acct),
        REFUSED(quotactl),
        REFUSED(settimeofday),
        REFUSED(clock_settime),
        REFUSED(adjtimex),
        REFUSED(sethostname),
        REFUSED(setdomainname),
        REFUSED(personality),
        REFUSED(setuid),
        REFUSED(setgid),
        REFUSED(setreuid),
        REFUSED(setregid),
        REFUSED(setresuid),
        REFUSED(setresgid),
        REFUSED(setgroups),
        REFUSED(capset),
        REFUSED(prlimit64),
        REFUSED(setrlimit),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {
        .len = sizeof program / sizeof program[0],
        .filter = program,
    };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
}
