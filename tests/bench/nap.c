// Sleeps for so many seconds as it is told. Static and small: with ten thousand of them at once it
// is the daemon and the keeper that are measured.

#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (unsigned left = (unsigned)atoi(argv[1]); left > 0;) left = sleep(left);
  return 0;
}
