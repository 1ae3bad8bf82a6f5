// Makes a process large: loaded with LD_PRELOAD, it takes BALLAST_MIB of memory before main() and
// writes to all of it. schedctl needs no such thing for itself, not even with a million jobs, so
// this is how a benchmark gets a daemon of 1 GB without a word about it in the daemon.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

__attribute__((constructor)) static void load(void) {
  const char* mib = getenv("BALLAST_MIB");
  if (mib == NULL) return;
  const size_t bytes = (size_t)atol(mib) * 1024 * 1024;
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    perror("ballast");
    exit(1);
  }
  memset(memory, 1, bytes);
}
