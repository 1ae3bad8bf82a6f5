/* Preloaded into schedctl, this writes down everything that it does to the files below a directory:
 * POWERCUT_DIR names the directory, POWERCUT_LOG the file that is appended to. From that, disk.py
 * can tell what a disk may hold when the power fails at any moment.
 *
 * A record is written before the deed, so that whoever has seen the deed finds it in the log before
 * his own. It is one write(2) to a file opened for appending: records of several processes do not
 * mix, and their order is that of the deeds. Syncs are only written down; the disk of this test is
 * the log. The system calls are made directly: nothing here may come back to itself, and the child
 * of a vfork, which shares its parent's memory, comes through here too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, MOST_PARTS = 64 };

struct head {
  char mark[4];
  char kind;
  char pad[3];
  uint64_t offset;
  uint32_t path_bytes;
  uint32_t data_bytes;
};

static char directory[PATH_BYTES], log_path[PATH_BYTES];
static size_t directory_bytes;

__attribute__((constructor)) static void begin(void) {
  const char* where = getenv("POWERCUT_DIR");
  const char* log = getenv("POWERCUT_LOG");
  if (where == NULL || log == NULL) return;
  snprintf(directory, sizeof directory, "%s/", where);
  snprintf(log_path, sizeof log_path, "%s", log);
  directory_bytes = strlen(directory);
}

/* The log is opened for each record: a daemon closes descriptors that it does not know. */
static void record(char kind, const char* path, uint64_t offset, const struct iovec* data,
                   int parts) {
  const int error = errno;
  struct head head = {{0, 'P', 'C', '1'}, kind, {0}, offset, (uint32_t)strlen(path), 0};
  struct iovec all[MOST_PARTS + 2];
  for (int i = 0; i < parts && i < MOST_PARTS; ++i) {
    all[i + 2] = data[i];
    head.data_bytes += (uint32_t)data[i].iov_len;
  }
  all[0] = (struct iovec){&head, sizeof head};
  all[1] = (struct iovec){(void*)path, head.path_bytes};
  const long fd = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
  const size_t size = sizeof head + head.path_bytes + head.data_bytes;
  /* A test without its record would prove nothing. */
  if (fd < 0 || parts > MOST_PARTS ||
      syscall(SYS_writev, fd, all, parts + 2) != (long)size) {
    abort();
  }
  syscall(SYS_close, fd);
  errno = error;
}

/* The path below the directory, or NULL. What SQLite maps into memory is gone after a power cut,
 * and what jobs wrote is not ours. */
static const char* below(const char* path) {
  if (directory_bytes == 0) return NULL;
  if (strlen(path) + 1 == directory_bytes && strncmp(path, directory, directory_bytes - 1) == 0) {
    return "";
  }
  if (strncmp(path, directory, directory_bytes) != 0) return NULL;
  const char* rest = path + directory_bytes;
  const size_t length = strlen(rest);
  if (length >= 4 && strcmp(rest + length - 4, "-shm") == 0) return NULL;
  if (strncmp(rest, "output", 6) == 0) return NULL;
  return strstr(rest, " (deleted)") == NULL ? rest : NULL;
}

static const char* of_fd(int fd, char* buffer) {
  char link[64];
  if (directory_bytes == 0) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const long n = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_BYTES - 1);
  if (n <= 0) return NULL;
  buffer[n] = 0;
  return below(buffer);
}

static const char* of_name(int dir, const char* name, char* buffer) {
  if (directory_bytes == 0 || name == NULL) return NULL;
  if (name[0] == '/') {
    snprintf(buffer, PATH_BYTES, "%s", name);
    size_t length = strlen(buffer);
    while (length > 1 && buffer[length - 1] == '/') buffer[--length] = 0;
    return below(buffer);
  }
  char link[64];
  if (dir == AT_FDCWD) {
    snprintf(link, sizeof link, "/proc/self/cwd");
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
  }
  const long n = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_BYTES - 1);
  if (n <= 0) return NULL;
  snprintf(buffer + n, (size_t)(PATH_BYTES - n), "/%s", name);
  return below(buffer);
}

