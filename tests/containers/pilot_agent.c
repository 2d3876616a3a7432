/*
 * A stand-in for Istio's pilot-agent, as a static program: GET /healthz/ready on ports 15020 and 15021
 * is 200, POST /quitquitquit on 15020 is 200 and ends it, another method there is 405. Like the real one,
 * it keeps running for a while after SIGTERM, so that connections can drain.
 *
 *   pilot_agent LATE_MS DRAIN_MS     listens after LATE_MS; ends by itself DRAIN_MS after SIGTERM
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t drain_ms = 0;

static void on_sigterm(int signal) {
  (void)signal;
  alarm((drain_ms + 999) / 1000);
}

static void on_alarm(int signal) {
  (void)signal;
  _exit(0);
}

static int listen_on(int port) {
  int yes = 1;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 16) != 0) {
    perror("pilot-agent");
    exit(1);
  }
  return server;
}

static void answer(int client, const char *status) {
  char text[200];
  int length = snprintf(text, sizeof text,
                        "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
  if (write(client, text, length) != length) perror("pilot-agent");
}

/* Answers one request on a connection; returns whether it was the request to quit. */
static int serve(int client, int is_agent) {
  char request[8192];
  size_t length = 0;
  while (length < sizeof request - 1) {
    ssize_t count = read(client, request + length, sizeof request - 1 - length);
    if (count <= 0) return 0; /* only a check whether the port is open */
    length += count;
    request[length] = 0;
    if (strstr(request, "\r\n\r\n") != NULL) break;
  }
  printf("pilot-agent: %.*s\n", (int)strcspn(request, "\r\n"), request);
  if (strncmp(request, "GET /healthz/ready ", 19) == 0) {
    answer(client, "200 OK");
  } else if (!is_agent || strstr(request, " /quitquitquit ") == NULL) {
    answer(client, "404 Not Found");
  } else if (strncmp(request, "POST ", 5) != 0) {
    answer(client, "405 Method Not Allowed");
  } else {
    answer(client, "200 OK");
    return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 98;
  long late_ms = atol(argv[1]);
  drain_ms = atol(argv[2]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct sigaction action = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
  struct sigaction drained = {.sa_handler = on_alarm};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGALRM, &drained, NULL);
  struct timespec late = {late_ms / 1000, late_ms % 1000 * 1000000};
  nanosleep(&late, NULL);
  struct pollfd ports[] = {{listen_on(15020), POLLIN, 0}, {listen_on(15021), POLLIN, 0}};
  puts("pilot-agent: ready");
  for (;;) {
    if (poll(ports, 2, -1) < 0) continue;
    for (int i = 0; i < 2; i++) {
      if (!(ports[i].revents & POLLIN)) continue;
      int client = accept(ports[i].fd, NULL, NULL);
      if (client < 0) continue;
      int quit = serve(client, i == 0);
      close(client);
      if (quit) {
        puts("pilot-agent: quits");
        return 0;
      }
    }
  }
}
