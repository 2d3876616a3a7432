/*
 * The stand-in for a sidecar: sidecar PORT...
 *
 * Listens on both loopback addresses at each port (0: any free port), and answers every request with
 * 200, keeping the connection open. Any request other than a GET is a stop request: its arrival is
 * recorded, and printed only when a line comes in on stdin, so that nothing is written during a
 * measurement.
 *
 * Prints `ports PORT...` when it listens. For each line on stdin, prints `stop PORT NANOSECONDS NTH`
 * for every stop request since the line before (NTH: which request of its connection it was), then
 * `end`.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#define MOST_FILES 4096
#define MOST_STOPS 4096
#define LONGEST_REQUEST 8192

enum kind { NOTHING, LISTENER, CONNECTION };

struct file {
  enum kind kind;
  int port;
  int requests;
  size_t length;
  char *buffer;
};

static struct file files[MOST_FILES];
static struct {
  int port;
  int nth;
  uint64_t at_ns;
} stops[MOST_STOPS];
static int stop_count;
static int poller;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int number, enum kind kind, int port) {
  if (number >= MOST_FILES) {
    close(number);
    return;
  }
  free(files[number].buffer);
  files[number] = (struct file){.kind = kind, .port = port};
  if (kind == CONNECTION) files[number].buffer = malloc(LONGEST_REQUEST + 1);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = number};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, number, &event) != 0) fail("epoll_ctl");
}

/* Listens on one loopback address. Returns the port, or -1 if there is no IPv6. */
static int listen_at(int family, int port) {
  int number = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (number < 0) return -1;
  int on = 1;
  setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_storage address = {0};
  socklen_t length;
  if (family == AF_INET) {
    struct sockaddr_in *ip4 = (struct sockaddr_in *)&address;
    *ip4 = (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    length = sizeof *ip4;
  } else {
    setsockopt(number, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    struct sockaddr_in6 *ip6 = (struct sockaddr_in6 *)&address;
    *ip6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                 .sin6_port = htons((uint16_t)port),
                                 .sin6_addr = in6addr_loopback};
    length = sizeof *ip6;
  }
  if (bind(number, (struct sockaddr *)&address, length) != 0 || listen(number, 512) != 0) {
    if (family == AF_INET) fail("listen");
    close(number);
    return -1;
  }
  getsockname(number, (struct sockaddr *)&address, &length);
  int bound = family == AF_INET ? ntohs(((struct sockaddr_in *)&address)->sin_port) : port;
  watch(number, LISTENER, bound);
  return bound;
}

static void drop(int number) {
  files[number].kind = NOTHING;
  close(number);
}

/* The length of a request's body, which is skipped: no stop request's body matters here. */
static size_t body_length(const char *head) {
  const char *found = strcasestr(head, "\r\ncontent-length:");
  return found == NULL ? 0 : strtoul(found + 17, NULL, 10);
}

static void receive(int number) {
  struct file *file = &files[number];
  ssize_t got = read(number, file->buffer + file->length, LONGEST_REQUEST - file->length);
  uint64_t at_ns = now_ns();
  if (got <= 0) {
    if (got < 0 && errno == EINTR) return;
    drop(number);
    return;
  }
  file->length += (size_t)got;
  file->buffer[file->length] = '\0';

  for (;;) {
    char *head_end = strstr(file->buffer, "\r\n\r\n");
    if (head_end == NULL) break;
    size_t whole = (size_t)(head_end - file->buffer) + 4 + body_length(file->buffer);
    if (file->length < whole) break;
    file->requests++;
    int is_stop = strncmp(file->buffer, "GET ", 4) != 0;
    static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK";
    if (write(number, answer, sizeof answer - 1) < 0) {
      drop(number);
      return;
    }
    if (is_stop && stop_count < MOST_STOPS) {
      stops[stop_count].port = file->port;
      stops[stop_count].nth = file->requests;
      stops[stop_count++].at_ns = at_ns;
    }
    memmove(file->buffer, file->buffer + whole, file->length - whole + 1);
    file->length -= whole;
  }
  if (file->length == LONGEST_REQUEST) drop(number);
}

static void report(void) {
  char line[256];
  if (fgets(line, sizeof line, stdin) == NULL) exit(0);
  for (int index = 0; index < stop_count; index++) {
    printf("stop %d %" PRIu64 " %d\n", stops[index].port, stops[index].at_ns, stops[index].nth);
  }
  stop_count = 0;
  printf("end\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) fail("epoll_create1");
  setvbuf(stdin, NULL, _IONBF, 0);
  watch(0, NOTHING, 0);

  printf("ports");
  for (int index = 1; index < argc; index++) {
    int port = listen_at(AF_INET, atoi(argv[index]));
    listen_at(AF_INET6, port);
    printf(" %d", port);
  }
  printf("\n");
  fflush(stdout);

  for (;;) {
    struct epoll_event events[64];
    int count = epoll_wait(poller, events, 64, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int index = 0; index < count; index++) {
      int number = events[index].data.fd;
      if (number == 0) {
        report();
      } else if (files[number].kind == CONNECTION) {
        receive(number);
      } else if (files[number].kind == LISTENER) {
        int accepted = accept4(number, NULL, NULL, SOCK_CLOEXEC);
        int on = 1;
        if (accepted < 0) continue;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(accepted, CONNECTION, files[number].port);
      }
    }
  }
}
