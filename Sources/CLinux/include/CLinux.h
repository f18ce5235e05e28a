#pragma once
// System calls and constants that Swift's Glibc overlay does not bring. Owned by LinuxIO and by the
// query child's sandbox.
#include <linux/landlock.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "CLinuxMemory.h"
#include "CLinuxSandbox.h"
#include "CLinuxSockets.h"