static void record_write(int fd, const struct iovec* data, int parts, int64_t at) {
  char buffer[PATH_BYTES];
  const char* path = of_fd(fd, buffer);
  if (path == NULL) return;
  if (at < 0 && (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) != 0) {
    record('A', path, 0, data, parts);
    return;
  }
  if (at < 0) at = syscall(SYS_lseek, fd, 0L, SEEK_CUR);
  record('W', path, (uint64_t)at, data, parts);
}

static void record_fd(char kind, int fd, uint64_t offset) {
  char buffer[PATH_BYTES];
  const char* path = of_fd(fd, buffer);
  if (path != NULL) record(kind, path, offset, NULL, 0);
}

static void record_name(char kind, int dir, const char* name) {
  char buffer[PATH_BYTES];
  const char* path = of_name(dir, name, buffer);
  if (path != NULL) record(kind, path, 0, NULL, 0);
}

static void record_two(char kind, int dir, const char* name, int dir2, const char* name2) {
  char buffer[PATH_BYTES], buffer2[PATH_BYTES];
  const char* path = of_name(dir, name, buffer);
  const char* path2 = of_name(dir2, name2, buffer2);
  if (path == NULL || path2 == NULL) return;
  struct iovec second = {(void*)path2, strlen(path2)};
  record(kind, path, 0, &second, 1);
}

/* --- what is called instead of the C library's own ------------------------------------------- */

ssize_t write(int fd, const void* data, size_t size) {
  struct iovec one = {(void*)data, size};
  record_write(fd, &one, 1, -1);
  return syscall(SYS_write, fd, data, size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  struct iovec one = {(void*)data, size};
  record_write(fd, &one, 1, at);
  return syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  return pwrite(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec* data, int parts) {
  record_write(fd, data, parts, -1);
  return syscall(SYS_writev, fd, data, parts);
}
int ftruncate(int fd, off_t size) {
  record_fd('T', fd, (uint64_t)size);
  return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) {
  return ftruncate(fd, size);
}
/* Whether a file could be made is known only afterwards; and who else writes to it first makes it
 * in the log, too. */
static int open_any(int dir, const char* name, int flags, mode_t mode) {
  const long fd = syscall(SYS_openat, dir, name, flags, mode);
  if (fd >= 0 && (flags & O_CREAT) != 0) record_name('C', dir, name);
  if (fd >= 0 && (flags & O_TRUNC) != 0) record_fd('T', (int)fd, 0);
  return (int)fd;
}
#define MODE(last) \
  mode_t mode = 0; \
  va_list rest; \
  va_start(rest, last); \
  if ((flags & (O_CREAT | __O_TMPFILE)) != 0) mode = va_arg(rest, mode_t); \
  va_end(rest)
int open(const char* name, int flags, ...) {
  MODE(flags);
  return open_any(AT_FDCWD, name, flags, mode);
}
int open64(const char* name, int flags, ...) {
  MODE(flags);
  return open_any(AT_FDCWD, name, flags, mode);
}
int openat(int dir, const char* name, int flags, ...) {
  MODE(flags);
  return open_any(dir, name, flags, mode);
}
int openat64(int dir, const char* name, int flags, ...) {
  MODE(flags);
  return open_any(dir, name, flags, mode);
}
int fsync(int fd) {
  record_fd('S', fd, 0);
  return 0;
}
int fdatasync(int fd) {
  record_fd('S', fd, 0);
  return 0;
}
int rename(const char* from, const char* to) {
  record_two('R', AT_FDCWD, from, AT_FDCWD, to);
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_dir, const char* from, int to_dir, const char* to) {
  record_two('R', from_dir, from, to_dir, to);
  return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}
int link(const char* from, const char* to) {
  const long done = syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
  if (done == 0) record_two('L', AT_FDCWD, from, AT_FDCWD, to);
  return (int)done;
}
int unlink(const char* name) {
  record_name('U', AT_FDCWD, name);
  return (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}
int unlinkat(int dir, const char* name, int flags) {
  record_name('U', dir, name);
  return (int)syscall(SYS_unlinkat, dir, name, flags);
}
int mkdir(const char* name, mode_t mode) {
  const long done = syscall(SYS_mkdirat, AT_FDCWD, name, mode);
  if (done == 0) record_name('M', AT_FDCWD, name);
  return (int)done;
}
