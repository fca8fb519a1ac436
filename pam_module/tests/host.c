/* A program that uses PAM, as sshd does, for the tests of the built module.
 *
 *   host CONFDIR SERVICE USER CYCLES
 *
 * It opens and closes CYCLES sessions, each on a handle of its own, and prints what it sees:
 * result codes, environment, messages, log lines and, at the end, its open descriptors.
 *
 * HOST_HANDLES=2     two handles live at once in each cycle
 * HOST_SILENT=1      PAM_SILENT at open
 * HOST_PRESET=A=b    put into the PAM environment before the session opens
 * HOST_SLOW_US=N     sleep after each connect(2), so that the daemon acts first
 * HOST_NO_CONV=1     a conversation that fails
 * HOST_TIMES=1       each call's own time, in microseconds
 * HOST_SERVICES=a,b  the service of the second handle, instead of SERVICE
 * HOST_THREADS=N     N threads do all of it at once, each with handles of its own; the first one prints
 * HOST_CHROOT=DIR    after the first session, and with the module loaded, the program's root
 * HOST_TASKS=1       how many threads there are at the end
 *
 * Signals have their default dispositions: a SIGPIPE kills it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <security/pam_appl.h>
#include <security/pam_ext.h>

/* The module's numbers, given by the test that builds this. */
_Static_assert(AF_UNIX == IAM_AF_UNIX, "AF_UNIX");
_Static_assert(SOCK_STREAM == IAM_SOCK_STREAM, "SOCK_STREAM");
_Static_assert(SOCK_CLOEXEC == IAM_SOCK_CLOEXEC, "SOCK_CLOEXEC");
_Static_assert(SOL_SOCKET == IAM_SOL_SOCKET, "SOL_SOCKET");
_Static_assert(SO_PEERCRED == IAM_SO_PEERCRED, "SO_PEERCRED");
_Static_assert(MSG_NOSIGNAL == IAM_MSG_NOSIGNAL, "MSG_NOSIGNAL");

static _Thread_local int first = 1;
static const char *confdir, *service, *user;
static int cycles;

/* In front of libpam's: the log lines become output. */
void pam_syslog(const pam_handle_t *pamh, int priority, const char *format, ...)
{
    va_list args;
    (void)pamh;
    if (!first)
        return;
    printf("log %d ", priority);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* In front of libc's: the daemon has time to hang up before the module writes. */
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int code = syscall(SYS_connect, fd, address, length);
    const char *slow = getenv("HOST_SLOW_US");
    if (slow)
        usleep(atoi(slow));
    return code;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *data)
{
    (void)data;
    if (getenv("HOST_NO_CONV"))
        return PAM_CONV_ERR;
    for (int i = 0; first && i < count; i++)
        printf("message %d <%s>\n", messages[i]->msg_style, messages[i]->msg);
    *responses = calloc(count, sizeof **responses);
    return *responses ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int entries(const char *of)
{
    int count = 0;
    DIR *dir = opendir(of);
    if (!dir)
        return -1;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void call(const char *what, int (*hook)(pam_handle_t *, int), pam_handle_t *pamh, int flags)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int code = hook(pamh, flags);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (first || code != PAM_SUCCESS)
        printf("%s %d\n", what, code);
    if (getenv("HOST_TIMES"))
        printf("%s took %ld\n", what,
               (end.tv_sec - start.tv_sec) * 1000000L + (end.tv_nsec - start.tv_nsec) / 1000);
}

/* One session, on handles of its own, as a program that serves many users has them. */
static int session(int handles, int flags)
{
    struct pam_conv conv = { converse, NULL };
    pam_handle_t *pamh[4] = { NULL };
    const char *other = getenv("HOST_SERVICES");
    for (int i = 0; i < handles && i < 4; i++) {
        const char *name = i && other ? other : service;
        if (pam_start_confdir(name, user, &conv, confdir, &pamh[i]) != PAM_SUCCESS)
            return 3;
        pam_set_item(pamh[i], PAM_RHOST, "192.0.2.7");
        pam_set_item(pamh[i], PAM_TTY, "ssh");
        if (getenv("HOST_PRESET"))
            pam_putenv(pamh[i], getenv("HOST_PRESET"));
    }
    for (int i = 0; i < handles && i < 4; i++) {
        call("open", pam_open_session, pamh[i], flags);
        char **list = pam_getenvlist(pamh[i]);
        for (char **entry = list; entry && *entry; entry++) {
            if (first)
                printf("env %s\n", *entry);
            free(*entry);
        }
        free(list);
    }
    for (int i = 0; i < handles && i < 4; i++)
        call("close", pam_close_session, pamh[i], PAM_SILENT);
    const char *root = getenv("HOST_CHROOT");
    if (root) {
        if (chroot(root) || chdir("/"))
            return 4;
        call("open", pam_open_session, pamh[0], flags);
        call("close", pam_close_session, pamh[0], PAM_SILENT);
    }
    for (int i = 0; i < handles && i < 4; i++)
        pam_end(pamh[i], PAM_SUCCESS);
    return 0;
}

static void *sessions(void *prints)
{
    int handles = getenv("HOST_HANDLES") ? atoi(getenv("HOST_HANDLES")) : 1;
    int flags = getenv("HOST_SILENT") ? PAM_SILENT : 0;
    first = prints != NULL;
    for (int cycle = 0; cycle < cycles; cycle++, first = 0) {
        long code = session(handles, flags);
        if (code)
            return (void *)code;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    confdir = argv[1];
    service = argv[2];
    user = argv[3];
    cycles = atoi(argv[4]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_DFL);
    int threads = getenv("HOST_THREADS") ? atoi(getenv("HOST_THREADS")) : 0;
    pthread_t thread[16];
    void *code = NULL;
    int before = entries("/proc/self/fd"), tasks = entries("/proc/self/task");
    for (int i = 0; i < threads && i < 16; i++)
        if (pthread_create(&thread[i], NULL, sessions, i ? NULL : &thread))
            return 5;
    for (int i = 0; i < threads && i < 16; i++) {
        void *its = NULL;
        pthread_join(thread[i], &its);
        code = its ? its : code;
    }
    if (!threads)
        code = sessions(argv);
    if (code)
        return (int)(long)code;
    /* A thread that was joined may be in the list for a moment still. */
    for (int i = 0; i < 200 && entries("/proc/self/task") != tasks; i++)
        usleep(5000);
    if (getenv("HOST_TASKS"))
        printf("tasks %+d\n", entries("/proc/self/task") - tasks);
    if (!getenv("HOST_CHROOT"))
        printf("descriptors %+d\n", entries("/proc/self/fd") - before);
    return 0;
}
