/* Preloaded into a daemon: every FAIL_MALLOC_AFTERth allocation finds no memory. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static atomic_long every;
static atomic_long made;

__attribute__((constructor)) static void begin(void) {
  const char *text = getenv("FAIL_MALLOC_AFTER");
  if (text != NULL) every = atol(text);
}

static int is_refused(void) {
  if (every <= 0 || ++made % every != 0) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) { return is_refused() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) {
  return is_refused() ? NULL : __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) { return is_refused() ? NULL : __libc_realloc(old, size); }
