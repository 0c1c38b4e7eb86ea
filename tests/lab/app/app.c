/* The application that the lab's services run: a small HTTP server whose answers say who gave them.
 *
 * One static binary, pid 1 of an otherwise empty image. A thread per connection: the tests hold hundreds of
 * connections, not tens of thousands, and blocking code is easy to trust when a lost request has to be explained.
 *
 *   /app [--port N]... [--tcp N]... [--udp N]... [--version TEXT] [--name TEXT]
 *        [--on-term exit|drain:SECONDS] [--healthy-after SECONDS] [--fail-after SECONDS]
 *   /app check [--port N]    for HEALTHCHECK: GET /health on 127.0.0.1, exit 0 or 1
 *   /app done                exits with 0: a job's task that has done its work
 *   /app pause               sleeps until SIGTERM: holds a network namespace open
 *
 * Every answer's body is the host name and, on a second line, the version if there is one. A path segment, anywhere
 * in the path (so that rewritten prefixes do not matter), changes that:
 *
 *   /headers      body is the request line and all header lines as they arrived (and the PROXY line, if any)
 *   /health       200, or 503 before --healthy-after has passed or after /unhealthy
 *   /unhealthy    from now on /health says 503; /healthy takes that back
 *   /slow?ms=N    answers after N milliseconds
 *   /status/NNN   answers with that status
 *   /bytes/N      body of N bytes
 *   /exit/N       the process exits with that code, the request is not answered
 *
 * Header of every answer: X-App (host name), X-Version, X-Port (own port), X-Path (path as it arrived), X-Client.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 32768, PORTS_MAX = 16, STACK = 256 * 1024 };

struct connection {
    int fd, port;
    char client[64];
    char proxy_line[128]; /* PROXY protocol, version 1 as it arrived, version 2 as "PROXY v2" */
    char in[HEAD_MAX + 1];
    size_t have; /* bytes of `in` that hold unread input */
};

struct listener {
    int port;
    enum { HTTP, TCP, UDP } kind;
};

static struct listener listeners[PORTS_MAX];
static int listener_count, http_ports;
static char host[256];
static const char *version = "";
static double drain_seconds = -1; /* negative: exit at once on SIGTERM */
static double healthy_after, fail_after;
static double started;
static volatile int draining, told_unhealthy;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void pause_for(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) < 0 && errno == EINTR) {
    }
}

static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static int send_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n, size -= (size_t)n;
    }
    return 0;
}

/* Read more input behind what is there; 0 at end of stream, error, or when the buffer is full. */
static size_t fill(struct connection *c) {
    for (;;) {
        if (c->have >= HEAD_MAX)
            return 0;
        ssize_t n = recv(c->fd, c->in + c->have, HEAD_MAX - c->have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        c->have += (size_t)n;
        c->in[c->have] = 0;
        return (size_t)n;
    }
}

static void consume(struct connection *c, size_t size) {
    memmove(c->in, c->in + size, c->have - size + 1);
    c->have -= size;
}

static int discard(struct connection *c, unsigned long long size) {
    while (size > 0) {
        if (c->have == 0 && !fill(c))
            return -1;
        size_t part = c->have < size ? c->have : (size_t)size;
        consume(c, part);
        size -= part;
    }
    return 0;
}

static int discard_chunks(struct connection *c) {
    for (;;) {
        char *end;
        while (!(end = strstr(c->in, "\r\n")))
            if (!fill(c))
                return -1;
        unsigned long long size = strtoull(c->in, NULL, 16);
        consume(c, (size_t)(end - c->in) + 2);
        if (discard(c, size + 2)) /* the chunk's own CRLF; after the last chunk an empty trailer */
            return -1;
        if (size == 0)
            return 0;
    }
}

/* Value of a header in a zero-terminated head, copied to `out`; 0 if it is missing. */
static int header(const char *head, const char *name, char *out, size_t size) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            line += strspn(line, " \t");
            snprintf(out, size, "%.*s", (int)strcspn(line, "\r"), line);
            return 1;
        }
    }
    return 0;
}

