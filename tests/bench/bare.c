// The machine's own limit: starts a program N times by vfork and exec, so many at once as it is
// told and with so long a pause before each, waits for each, and prints how many a second that were,
// and how many microseconds of its own CPU each of them took. It records nothing.
//
// usage: bare N IN_FLIGHT PAUSE_US PROGRAM [ARG...]

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(char** argv) {
  pid_t pid = vfork();
  if (pid == 0) {
    execv(argv[0], argv);
    _exit(127);
  }
  if (pid < 0) {
    perror("vfork");
    exit(1);
  }
}

static void reap(void) {
  int status = 0;
  if (wait(&status) < 0) {
    perror("wait");
    exit(1);
  }
  if (status != 0) {
    fprintf(stderr, "bare: the program ended with wait status %d\n", status);
    exit(1);
  }
}

int main(int argc, char** argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: bare N IN_FLIGHT PAUSE_US PROGRAM [ARG...]\n");
    return 2;
  }
  const int runs = atoi(argv[1]);
  const int in_flight = atoi(argv[2]);
  const useconds_t pause_us = (useconds_t)atoi(argv[3]);
  const double begin = now(CLOCK_MONOTONIC);
  const double cpu_begin = now(CLOCK_PROCESS_CPUTIME_ID);
  int live = 0;
  for (int started = 0; started < runs; ++started) {
    if (live == in_flight) {
      reap();
      --live;
    }
    if (pause_us > 0) usleep(pause_us);
    start(argv + 4);
    ++live;
  }
  for (; live > 0; --live) reap();
  printf("%.1f %.2f\n", runs / (now(CLOCK_MONOTONIC) - begin),
         (now(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin) / runs * 1e6);
  return 0;
}
