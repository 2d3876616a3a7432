/* The clock and the memory page that the programs of a measurement share. */

#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

#define MOST_JOBS 256

/* The file named by BENCH_PAGE: each COMMAND takes the next slot. */
struct page {
  volatile uint32_t taken;
  volatile uint32_t unused;
  struct {
    volatile uint64_t start_ns;
    volatile uint64_t end_ns;
  } jobs[MOST_JOBS];
};

static inline uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