/* What follows the path segment `name` in `path`, or NULL. */
static const char *segment(const char *path, const char *name) {
    size_t length = strlen(name);
    for (const char *at = path; *at && *at != '?'; at++)
        if (*at == '/' && strncmp(at + 1, name, length) == 0 && (at[length + 1] == 0 || strchr("/?", at[length + 1])))
            return at + 1 + length;
    return NULL;
}

/* A PROXY protocol preamble, if there is one, is taken off the input and remembered. */
static void take_proxy_line(struct connection *c) {
    static const char v2[] = "\r\n\r\n\0\r\nQUIT\n";
    while (c->have < 16 && (c->have == 0 || !memcmp(c->in, "PROXY ", c->have < 6 ? c->have : 6) ||
                            !memcmp(c->in, v2, c->have < 12 ? c->have : 12)))
        if (!fill(c))
            return;
    if (!memcmp(c->in, v2, 12)) {
        size_t size = 16 + ((size_t)(uint8_t)c->in[14] << 8) + (uint8_t)c->in[15];
        snprintf(c->proxy_line, sizeof c->proxy_line, "PROXY v2");
        discard(c, size);
    } else if (!memcmp(c->in, "PROXY ", 6)) {
        char *end;
        while (!(end = strstr(c->in, "\r\n")))
            if (!fill(c))
                return;
        snprintf(c->proxy_line, sizeof c->proxy_line, "%.*s", (int)(end - c->in), c->in);
        consume(c, (size_t)(end - c->in) + 2);
    }
}

static const char *reason(int status) {
    switch (status) {
    case 200: return "OK";
    case 404: return "Not Found";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Status";
    }
}

static int healthy(void) { return !told_unhealthy && now() - started >= healthy_after; }

/* Answer one request, whose head is zero-terminated; 0 while the connection may be used again. */
static int answer(struct connection *c, const char *head, const char *method, const char *path, int keep) {
    char text[HEAD_MAX + 512], top[HEAD_MAX + 1024];
    const char *at;
    int status = 200;
    size_t padding = 0, length;

    snprintf(text, sizeof text, "%s\n%s%s", host, version, *version ? "\n" : "");
    if (segment(path, "unhealthy"))
        told_unhealthy = 1;
    else if (segment(path, "healthy"))
        told_unhealthy = 0;
    else if (segment(path, "health"))
        status = healthy() ? 200 : 503;
    else if ((at = segment(path, "exit")))
        _exit(*at == '/' ? atoi(at + 1) : 1);
    else if ((at = segment(path, "status")) && *at == '/')
        status = atoi(at + 1);
    else if ((at = segment(path, "slow")) && (at = strstr(at, "ms=")))
        pause_for(atof(at + 3) / 1000);
    else if ((at = segment(path, "bytes")) && *at == '/')
        padding = strtoul(at + 1, NULL, 10), text[0] = 0;
    else if (segment(path, "headers")) {
        char *to = text;
        if (*c->proxy_line)
            to += sprintf(to, "%s\n", c->proxy_line);
        for (; *head; head++)
            if (*head != '\r')
                *to++ = *head;
        *to++ = '\n', *to = 0;
    }
    if (status < 200 || status > 999)
        status = 400;
    keep = keep && !draining;
    length = strlen(text);
    int size = snprintf(top, sizeof top,
                        "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nX-App: %s\r\n%s%s%s"
                        "X-Port: %d\r\nX-Path: %.1024s\r\nX-Client: %s\r\nConnection: %s\r\n\r\n",
                        status, reason(status), length + padding, host, *version ? "X-Version: " : "", version,
                        *version ? "\r\n" : "", c->port, path, c->client, keep ? "keep-alive" : "close");
    if (strcmp(method, "HEAD") && status != 204 && status != 304) {
        /* One write for head and body: a client never sees half an answer of a process that is told to exit. */
        memcpy(top + size, text, length);
        if (send_all(c->fd, top, (size_t)size + length))
            return -1;
        memset(text, 'x', sizeof text);
        for (; padding > 0; padding -= length) {
            length = padding < sizeof text ? padding : sizeof text;
            if (send_all(c->fd, text, length))
                return -1;
        }
    } else if (send_all(c->fd, top, (size_t)size))
        return -1;
    return keep ? 0 : -1;
}

