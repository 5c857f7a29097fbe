/* The ruler of `make bench`: a get of the state API with nothing around it. docs/benchmark.md says what it is for.
 *
 *     cc -O2 hop.c -o hop && ./hop PORT REDIS_PORT APP_ID
 *
 * GET /v1.0/state/STORE/KEY becomes one HMGET and one PTTL, on one connection to Redis for all clients. What comes
 * in one turn of the loop goes to Redis in one write. The answers are Pannier's, byte for byte, for values without a
 * TTL and keys of letters, digits and -._~; anything else gets 501 and is hung up on. It trusts its Redis: an answer
 * that is none ends it. A client that does not take its answer at once is hung up on. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 512, MAX_REQUEST = 4096, MAX_APP_ID = 64, MAX_REPLY = 1 << 20 };
enum { MAX_COMMANDS = 2 * (MAX_REQUEST + MAX_APP_ID + 64) }; /* of one client in one turn, in which it asks once */

struct client {
    int fd; /* below 0: it is gone, or there never was one */
    bool is_waiting; /* for Redis; the place is not free before that has answered */
    size_t held;
    char request[MAX_REQUEST];
};
struct text { const char *at; long size; }; /* size -1: there is none */

static struct client clients[MAX_CLIENTS], *waiting[MAX_CLIENTS];
static size_t first_waiting, count_waiting; /* of the ring `waiting`, in the order of Redis' answers */
static char commands[MAX_CLIENTS * MAX_COMMANDS], replies[MAX_REPLY], out[MAX_REPLY + 512];
static size_t commands_size, replies_size;
static const char *app_id;
static int redis, poll_fd;

static void die(const char *what) { fprintf(stderr, "hop: %s\n", what); exit(1); }
static void check(bool is_so, const char *what) { if (!is_so) { perror(what); exit(1); } }

static void hang_up(struct client *client) {
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
}

static void reply(struct client *client, size_t size) {
    if (client->fd >= 0 && send(client->fd, out, size, MSG_NOSIGNAL) != (ssize_t)size) hang_up(client);
}

static void refuse(struct client *client) {
    static const char REFUSAL[] = "HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    memcpy(out, REFUSAL, sizeof REFUSAL - 1);
    reply(client, sizeof REFUSAL - 1);
    hang_up(client);
}

static size_t span(const char *at) { /* the length of a name that needs no decoding */
    return strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~");
}

static void take_request(struct client *client) { /* ask Redis if the next request has come whole */
    static const char PATH[] = "GET /v1.0/state/", VERSION[] = " HTTP/1.1\r\n";
    char *end = memmem(client->request, client->held, "\r\n\r\n", 4), *key;
    if (!end) {
        if (client->held == MAX_REQUEST) refuse(client);
        return;
    }
    key = client->request + sizeof PATH - 1;
    if (strncmp(client->request, PATH, sizeof PATH - 1) || !span(key)) return refuse(client);
    key += span(key);
    size_t length = *key == '/' ? span(++key) : 0; /* the line ends within what is held, and so does each span */
    if (!length || strncmp(key + length, VERSION, sizeof VERSION - 1)) return refuse(client);
    char stored[MAX_APP_ID + MAX_REQUEST];
    int size = sprintf(stored, "%s||%.*s", app_id, (int)length, key);
    commands_size += sprintf(commands + commands_size,
        "*4\r\n$5\r\nHMGET\r\n$%d\r\n%s\r\n$4\r\ndata\r\n$7\r\nversion\r\n*2\r\n$4\r\nPTTL\r\n$%d\r\n%s\r\n",
        size, stored, size, stored);
    client->held -= end + 4 - client->request;
    memmove(client->request, end + 4, client->held);
    client->is_waiting = true;
    waiting[(first_waiting + count_waiting++) % MAX_CLIENTS] = client;
}

