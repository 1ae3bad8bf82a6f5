#pragma once

/// Places where a process may be told to die, for the tests of survival. Only builds with
/// SCHEDCTL_CRASH_POINTS (the sanitizer variants) have them; elsewhere they are nothing at all.
///
/// `_SCHEDCTL_CRASH_AT=NAME` makes the process kill itself (SIGKILL) the first time it comes to
/// CRASH_POINT(NAME); `NAME:N` the Nth time. Names begin with the process: "daemon.claimed",
/// "keeper.forked".
#ifdef SCHEDCTL_CRASH_POINTS
namespace schedctl {
void crash_point(const char* name);
}
#define CRASH_POINT(name) ::schedctl::crash_point(name)
#else
#define CRASH_POINT(name) static_cast<void>(0)
#endif
