// The program that the benchmarks run: it appends the time as one line of 20 bytes (nanoseconds of
// CLOCK_REALTIME, 19 digits until the year 2286) to the file it is given, in one write, so that
// lines of programs that run side by side never mix. Static and small: what is measured is the
// starting, not the program.

#include <fcntl.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  char line[20];
  line[19] = '\n';
  for (int i = 18; i >= 0; --i) {
    line[i] = (char)('0' + ns % 10);
    ns /= 10;
  }
  int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return 1;
  return write(fd, line, sizeof line) == sizeof line ? 0 : 1;
}
