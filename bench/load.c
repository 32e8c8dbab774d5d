/* The people of a chat, many at once: signs them in, lets them talk, and checks that every message arrives exactly once,
 * undamaged and in order. One thread and one epoll, so that it can talk faster than the servers that are measured.
 *
 *     cc -O2 -o load bench/load.c                                  (with TLS: -DWITH_TLS and at the end -lssl -lcrypto)
 *     load PROTOCOL PORT PATIENCE                                  tess, tess-tls, irc, mqtt or line, on 127.0.0.1
 *
 * People are pairs, of whom one talks and one listens, and one group with a talker and many listeners. The password of
 * all is `pw`, their names are s0 and r0, s1 and r1, ..., in the group g0 (who talks), g1, .... It takes lines:
 *
 *     pairs COUNT AT_ONCE                  so many more pairs sign in, at most so many people at a time
 *     group COUNT AT_ONCE                  a talker and so many listeners sign in and enter the group
 *     direct FIRST COUNT WINDOW SECONDS    each of these pairs keeps WINDOW messages under way
 *     once FIRST COUNT                     each of these pairs sends one message
 *     fan WINDOW SECONDS                   the group's talker keeps WINDOW messages under way, until all have each
 *     paced FIRST COUNT RATE SECONDS       RATE messages a second in all, whatever comes back
 *
 * and answers each with one line of JSON once everything has arrived, and a moment more for what should not. What has
 * not come PATIENCE seconds after the last arrival never comes. A latency counts from when the message was due, so that
 * a talker who was held up does not hide it. It ends with its input.
 *
 * A text is 64 bytes: `$M`, pair (6 hexadecimal digits), number (8), time due (16 digits, ns), and 32 bytes that follow
 * from the number. To add a protocol, add a row to `protocols`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

#define TEXT 64
#define HEAD 32
#define LATEST 1024                 /* more messages than can be under way in the group */
#define GROUP 0xffffffu             /* the group's number among the pairs */
#define BUFFER (1 << 18)
#define STRAY_SECONDS 0.25          /* how long to listen for what comes twice */

struct lane {
    uint32_t number, sent, done;    /* its own number; messages */
    int talks;
    struct person *talker, *listener;
    uint32_t left[LATEST];          /* of the group's latest messages: listeners still to come */
};

struct person {
    int socket, signed_in, ready, dead, connecting, watches_writing;
    char name[12];
    struct lane *lane;
    uint32_t expected;              /* the number of the next message */
    uint32_t asked, answered;       /* requests */
    char *in, *out;                 /* part of a frame; what the kernel did not take */
    size_t in_length, out_length, out_room;
#ifdef WITH_TLS
    SSL *tls;
#endif
};

struct protocol {
    const char *name;
    int acknowledges, tls;
    char after;                                                     /* the byte behind a text; 0: end of frame */
    size_t (*frame)(const char *data, size_t length);               /* of the first whole frame; 0: none yet */
    size_t (*sign_in)(char *to, struct person *person);
    int (*signed_in)(const char *frame, size_t length);
    size_t (*enter)(char *to, struct person *person);
    int (*entered)(const char *frame, size_t length);
    size_t (*say)(char *to, struct person *person, const char *listener, const char *text); /* no listener: the group */
};

static const struct protocol *protocol;
static struct sockaddr_in server = {.sin_family = AF_INET};
static int poller;
static struct person **people;
static struct lane *lanes[20000], group = {.number = GROUP};
static int person_count, lane_count, member_count, ready_count;
static double patience; /* seconds */
static uint64_t now, last_arrival, last_read, window;
static uint64_t sent, delivered, acknowledged, damaged, repeated, skipped, refused, broken;
static char trouble[160], filler[2 * TEXT];
static uint64_t *latencies, *lateness;
static size_t latency_count, lateness_count, latency_room;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void note(const char *what, const char *detail, size_t length) {
    if (*trouble)
        return;
    snprintf(trouble, sizeof trouble, "%s: %.*s", what, (int)(length > 100 ? 100 : length), detail);
    for (char *c = trouble; *c; c++)
        if (*c == '"' || *c == '\\' || *c < ' ')
            *c = '.';
}

static int has(const char *frame, size_t length, const char *word) {
    return memmem(frame, length, word, strlen(word)) != NULL;
}

/* ---- protocols ---- */

