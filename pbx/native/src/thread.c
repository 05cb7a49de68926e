#include "thread.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a new thread inherits the mask */
    int fault = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (fault == 0)
        pthread_setname_np(*thread, name);
    return fault;
}

void thread_lower_priority(void) {
    setpriority(PRIO_PROCESS, (id_t)gettid(), 10); /* of this thread alone on Linux; refused, it runs as it is */
}
