/* A bad network path in user space: forwards UDP datagrams between pairs of ports on 127.0.0.1, and loses, delays,
 * reorders, repeats and limits them on the way. For tests and measurements of the file protocol.
 *
 *     cc -O2 -o impair bench/impair.c
 *     impair [--SETTING VALUE ...] --flow LEFT:RIGHT [--flow LEFT:RIGHT ...]
 *
 * A flow joins the UDP port LEFT with the UDP port RIGHT. For each, two ports are opened: what the left end sends to
 * the first arrives at the right end from the second, and the other way round. LEFT may be 0: then it is whoever sent
 * to the first port last. All flows share one line, each direction of it with a rate and a queue of its own.
 *
 * Settings, with their defaults: --delay 0 (seconds, one way), --jitter 0 (seconds, added evenly from 0 to this, and
 * so reordering), --loss 0, --repeat 0, --reorder 0 (shares of the datagrams), --reorder-by 0 (seconds that a reordered
 * one is later), --rate 0 (bytes of payload a second, 0: no limit), --queue 1000000 (bytes that wait at the line, the
 * next one is dropped), --mtu 1472 (bytes of payload; a longer datagram is dropped), --seed 1.
 *
 * The first line of output is `ready` and the ports, two for each flow. Then it takes lines: `set SETTING VALUE`,
 * `blackout SECONDS` (nothing passes), `rebind` (the right ends get new addresses in the eyes of the left ones, as
 * behind a router that has forgotten them; prints `rebound` and the new first port of each flow), `stats` (prints
 * counters of the direction to the right: arrived, lost, dropped at the queue, too long, forwarded, bytes forwarded of
 * each flow). It ends with the end of its input.
 *
 * One thread: datagrams that wait lie in a heap by the time when they are due.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FLOWS 16
#define BATCH 64
#define LONGEST 65536
#define HELD_LONGEST 9216 /* longer ones are forwarded only where the path neither delays nor limits */
#define BUFFER (8 << 20)

struct settings {
    double delay, jitter, loss, repeat, reorder, reorder_by, rate, queue, mtu, seed;
};

struct flow {
    int sockets[2];                 /* 0 faces the left end, 1 the right one */
    struct sockaddr_in ends[2];     /* where the left and the right end are */
    int learns_left;
    uint64_t bytes;                 /* forwarded to the right */
};

struct held {
    double due;
    uint64_t order;                 /* equal times keep their order */
    struct flow *flow;
    int to;                         /* 0: to the left end, 1: to the right one */
    int length;
    char *data;
};

static struct settings settings = {.queue = 1e6, .mtu = 1472, .seed = 1};
static const struct { const char *name; double *value; } names[] = {
    {"delay", &settings.delay}, {"jitter", &settings.jitter}, {"loss", &settings.loss},
    {"repeat", &settings.repeat}, {"reorder", &settings.reorder}, {"reorder-by", &settings.reorder_by},
    {"rate", &settings.rate}, {"queue", &settings.queue}, {"mtu", &settings.mtu}, {"seed", &settings.seed},
};
static struct flow flows[MAX_FLOWS];
static int flow_count;
static double line_free_at[2], dark_until;
static uint64_t arrived, lost, overflowed, too_long, forwarded;

static struct held *heap;
static size_t heap_size, heap_room;
static uint64_t next_order;
static char *spare[4096];           /* buffers that can be used again */
static int spares;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "impair: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* xorshift64* (Vigna, 2016): the same seed gives the same losses for the same order of datagrams. */
static uint64_t random_state;

static double chance(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (double)((random_state * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static void reseed(void)
{
    random_state = 0x9E3779B97F4A7C15ULL * ((uint64_t)settings.seed + 1);
}

static int change(const char *name, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i].name) && end != value && !*end && number >= 0) {
            *names[i].value = number;
            if (names[i].value == &settings.seed)
                reseed();
            return 1;
        }
    return 0;
}

/* ---- sockets ---- */

static int open_socket(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int size = BUFFER, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any))
        fail("cannot open a socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length))
        fail("cannot tell a port");
    return ntohs(address.sin_port);
}

