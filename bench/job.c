/*
 * The timed COMMAND: job MILLISECONDS
 *
 * Records the times of its first and last statements in the shared page.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"

int main(int argc, char **argv) {
  uint64_t start_ns = now_ns();
  uint64_t end_ns = start_ns + (argc > 1 ? strtoull(argv[1], NULL, 10) : 0) * 1000000u;

  const char *path = getenv("BENCH_PAGE");
  int file = path == NULL ? -1 : open(path, O_RDWR);
  if (file < 0) return 99;
  struct page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (page == MAP_FAILED) return 99;
  uint32_t slot = __atomic_fetch_add(&page->taken, 1, __ATOMIC_RELAXED);
  if (slot >= MOST_JOBS) return 99;
  page->jobs[slot].start_ns = start_ns;

  struct timespec until = {(time_t)(end_ns / 1000000000u), (long)(end_ns % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
  }
  page->jobs[slot].end_ns = now_ns();
  _exit(0);
}