static size_t line_frame(const char *data, size_t length) {
    const char *end = memchr(data, '\n', length);
    return end ? (size_t)(end - data) + 1 : 0;
}

static size_t tess_sign_in(char *to, struct person *p) {
    return sprintf(to, "{\"type\":\"login\",\"id\":%u,\"user\":\"%s\",\"password\":\"pw\"}\n", ++p->asked, p->name);
}
static int tess_signed_in(const char *f, size_t n) { return has(f, n, "\"type\":\"welcome\""); }
static size_t tess_enter(char *to, struct person *p) {
    const char *type = p == group.talker ? "creategroup" : "joingroup";
    return sprintf(to, "{\"type\":\"%s\",\"id\":%u,\"group\":\"room\"}\n", type, ++p->asked);
}
static int tess_entered(const char *f, size_t n) {
    return (has(f, n, "\"type\":\"joined\"") || has(f, n, "\"type\":\"created\"")) && !has(f, n, "\"more\":true");
}
static size_t tess_say(char *to, struct person *p, const char *listener, const char *text) {
    const char *what = listener ? "msgto\",\"to" : "groupmsg\",\"group";
    char *end = stpcpy(to, "{\"type\":\"");
    end = stpcpy(stpcpy(stpcpy(end, what), "\":\""), listener ? listener : "room");
    end += sprintf(end, "\",\"id\":%u,\"text\":\"", ++p->asked);
    return stpcpy(mempcpy(end, text, TEXT), "\"}\n") - to;
}

static size_t irc_sign_in(char *to, struct person *p) {
    return sprintf(to, "NICK %s\r\nUSER %s 0 * :%s\r\n", p->name, p->name, p->name);
}
static int irc_signed_in(const char *f, size_t n) { return has(f, n, " 422 ") || has(f, n, " 376 "); } /* greeting over */
static size_t irc_enter(char *to, struct person *p) { (void)p; return sprintf(to, "JOIN #room\r\n"); }
static int irc_entered(const char *f, size_t n) { return has(f, n, " 366 "); }
static size_t irc_say(char *to, struct person *p, const char *listener, const char *text) {
    (void)p;
    char *end = stpcpy(stpcpy(stpcpy(to, "PRIVMSG "), listener ? listener : "#room"), " :");
    return stpcpy(mempcpy(end, text, TEXT), "\r\n") - to;
}

static size_t line_sign_in(char *to, struct person *p) { return sprintf(to, "login %s pw\n", p->name); }
static int line_signed_in(const char *f, size_t n) { return has(f, n, "Welcome"); }
static size_t line_enter(char *to, struct person *p) {
    return sprintf(to, "%s room\n", p == group.talker ? "creategroup" : "joingroup");
}
static int line_entered(const char *f, size_t n) { return has(f, n, "Group chat"); }
static size_t line_say(char *to, struct person *p, const char *listener, const char *text) {
    (void)p;
    char *end = stpcpy(stpcpy(stpcpy(to, listener ? "msgto " : "groupmsg "), listener ? listener : "room"), " ");
    return stpcpy(mempcpy(end, text, TEXT), "\n") - to;
}

/* MQTT 3.1.1, quality of service 0: a topic for each person and one for the group, whose talker does not subscribe. */
static size_t mqtt_frame(const char *data, size_t length) {
    size_t left = 0, at = 1;
    for (int shift = 0;; shift += 7) {
        if (at >= length)
            return 0;
        left |= (size_t)(data[at] & 127) << shift;
        if (!(data[at++] & 128))
            return at + left <= length ? at + left : 0;
    }
}
static size_t mqtt_subscribe(char *to, const char *topic) {
    size_t length = strlen(topic);
    char head[] = {(char)0x82, (char)(length + 5), 0, 1, 0, (char)length};
    char *end = mempcpy(mempcpy(to, head, sizeof head), topic, length);
    *end = 0;
    return end + 1 - to;
}
static size_t mqtt_sign_in(char *to, struct person *p) {
    size_t length = strlen(p->name);
    char head[] = {0x10, (char)(length + 12), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, (char)length};
    char *end = mempcpy(mempcpy(to, head, sizeof head), p->name, length);
    return end + mqtt_subscribe(end, p->name) - to;
}
static int mqtt_subscribed(const char *f, size_t n) { (void)n; return (unsigned char)*f == 0x90; }
static size_t mqtt_enter(char *to, struct person *p) { return mqtt_subscribe(to, p == group.talker ? "-" : "room"); }
static size_t mqtt_say(char *to, struct person *p, const char *listener, const char *text) {
    (void)p;
    const char *topic = listener ? listener : "room";
    size_t length = strlen(topic);
    char head[] = {0x30, (char)(2 + length + TEXT), 0, (char)length};
    return (char *)mempcpy(mempcpy(mempcpy(to, head, sizeof head), topic, length), text, TEXT) - to;
}