static int add_flow(const char *text)
{
    int left, right;
    if (flow_count == MAX_FLOWS || sscanf(text, "%d:%d", &left, &right) != 2)
        return 0;
    struct flow *flow = &flows[flow_count++];
    int ports[2] = {left, right};
    for (int side = 0; side < 2; side++) {
        flow->sockets[side] = open_socket();
        flow->ends[side].sin_family = AF_INET;
        flow->ends[side].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        flow->ends[side].sin_port = htons((uint16_t)ports[side]);
    }
    flow->learns_left = !left;
    return 1;
}

/* ---- what waits ---- */

static int earlier(const struct held *a, const struct held *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void hold(struct held item)
{
    if (heap_size == heap_room) {
        heap_room = heap_room ? 2 * heap_room : 1024;
        if (!(heap = realloc(heap, heap_room * sizeof *heap)))
            fail("no memory");
    }
    size_t at = heap_size++;
    for (; at && earlier(&item, &heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = item;
}

static struct held take_first(void)
{
    struct held first = heap[0], last = heap[--heap_size];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap_size)
            break;
        if (child + 1 < heap_size && earlier(&heap[child + 1], &heap[child]))
            child++;
        if (!earlier(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    if (heap_size)
        heap[at] = last;
    return first;
}

/* ---- the path ---- */

static void accept_datagram(struct flow *flow, int to, const char *data, int length, double now)
{
    if (to == 1)
        arrived++;
    if (now < dark_until)
        return;
    if (length > (int)settings.mtu || length > HELD_LONGEST) {
        too_long += to == 1;
        return;
    }
    double due = now;
    if (settings.rate > 0) {
        double start = line_free_at[to] > now ? line_free_at[to] : now;
        if ((start - now) * settings.rate + length > settings.queue) {
            overflowed += to == 1;
            return;
        }
        line_free_at[to] = due = start + length / settings.rate;
    }
    if (chance() < settings.loss) {
        lost += to == 1;
        return;
    }
    due += settings.delay + settings.jitter * chance();
    if (chance() < settings.reorder)
        due += settings.reorder_by;
    for (int copies = chance() < settings.repeat ? 2 : 1; copies; copies--) {
        struct held item = {due, next_order++, flow, to, length, spares ? spare[--spares] : malloc(HELD_LONGEST)};
        if (!item.data)
            fail("no memory");
        memcpy(item.data, data, (size_t)length);
        hold(item);
    }
}

static void read_datagrams(struct flow *flow, int side, double now)
{
    static char data[BATCH][LONGEST];
    struct sockaddr_in sources[BATCH];
    struct iovec pieces[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){data[i], LONGEST};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &sources[i];
        messages[i].msg_hdr.msg_namelen = sizeof sources[i];
    }
    int count = recvmmsg(flow->sockets[side], messages, BATCH, 0, NULL);
    for (int i = 0; i < count; i++) {
        if (side == 0 && flow->learns_left)
            flow->ends[0] = sources[i];
        accept_datagram(flow, !side, data[i], (int)messages[i].msg_len, now);
    }
}

/* Send what is due, as many datagrams in one call as leave by the same socket one after the other. */
static void forward(double now)
{
    struct held items[BATCH];
    struct iovec pieces[BATCH];
    struct mmsghdr messages[BATCH];
    while (heap_size && heap[0].due <= now) {
        struct flow *flow = heap[0].flow;
        int to = heap[0].to, count = 0;
        memset(messages, 0, sizeof messages);
        while (count < BATCH && heap_size && heap[0].due <= now && heap[0].flow == flow && heap[0].to == to) {
            items[count] = take_first();
            pieces[count] = (struct iovec){items[count].data, (size_t)items[count].length};
            messages[count].msg_hdr.msg_iov = &pieces[count];
            messages[count].msg_hdr.msg_iovlen = 1;
            messages[count].msg_hdr.msg_name = &flow->ends[to];
            messages[count].msg_hdr.msg_namelen = sizeof flow->ends[to];
            count++;
        }
        for (int sent = 0; flow->ends[to].sin_port && sent < count;) {
            int done = sendmmsg(flow->sockets[to], messages + sent, (unsigned)(count - sent), 0);
            sent += done > 0 ? done : 1; /* what is refused (an end that is gone) is lost, as on any path */
        }
        for (int i = 0; i < count; i++) {
            if (to == 1) {
                forwarded++;
                flow->bytes += (uint64_t)items[i].length;
            }
            if (spares < (int)(sizeof spare / sizeof *spare))
                spare[spares++] = items[i].data;
            else
                free(items[i].data);
        }
    }
}

/* ---- control ---- */

static void rebind(void)
{
    printf("rebound");
    for (int i = 0; i < flow_count; i++) {
        close(flows[i].sockets[0]);
        flows[i].sockets[0] = open_socket();
        printf(" %d", port_of(flows[i].sockets[0]));
    }
    printf("\n");
}

static void obey(char *line)
{
    char word[32], name[32], value[64];
    int words = sscanf(line, "%31s %31s %63s", word, name, value);
    if (words == 3 && !strcmp(word, "set") && change(name, value))
        return;
    if (words == 2 && !strcmp(word, "blackout"))
        dark_until = monotonic() + strtod(name, NULL);
    else if (words == 1 && !strcmp(word, "rebind"))
        rebind();
    else if (words == 1 && !strcmp(word, "stats")) {
        printf("stats arrived %lu lost %lu overflowed %lu too_long %lu forwarded %lu bytes", (unsigned long)arrived,
               (unsigned long)lost, (unsigned long)overflowed, (unsigned long)too_long, (unsigned long)forwarded);
        for (int i = 0; i < flow_count; i++)
            printf(" %lu", (unsigned long)flows[i].bytes);
        printf("\n");
    } else if (words > 0)
        fprintf(stderr, "impair: unknown: %s\n", line);
}

static void read_control(void)
{
    static char text[4096];
    static size_t length;
    ssize_t count = read(0, text + length, sizeof text - 1 - length);
    if (count <= 0)
        exit(0);
    length += (size_t)count;
    text[length] = 0;
    for (char *end; (end = strchr(text, '\n'));) {
        *end = 0;
        obey(text);
        length -= (size_t)(end + 1 - text);
        memmove(text, end + 1, length + 1);
    }
    if (length == sizeof text - 1)
        length = 0;
}

int main(int argc, char **argv)
{
    reseed();
    for (int i = 1; i + 1 < argc; i += 2)
        if (strncmp(argv[i], "--", 2) ||
            !(strcmp(argv[i], "--flow") ? change(argv[i] + 2, argv[i + 1]) : add_flow(argv[i + 1]))) {
            fprintf(stderr, "impair: cannot take %s %s\n", argv[i], argv[i + 1]);
            return 2;
        }
    if (!flow_count || argc % 2 == 0) {
        fprintf(stderr, "usage: impair [--SETTING VALUE ...] --flow LEFT:RIGHT ...\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1UL); /* else every wait is 50 microseconds longer */
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready");
    for (int i = 0; i < flow_count; i++)
        printf(" %d %d", port_of(flows[i].sockets[0]), port_of(flows[i].sockets[1]));
    printf("\n");
    for (;;) {
        struct pollfd watched[1 + 2 * MAX_FLOWS] = {{.fd = 0, .events = POLLIN}};
        for (int i = 0; i < 2 * flow_count; i++)
            watched[1 + i] = (struct pollfd){.fd = flows[i / 2].sockets[i % 2], .events = POLLIN};
        struct timespec patience = {3600, 0};
        if (heap_size) {
            double wait = heap[0].due - monotonic();
            wait = wait < 0 ? 0 : wait;
            patience.tv_sec = (time_t)wait;
            patience.tv_nsec = (long)((wait - (double)patience.tv_sec) * 1e9);
        }
        if (ppoll(watched, (nfds_t)(1 + 2 * flow_count), &patience, NULL) < 0 && errno != EINTR)
            fail("cannot wait");
        double now = monotonic();
        for (int i = 0; i < 2 * flow_count; i++)
            if (watched[1 + i].revents)
                read_datagrams(&flows[i / 2], i % 2, now);
        forward(monotonic());
        if (watched[0].revents)
            read_control();
    }
}
