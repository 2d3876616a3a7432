/*
 * COMMAND in the container tests: static, so that it runs in an empty image.
 *
 *   job exit CODE      leaves an orphan to PID 1, waits until it has been reaped, exits with CODE
 *   job wait CODE      runs until SIGTERM, then exits with CODE
 *   job memory MIB     uses that much memory, and exits with 0
 *   job settings CODE  prints its permissions and limits, then exits with CODE
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

/* Starts a process whose parent ends; PID 1 becomes its parent. */
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

/* A zombie still accepts signals; only a process that has been reaped does not exist. */
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

static void print_writable(const char *folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/by-job", folder);
  FILE *file = fopen(path, "w");
  printf("job: %s write to %s\n", file != NULL ? "may" : "may not", folder);
  if (file != NULL) fclose(file);
}

/* The lines of /proc/self/status about capabilities and new privileges. */
static void print_privileges(void) {
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    if (strncmp(line, "Cap", 3) != 0 && strncmp(line, "NoNew", 5) != 0) continue;
    char *value = strchr(line, ':');
    *value = 0;
    printf("job: %s is %s", line, value + 2);
  }
  if (status != NULL) fclose(status);
}

/* A limit of the control group, from the file of cgroup version 1 or 2. */
static void print_limit(const char *what, const char *first, const char *second) {
  char line[256];
  FILE *file = fopen(first, "r");
  if (file == NULL) file = fopen(second, "r");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) strcpy(line, "unknown\n");
  printf("job: %s is %s", what, line);
  if (file != NULL) fclose(file);
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
  if (strcmp(argv[1], "settings") == 0) {
    const char *home = getenv("HOME");
    print_writable("");
    print_writable("/tmp");
    print_writable("/var/tmp");
    print_writable(home != NULL ? home : "/root");
    print_privileges();
    print_limit("memory", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory.max");
    print_limit("CPU", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max");
    return number;
  }
  return 98;
}