static const struct protocol protocols[] = {
    {"tess", 1, 0, '"', line_frame, tess_sign_in, tess_signed_in, tess_enter, tess_entered, tess_say},
#ifdef WITH_TLS
    {"tess-tls", 1, 1, '"', line_frame, tess_sign_in, tess_signed_in, tess_enter, tess_entered, tess_say},
#endif
    {"irc", 0, 0, '\r', line_frame, irc_sign_in, irc_signed_in, irc_enter, irc_entered, irc_say},
    {"line", 0, 0, '\n', line_frame, line_sign_in, line_signed_in, line_enter, line_entered, line_say},
    {"mqtt", 0, 0, 0, mqtt_frame, mqtt_sign_in, mqtt_subscribed, mqtt_enter, mqtt_subscribed, mqtt_say},
};

/* ---- bytes in and out ---- */

static void give_up(struct person *p, const char *why) {
    if (p->dead)
        return;
    p->dead = 1;
    broken++;
    note(p->name, why, strlen(why));
    close(p->socket);
}

static void watch(struct person *p, int writing) {
    if (p->watches_writing == writing)
        return;
    p->watches_writing = writing;
    struct epoll_event event = {EPOLLIN | (writing ? EPOLLOUT : 0), {.ptr = p}};
    epoll_ctl(poller, EPOLL_CTL_MOD, p->socket, &event);
}

#ifdef WITH_TLS
static SSL_CTX *tls_context;

static ssize_t tls_result(struct person *p, int result) {
    if (result > 0)
        return result;
    int error = SSL_get_error(p->tls, result);
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}
#endif