static void answer(struct client *client, struct text data, struct text version, long ttl) {
    static time_t formatted;
    static char date[64];
    time_t now = time(NULL);
    if (now != formatted)
        strftime(date, sizeof date, "date: %a, %d %b %Y %H:%M:%S GMT\r\n\r\n", gmtime(&(time_t){formatted = now}));
    if (ttl == -2) return reply(client, sprintf(out, "HTTP/1.1 204 No Content\r\n%s", date));
    if (ttl != -1 || data.size < 0 || version.size < 1 || version.size > 64) return refuse(client);
    size_t head = sprintf(out,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: %.*s\r\ncontent-length: %ld\r\n%s",
        (int)version.size, version.at, data.size, date);
    memcpy(out + head, data.at, data.size);
    reply(client, head + data.size);
}

static bool read_number(const char **at, const char *end, char kind, long *number) { /* false: it has not come whole */
    const char *line_end = memchr(*at, '\n', end - *at);
    if (!line_end) return false;
    if (**at != kind) {
        fprintf(stderr, "hop: cannot take this answer of Redis: %.*s\n", (int)(line_end - *at), *at);
        exit(1);
    }
    *number = strtol(*at + 1, NULL, 10);
    *at = line_end + 1;
    return true;
}

static bool read_text(const char **at, const char *end, struct text *text) {
    if (!read_number(at, end, '$', &text->size)) return false;
    text->at = *at;
    if (text->size < 0) return true;
    if (end - *at < text->size + 2) return false;
    *at += text->size + 2;
    return true;
}

static void read_redis(void) {
    ssize_t size = recv(redis, replies + replies_size, sizeof replies - replies_size, 0);
    if (size <= 0) die(size ? strerror(errno) : "Redis has hung up, or a value is larger than 1 MiB");
    replies_size += size;
    const char *at = replies, *end = replies + replies_size, *done = at;
    struct text data, version;
    long fields, ttl;
    while (count_waiting && read_number(&at, end, '*', &fields) && read_text(&at, end, &data)
           && read_text(&at, end, &version) && read_number(&at, end, ':', &ttl)) {
        struct client *client = waiting[first_waiting];
        first_waiting = (first_waiting + 1) % MAX_CLIENTS, count_waiting--, done = at;
        client->is_waiting = false;
        answer(client, data, version, ttl);
        if (client->fd >= 0 && client->held) take_request(client);
    }
    replies_size -= done - replies;
    memmove(replies, done, replies_size);
}

static void read_client(struct client *client) {
    if (client->fd < 0) return;
    ssize_t size = recv(client->fd, client->request + client->held, MAX_REQUEST - client->held, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return hang_up(client); /* gone, or it sends more than fits before its answer */
    client->held += size;
    if (!client->is_waiting) take_request(client);
}

static void watch(int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    check(!epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event), "hop: epoll");
}

static void accept_client(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    struct client *client = clients;
    while (client < clients + MAX_CLIENTS && (client->fd >= 0 || client->is_waiting)) client++;
    if (client == clients + MAX_CLIENTS) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    client->fd = fd, client->held = 0;
    watch(fd, client);
}

int main(int count, char **arguments) {
    if (count != 4 || strlen(arguments[3]) > MAX_APP_ID) die("usage: hop PORT REDIS_PORT APP_ID");
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, there = here;
    here.sin_port = htons(atoi(arguments[1])), there.sin_port = htons(atoi(arguments[2])), app_id = arguments[3];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    redis = socket(AF_INET, SOCK_STREAM, 0), poll_fd = epoll_create1(0);
    check(!connect(redis, (struct sockaddr *)&there, sizeof there), "hop: cannot connect to Redis");
    setsockopt(redis, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    check(!bind(listener, (struct sockaddr *)&here, sizeof here) && !listen(listener, 511), "hop: cannot listen");
    for (int n = 0; n < MAX_CLIENTS; n++) clients[n].fd = -1;
    watch(listener, &listener), watch(redis, &redis);
    for (struct epoll_event events[256];;) {
        int ready = epoll_wait(poll_fd, events, 256, -1);
        for (int n = 0; n < ready; n++) {
            void *what = events[n].data.ptr;
            what == &redis ? read_redis() : what == &listener ? accept_client(listener) : read_client(what);
        }
        for (size_t sent = 0; sent < commands_size;) {
            ssize_t size = send(redis, commands + sent, commands_size - sent, MSG_NOSIGNAL);
            if (size < 0) die(strerror(errno));
            sent += size;
        }
        commands_size = 0;
    }
}
