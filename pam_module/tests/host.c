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
 *
 * Signals have their default dispositions: a SIGPIPE kills it.
 */
#define _GNU_SOURCE
#include <dirent.h>
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

static int first = 1;

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

static int descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
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

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_DFL);
    int handles = getenv("HOST_HANDLES") ? atoi(getenv("HOST_HANDLES")) : 1;
    int flags = getenv("HOST_SILENT") ? PAM_SILENT : 0;
    int before = descriptors();
    for (int cycle = 0; cycle < atoi(argv[4]); cycle++, first = 0) {
        struct pam_conv conv = { converse, NULL };
        pam_handle_t *pamh[4] = { NULL };
        for (int i = 0; i < handles && i < 4; i++) {
            if (pam_start_confdir(argv[2], argv[3], &conv, argv[1], &pamh[i]) != PAM_SUCCESS)
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
        for (int i = 0; i < handles && i < 4; i++)
            pam_end(pamh[i], PAM_SUCCESS);
    }
    printf("descriptors %+d\n", descriptors() - before);
    return 0;
}