static ssize_t put(struct person *p, const char *data, size_t length) {
#ifdef WITH_TLS
    if (p->tls)
        return tls_result(p, SSL_write(p->tls, data, (int)length));
#endif
    return send(p->socket, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t take(struct person *p, char *data, size_t length) {
#ifdef WITH_TLS
    if (p->tls)
        return tls_result(p, SSL_read(p->tls, data, (int)length));
#endif
    return recv(p->socket, data, length, MSG_DONTWAIT);
}

static int wants_to_write(struct person *p) {
#ifdef WITH_TLS
    if (p->tls && SSL_want_read(p->tls)) /* in the handshake: nothing can be said before something was heard */
        return 0;
#endif
    return p->out_length > 0;
}

static void flush(struct person *p) {
    size_t done = 0;
    while (done < p->out_length) {
        ssize_t n = put(p, p->out + done, p->out_length - done);
        if (n <= 0) {
            if (errno != EAGAIN)
                return give_up(p, strerror(errno));
            break;
        }
        done += n;
    }
    memmove(p->out, p->out + done, p->out_length -= done);
    watch(p, wants_to_write(p));
}

static void push(struct person *p, const char *data, size_t length) {
    if (p->dead)
        return;
    if (!p->out_length) {
        ssize_t n = put(p, data, length);
        if (n < 0 && errno != EAGAIN)
            return give_up(p, strerror(errno));
        if (n > 0) {
            data += n;
            length -= n;
        }
        if (!length)
            return;
    }
    if (p->out_length + length > p->out_room)
        p->out = realloc(p->out, p->out_room = 2 * (p->out_length + length));
    memcpy(p->out + p->out_length, data, length);
    p->out_length += length;
    watch(p, wants_to_write(p));
}

/* ---- messages ---- */

static void hex(char *to, uint64_t value, int digits) {
    while (digits--) {
        to[digits] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

static uint64_t unhex(const char *from, int digits) {
    uint64_t value = 0;
    for (; digits--; from++)
        value = value << 4 | (*from <= '9' ? *from - '0' : *from - 'a' + 10);
    return value;
}

static size_t next_message(char *to, struct lane *lane, uint64_t due) {
    char text[TEXT] = "$M";
    hex(text + 2, lane->number, 6);
    hex(text + 8, lane->sent, 8);
    hex(text + 16, due, 16);
    memcpy(text + HEAD, filler + lane->sent % TEXT, TEXT - HEAD);
    lane->left[lane->sent % LATEST] = member_count;
    lane->sent++;
    sent++;
    return protocol->say(to, lane->talker, lane->listener ? lane->listener->name : NULL, text);
}

/* Let a talker say as much as the window allows, in one write. */
static void talk(struct lane *lane) {
    static char data[BUFFER];
    size_t length = 0;
    while (lane->talks && lane->sent - lane->done < window)
        length += next_message(data + length, lane, now);
    if (length)
        push(lane->talker, data, length);
}

static void arrived(struct person *p, const char *text, size_t length) {
    struct lane *lane = p->lane;
    char behind = protocol->after;
    if (length < TEXT || (behind ? length == TEXT || text[TEXT] != behind : length != TEXT) || p == lane->talker
        || unhex(text + 2, 6) != lane->number) {
        damaged++;
        return note("damaged", text, length);
    }
    uint32_t number = unhex(text + 8, 8);
    if (memcmp(text + HEAD, filler + number % TEXT, TEXT - HEAD)) {
        damaged++;
        return note("damaged", text, length);
    }
    if (number != p->expected) {
        if (number < p->expected) {
            repeated++;
            return note("repeated", text, length);
        }
        skipped += number - p->expected;
        note("skipped", text, length);
    }
    p->expected = number + 1;
    delivered++;
    last_arrival = now;
    if (latency_count < latency_room)
        latencies[latency_count++] = now - unhex(text + 16, 16);
    if (lane->number != GROUP || --lane->left[number % LATEST] == 0)
        lane->done++;
}

static void answered(struct person *p, const char *frame, size_t length) {
    const char *re = memmem(frame, length, "\"re\":", 5);
    if (!has(frame, length, "\"type\":\"sent\"") || !re || strtoul(re + 5, NULL, 10) != p->answered + 1) {
        refused++;
        return note("refused", frame, length);
    }
    p->answered++;
    acknowledged++;
}

static void became_ready(struct person *p) {
    p->ready = 1;
    p->answered = p->asked;
    ready_count++;
}

static void received(struct person *p, const char *frame, size_t length) {
    const char *text = p->ready ? memmem(frame, length, "$M", 2) : NULL;
    char request[256];
    if (text)
        arrived(p, text, frame + length - text);
    else if (p->ready && protocol->acknowledges && p == p->lane->talker)
        answered(p, frame, length);
    else if (length > 4 && !memcmp(frame, "PING", 4))
        push(p, "PONG x\r\n", 8);
    else if (!p->signed_in && protocol->signed_in(frame, length)) {
        p->signed_in = 1;
        if (p->lane == &group)
            push(p, request, protocol->enter(request, p));
        else
            became_ready(p);
    } else if (p->signed_in && !p->ready && protocol->entered(frame, length))
        became_ready(p);
    else if (!p->ready)
        note("not ready", frame, length);
}

static void readable(struct person *p) {
    static char data[2 * BUFFER];
    ssize_t n;
    do {
        n = take(p, data + p->in_length, BUFFER);
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN)
                give_up(p, n ? strerror(errno) : "closed by the server");
            break;
        }
        now = last_read = clock_ns();
        memcpy(data, p->in, p->in_length);
        size_t have = p->in_length + n, at = 0, frame;
        while (!p->dead && (frame = protocol->frame(data + at, have - at))) {
            received(p, data + at, frame);
            at += frame;
        }
        if (have - at > BUFFER)
            return give_up(p, "a frame is too long");
        p->in_length = have - at;
        free(p->in);
        p->in = p->in_length ? memcpy(malloc(p->in_length), data + at, p->in_length) : NULL;
    } while (protocol->tls && !p->dead); /* what TLS has read already wakes nobody up */
    if (p->out_length && !p->dead)
        flush(p);
    talk(p->lane);
}

static void connected(struct person *p) {
    char request[256];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(p->socket, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        return give_up(p, strerror(error));
    p->connecting = 0;
    watch(p, 0);
    push(p, request, protocol->sign_in(request, p)); /* with TLS, this begins the handshake */
}

static void turn(int64_t wait_ns) {
    struct epoll_event events[512];
    struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
    int count = epoll_pwait2(poller, events, 512, &wait, NULL);
    now = clock_ns();
    for (int i = 0; i < count; i++) {
        struct person *p = events[i].data.ptr;
        if (p->connecting)
            connected(p);
        else if (!p->dead && events[i].events & EPOLLOUT)
            flush(p);
        if (!p->dead && !p->connecting && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            readable(p);
    }
}

/* ---- commands ---- */

static struct person *open_person(struct lane *lane, char role, int number) {
    struct person *p = people[person_count++] = calloc(1, sizeof *p);
    int on = 1;
    struct linger reset = {1, 0}; /* no thousands of sockets in TIME_WAIT */
    p->lane = lane;
    p->connecting = p->watches_writing = 1;
    snprintf(p->name, sizeof p->name, "%c%d", role, number);
    p->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(p->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(p->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    struct epoll_event event = {EPOLLIN | EPOLLOUT, {.ptr = p}};
    if ((connect(p->socket, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        || epoll_ctl(poller, EPOLL_CTL_ADD, p->socket, &event))
        give_up(p, strerror(errno));
#ifdef WITH_TLS
    if (protocol->tls) {
        p->tls = SSL_new(tls_context);
        SSL_set_fd(p->tls, p->socket);
        SSL_set_connect_state(p->tls);
    }
#endif
    return p;
}

/* Open person number `i` of a command: of a new pair, or of the group, whose talker comes first. */
static void open_next(int i, int in_group) {
    if (in_group) {
        struct person *p = open_person(&group, 'g', i);
        if (i == 0)
            group.talker = p;
    } else if (i % 2 == 0) {
        struct lane *lane = lanes[lane_count] = calloc(1, sizeof *lane);
        lane->number = lane_count++;
        lane->talker = open_person(lane, 's', (int)lane->number);
    } else {
        struct lane *lane = lanes[lane_count - 1];
        lane->listener = open_person(lane, 'r', (int)lane->number);
    }
}

static void people_come(int count, int at_once, int in_group) {
    uint64_t start = clock_ns(), progress = start;
    int before = ready_count, seen = ready_count, opened = 0;
    delivered = damaged = repeated = 0;
    while (ready_count - before < count && !broken && clock_ns() - progress < patience * 1e9) {
        int most = in_group && ready_count == before ? 1 : at_once; /* the group is made before others enter it */
        while (opened < count && opened - (ready_count - before) < most)
            open_next(opened++, in_group);
        turn(20000000);
        if (ready_count != seen) {
            seen = ready_count;
            progress = clock_ns();
        }
    }
    for (last_read = now; clock_ns() - last_read < STRAY_SECONDS * 1e9;)
        turn(20000000); /* others are told who has come */
    printf("{\"people\":%d,\"seconds\":%.6f,\"strays\":%lu,\"trouble\":\"%s\"}\n", ready_count - before,
           (progress - start) / 1e9, delivered + damaged + repeated, trouble);
}

static int ascending(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static double percentile(uint64_t *values, size_t count, double share) {
    qsort(values, count, sizeof *values, ascending);
    return count ? values[(size_t)((count - 1) * share)] / 1e3 : 0;
}

static double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

struct stretch { uint64_t start; double cpu; };

static struct stretch begin(void) {
    sent = delivered = acknowledged = damaged = repeated = skipped = refused = latency_count = lateness_count = 0;
    now = last_arrival = clock_ns();
    return (struct stretch){now, own_cpu()};
}

static int stalls(void) { return broken || now - last_arrival > patience * 1e9; }

static void report(struct stretch began, int listeners) {
    for (int i = 0; i < lane_count; i++)
        lanes[i]->talks = 0;
    group.talks = 0;
    uint64_t expected = sent * listeners, first = last_arrival = clock_ns();
    while ((delivered < expected || (protocol->acknowledges && acknowledged < sent)) && !stalls())
        turn(20000000);
    uint64_t ended = delivered ? last_arrival : first;
    double busy = own_cpu() - began.cpu, seconds = (ended - began.start) / 1e9;
    while (clock_ns() - ended < STRAY_SECONDS * 1e9)
        turn(20000000);
    int exact = delivered == expected && !damaged && !repeated && !skipped && !refused && !broken
        && acknowledged == (protocol->acknowledges ? sent : 0);
    printf("{\"sent\":%lu,\"delivered\":%lu,\"expected\":%lu,\"acknowledged\":%lu,\"exact\":%s,\"damaged\":%lu,"
           "\"repeated\":%lu,\"skipped\":%lu,\"refused\":%lu,\"broken\":%lu,\"seconds\":%.6f,\"busy\":%.4f,"
           "\"p50\":%.1f,\"p99\":%.1f,\"late_p99\":%.1f,\"trouble\":\"%s\"}\n",
           sent, delivered, expected, acknowledged, exact ? "true" : "false", damaged, repeated, skipped, refused,
           broken, seconds, busy / seconds, percentile(latencies, latency_count, .5),
           percentile(latencies, latency_count, .99), percentile(lateness, lateness_count, .99), trouble);
}

static void talk_all(int first, int count, double seconds) {
    struct stretch began = begin();
    for (int i = first; i < first + count; i++) {
        lanes[i]->talks = 1;
        talk(lanes[i]);
    }
    while (now < began.start + seconds * 1e9 && !stalls())
        turn(20000000);
    report(began, 1);
}

static void talk_once(int first, int count) {
    char data[512];
    struct stretch began = begin();
    for (int i = first; i < first + count; i++)
        push(lanes[i]->talker, data, next_message(data, lanes[i], now));
    report(began, 1);
}

static void fan(double seconds) {
    struct stretch began = begin();
    group.talks = 1;
    talk(&group);
    while (now < began.start + seconds * 1e9 && !stalls())
        turn(20000000);
    report(began, member_count);
}

static void paced(int first, int count, int rate, double seconds) {
    size_t total = (size_t)(rate * seconds), i = 0;
    latencies = realloc(latencies, total * sizeof *latencies);
    lateness = realloc(lateness, total * sizeof *lateness);
    struct stretch began = begin();
    latency_room = total;
    while (i < total && !stalls()) {
        uint64_t due = began.start + i * 1000000000ull / rate;
        now = clock_ns();
        if (now < due) {
            turn(due - now);
            continue;
        }
        char data[512];
        struct lane *lane = lanes[first + i++ % count];
        lateness[lateness_count++] = now - due;
        push(lane->talker, data, next_message(data, lane, due));
    }
    report(began, 1);
    latency_room = latency_count = 0;
}

static int obey(const char *line) {
    int first, count, at_once, rate;
    unsigned messages;
    double seconds;
    if (sscanf(line, "pairs %d %d", &count, &at_once) == 2)
        people_come(2 * count, at_once, 0);
    else if (sscanf(line, "group %d %d", &count, &at_once) == 2 && !member_count)
        people_come(1 + (member_count = count), at_once, 1);
    else if (sscanf(line, "direct %d %d %u %lf", &first, &count, &messages, &seconds) == 4 && messages < LATEST) {
        window = messages;
        talk_all(first, count, seconds);
    } else if (sscanf(line, "once %d %d", &first, &count) == 2)
        talk_once(first, count);
    else if (sscanf(line, "fan %u %lf", &messages, &seconds) == 2 && messages < LATEST) {
        window = messages;
        fan(seconds);
    } else if (sscanf(line, "paced %d %d %d %lf", &first, &count, &rate, &seconds) == 4)
        paced(first, count, rate, seconds);
    else
        return 0;
    fflush(stdout);
    return 1;
}

int main(int count, char **arguments) {
    char line[256];
    struct rlimit files;
    for (size_t i = 0; count == 4 && i < sizeof protocols / sizeof *protocols; i++)
        if (!strcmp(protocols[i].name, arguments[1]))
            protocol = &protocols[i];
    if (!protocol) {
        fprintf(stderr, "load: no such protocol\n");
        return 2;
    }
    server.sin_port = htons(atoi(arguments[2]));
    patience = atof(arguments[3]);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1); /* ns: a message is sent when it is due */
    people = calloc(2 * sizeof lanes / sizeof *lanes + LATEST, sizeof *people);
    for (int i = 0; i < 2 * TEXT; i++)
        filler[i] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-."[(i * 37 + i / TEXT) % 64];
    poller = epoll_create1(EPOLL_CLOEXEC);
#ifdef WITH_TLS
    tls_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL); /* the server is one that we have started ourselves */
    SSL_CTX_set_read_ahead(tls_context, 1);
    SSL_CTX_set_mode(tls_context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
#endif
    while (fgets(line, sizeof line, stdin))
        if (!obey(line)) {
            fprintf(stderr, "load: no such command: %s", line);
            return 2;
        }
    return 0;
}
