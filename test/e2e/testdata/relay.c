// SPDX-License-Identifier: Apache-2.0
//
// relay PROGRAM [ARGUMENT ...]
//
// An init whose threads never last: each begins its successor and ends. It says
// that it is ready; at the end of its input whichever thread comes next
// executes the program.
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { chains = 3 };

static char **program;
static atomic_bool told;

static void *run(void *unused)
{
	pthread_attr_t detached;
	pthread_t next;

	(void)unused;
	if (atomic_load(&told)) {
		execv(program[0], program);
		_exit(97);
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	while (pthread_create(&next, &detached, run, NULL))
		;
	return NULL;
}

int main(int argc, char **argv)
{
	char c;

	if (argc < 2)
		return 2;
	program = argv + 1;
	for (int i = 0; i < chains; i++)
		run(NULL);
	if (write(1, "\n", 1) != 1)
		return 1;
	while (read(0, &c, 1) > 0)
		;
	atomic_store(&told, 1);
	for (;;)
		pause();
}