/* Read one request and answer it; 0 while the connection may be used again. */
static int serve_one(struct connection *c) {
    static const char too_big[] = "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    static const char malformed[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    char head[HEAD_MAX + 1], method[16], path[8192], protocol[16], value[256];
    char *end;

    while (!(end = strstr(c->in, "\r\n\r\n")))
        if (!fill(c)) {
            if (c->have >= HEAD_MAX)
                send_all(c->fd, too_big, sizeof too_big - 1);
            return -1;
        }
    snprintf(head, sizeof head, "%.*s", (int)(end - c->in), c->in);
    consume(c, (size_t)(end - c->in) + 4);
    if (sscanf(head, "%15s %8191s %15s", method, path, protocol) != 3 || strncmp(protocol, "HTTP/1.", 7)) {
        send_all(c->fd, malformed, sizeof malformed - 1);
        return -1;
    }
    if (header(head, "Expect", value, sizeof value) && send_all(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return -1;
    if (header(head, "Transfer-Encoding", value, sizeof value) && strcasestr(value, "chunked")) {
        if (discard_chunks(c))
            return -1;
    } else if (header(head, "Content-Length", value, sizeof value) && discard(c, strtoull(value, NULL, 10)))
        return -1;
    int keep = strcmp(protocol, "HTTP/1.0") != 0;
    if (header(head, "Connection", value, sizeof value))
        keep = strcasestr(value, "close") ? 0 : strcasestr(value, "keep-alive") ? 1 : keep;
    return answer(c, head, method, path, keep);
}

static void *serve_http(void *argument) {
    struct connection *c = argument;
    take_proxy_line(c);
    while (serve_one(c) == 0) {
    }
    /* Let the client read the last answer: closing with unread input would send RST instead of FIN. */
    shutdown(c->fd, SHUT_WR);
    struct timeval second = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    while (c->have = 0, fill(c)) {
    }
    close(c->fd);
    free(c);
    return NULL;
}

static void *serve_tcp(void *argument) {
    struct connection *c = argument;
    char hello[300];
    snprintf(hello, sizeof hello, "%s\n", host);
    if (send_all(c->fd, hello, strlen(hello)) == 0)
        for (c->have = 0; fill(c); c->have = 0)
            if (send_all(c->fd, c->in, c->have))
                break;
    close(c->fd);
    free(c);
    return NULL;
}

static int bound(int port, int type) {
    int on = 1, off = 0;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(fd, (struct sockaddr *)&six, sizeof six) == 0)
            return fd;
        close(fd);
    }
    fd = socket(AF_INET, type | SOCK_CLOEXEC, 0); /* a namespace without IPv6 */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&four, sizeof four) < 0)
        die("port %d: %s", port, strerror(errno));
    return fd;
}

static void name_client(struct connection *c, const struct sockaddr_storage *from) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (from->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)from)->sin6_addr, text, sizeof text);
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, text, sizeof text);
    snprintf(c->client, sizeof c->client, "%s", strncmp(text, "::ffff:", 7) ? text : text + 7);
}

__attribute__((noreturn)) static void *accept_loop(void *argument) {
    struct listener *self = argument;
    int on = 1, fd = (int)(intptr_t)bound(self->port, SOCK_STREAM);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    if (listen(fd, 4096) < 0)
        die("port %d: %s", self->port, strerror(errno));
    for (;;) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        int peer = accept4(fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
        if (peer < 0) {
            if (errno == EMFILE || errno == ENFILE)
                pause_for(0.01);
            continue;
        }
        struct connection *c = calloc(1, sizeof *c);
        pthread_t thread;
        if (c) {
            setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            c->fd = peer, c->port = self->port;
            name_client(c, &from);
        }
        if (!c || pthread_create(&thread, &small, self->kind == HTTP ? serve_http : serve_tcp, c)) {
            free(c);
            close(peer);
        }
    }
}

