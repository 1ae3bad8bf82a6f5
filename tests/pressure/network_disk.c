// Lets statfs(2) say that everything is NFS: a real one needs a kernel that can mount it.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/vfs.h>

int statfs(const char* path, struct statfs* status) {
  int (*real)(const char*, struct statfs*) =
      (int (*)(const char*, struct statfs*))dlsym(RTLD_NEXT, "statfs");
  int result = real(path, status);
  if (result == 0) status->f_type = 0x6969;
  return result;
}

int statfs64(const char* path, struct statfs64* status) {
  return statfs(path, (struct statfs*)status);
}
