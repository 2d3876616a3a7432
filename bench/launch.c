/*
 * Starts COUNT copies of a program, waits for all of them, and prints their times and usage as one
 * line of JSON:
 *
 *     launch COUNT WORD...
 *
 * Times are nanoseconds of CLOCK_MONOTONIC: `exec` is taken in the new process right before
 * execve(), and `exit` when wait4() has returned. The COMMANDs themselves record `starts` and `ends`.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

struct run {
  pid_t pid;
  volatile uint64_t exec_ns;
  uint64_t exit_ns;
  int code;
  struct rusage usage;
};

static uint64_t micros(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

int main(int argc, char **argv) {
  int count = argc > 2 ? atoi(argv[1]) : 0;
  const char *path = getenv("BENCH_PAGE");
  if (count < 1 || count > MOST_JOBS || path == NULL) {
    fprintf(stderr, "usage: BENCH_PAGE=FILE launch COUNT WORD...\n");
    return 2;
  }
  int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, sizeof(struct page)) != 0) {
    perror(path);
    return 1;
  }
  struct page *page = mmap(NULL, sizeof *page, PROT_READ, MAP_SHARED, file, 0);
  struct run *runs = mmap(NULL, sizeof *runs * (size_t)count, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (page == MAP_FAILED || runs == MAP_FAILED || nothing < 0) {
    perror("launch");
    return 1;
  }

  for (int index = 0; index < count; index++) {
    pid_t pid = fork();
    if (pid < 0) {
      perror("fork");
      return 1;
    }
    if (pid == 0) {
      dup2(nothing, 0);
      dup2(nothing, 1);
      dup2(nothing, 2);
      runs[index].exec_ns = now_ns();
      execvp(argv[2], argv + 2);
      _exit(127);
    }
    runs[index].pid = pid;
  }

  for (int left = count; left > 0; left--) {
    int status;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, 0, &usage);
    uint64_t exit_ns = now_ns();
    for (int index = 0; index < count; index++) {
      if (runs[index].pid != pid) continue;
      runs[index].exit_ns = exit_ns;
      runs[index].usage = usage;
      runs[index].code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
  }

  printf("{\"processes\":[");
  for (int index = 0; index < count; index++) {
    struct run *run = &runs[index];
    printf("%s{\"code\":%d,\"exec\":%" PRIu64 ",\"exit\":%" PRIu64 ",\"cpuMicros\":%" PRIu64
           ",\"peakKiB\":%ld}",
           index == 0 ? "" : ",", run->code, run->exec_ns, run->exit_ns,
           micros(run->usage.ru_utime) + micros(run->usage.ru_stime), run->usage.ru_maxrss);
  }
  uint32_t taken = page->taken;
  const char *names[] = {"starts", "ends"};
  for (int which = 0; which < 2; which++) {
    printf("],\"%s\":[", names[which]);
    for (uint32_t slot = 0; slot < taken && slot < MOST_JOBS; slot++) {
      printf("%s%" PRIu64, slot == 0 ? "" : ",",
             which == 0 ? page->jobs[slot].start_ns : page->jobs[slot].end_ns);
    }
  }
  printf("]}\n");
  return 0;
}