/* Answers each datagram with the host name, a newline and the datagram. */
__attribute__((noreturn)) static void *serve_udp(void *argument) {
    struct listener *self = argument;
    int fd = bound(self->port, SOCK_DGRAM);
    char packet[4096];
    for (;;) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        int top = snprintf(packet, sizeof packet, "%s\n", host);
        ssize_t n = recvfrom(fd, packet + top, sizeof packet - (size_t)top, 0, (struct sockaddr *)&from, &size);
        if (n >= 0)
            sendto(fd, packet, (size_t)(top + n), MSG_NOSIGNAL, (struct sockaddr *)&from, size);
    }
}

static int check(int port) {
    static const char request[] = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {2, 0};
    char reply[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || send_all(fd, request, sizeof request - 1)) {
        printf("no answer on port %d: %s\n", port, strerror(errno));
        return 1;
    }
    if (recv(fd, reply, sizeof reply - 1, MSG_WAITALL) > 0)
        sscanf(reply, "HTTP/1.%*c %d", &status);
    printf("port %d says %d\n", port, status);
    return status == 200 ? 0 : 1;
}

static void listen_on(const char *port, int kind) {
    int number = atoi(port);
    if (number < 1 || number > 65535 || listener_count == PORTS_MAX)
        die("not a port, or too many: %s", port);
    http_ports += kind == HTTP;
    listeners[listener_count].port = number;
    listeners[listener_count++].kind = kind;
}

static void read_arguments(int argc, char **argv) {
    for (int i = 0; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value)
            die("%s needs a value", name);
        if (!strcmp(name, "--port"))
            listen_on(value, HTTP);
        else if (!strcmp(name, "--tcp"))
            listen_on(value, TCP);
        else if (!strcmp(name, "--udp"))
            listen_on(value, UDP);
        else if (!strcmp(name, "--version"))
            version = value;
        else if (!strcmp(name, "--name"))
            snprintf(host, sizeof host, "%s", value);
        else if (!strcmp(name, "--healthy-after"))
            healthy_after = atof(value);
        else if (!strcmp(name, "--fail-after"))
            fail_after = atof(value);
        else if (!strcmp(name, "--on-term") && !strcmp(value, "exit"))
            drain_seconds = -1;
        else if (!strcmp(name, "--on-term") && !strncmp(value, "drain:", 6))
            drain_seconds = atof(value + 6);
        else
            die("unknown argument: %s %s", name, value);
    }
}

/* Waits for what ends the process; pid 1 has no default actions, so every end is spelled out here. */
__attribute__((noreturn)) static void wait_for_end(const sigset_t *signals) {
    double drain_until = 0;
    for (;;) {
        double end = drain_until ? drain_until : fail_after ? started + fail_after : now() + 3600;
        double left = end - now();
        if (left <= 0)
            _exit(drain_until ? 0 : 1);
        struct timespec wait = {(time_t)left, (long)((left - (time_t)left) * 1e9)};
        int got = sigtimedwait(signals, NULL, &wait);
        if (got == SIGINT || (got == SIGTERM && drain_seconds < 0))
            _exit(0);
        if (got == SIGTERM && !drain_until) {
            draining = 1;
            drain_until = now() + drain_seconds;
        }
    }
}

int main(int argc, char **argv) {
    sigset_t signals;
    pthread_t thread;
    started = now();
    gethostname(host, sizeof host - 1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* pid 1: nobody else reaps */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    if (argc > 1 && !strcmp(argv[1], "done"))
        return 0;
    if (argc > 1 && !strcmp(argv[1], "check"))
        return check(argc > 3 && !strcmp(argv[2], "--port") ? atoi(argv[3]) : 8080);
    if (argc > 1 && !strcmp(argv[1], "pause")) {
        sigwaitinfo(&signals, NULL);
        return 0;
    }
    read_arguments(argc - 1, argv + 1);
    if (!http_ports)
        listen_on("8080", HTTP);
    for (int i = 0; i < listener_count; i++)
        pthread_create(&thread, NULL, listeners[i].kind == UDP ? serve_udp : accept_loop, &listeners[i]);
    wait_for_end(&signals);
}
