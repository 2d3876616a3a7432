/*
 * COMMAND in the containers' tests: static, so that it runs in an empty image.
 *
 *   job exit CODE      leaves an orphan to PID 1, waits until that was reaped, exits with CODE
 *   job wait CODE      runs until SIGTERM, then exits with CODE
 *   job memory MIB     uses that much memory of its own, and exits with 0
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

/* Starts a process whose parent is gone; PID 1 becomes its parent. */
static pid_t start_orphan(void) {
  int line[2];
  if (pipe(line) != 0) exit(90);
  pid_t parent = fork();
  if (parent < 0) exit(91);
  if (parent == 0) {
    pid_t orphan = fork();
    if (orphan == 0) {
      while (getppid() != 1) pause_ms(1);
      _exit(0);
    }
    if (write(line[1], &orphan, sizeof orphan) != sizeof orphan) _exit(92);
    _exit(0);
  }
  pid_t orphan;
  if (read(line[0], &orphan, sizeof orphan) != sizeof orphan) exit(93);
  waitpid(parent, NULL, 0);
  return orphan;
}

/* A zombie still takes signals; only one that was reaped is gone. */
static void expect_reaped(pid_t orphan) {
  for (int i = 0; i < 1500; i++) {
    if (kill(orphan, 0) != 0 && errno == ESRCH) {
      puts("job: the orphan was reaped");
      return;
    }
    pause_ms(10);
  }
  puts("job: the orphan is a zombie");
  exit(99);
}

static volatile sig_atomic_t told_to_end = 0;

static void on_sigterm(int signal) {
  (void)signal;
  told_to_end = 1;
}

int main(int argc, char **argv) {
  if (argc != 3) return 98;
  int number = atoi(argv[2]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("job: parent is process %d, user %d\n", getppid(), getuid());
  if (strcmp(argv[1], "exit") == 0) {
    expect_reaped(start_orphan());
    return number;
  }
  if (strcmp(argv[1], "wait") == 0) {
    struct sigaction action = {.sa_handler = on_sigterm};
    sigaction(SIGTERM, &action, NULL);
    puts("job: waiting");
    while (!told_to_end) pause_ms(10);
    puts("job: got SIGTERM");
    return number;
  }
  if (strcmp(argv[1], "memory") == 0) {
    volatile char *bytes = malloc((size_t)number << 20);
    if (bytes == NULL) return 97;
    for (size_t i = 0; i < (size_t)number << 20; i += 4096) bytes[i] = 1;
    puts("job: has its memory");
    return 0;
  }
  return 98;
}
