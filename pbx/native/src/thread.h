/* Threads of the engine. */
#ifndef TANDEM_THREAD_H
#define TANDEM_THREAD_H

#include <pthread.h>

/* Starts a named thread that no signal is delivered to: signals are the host program's business. 0 or an errno. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);
/* Lets the calling thread yield to the packet threads. */
void thread_lower_priority(void);

#endif
