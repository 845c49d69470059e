// SPDX-License-Identifier: Apache-2.0

// In the real runtime's place: writes what the kernel says of the process that
// it was started as to standard output, as frames of a name, a length and that
// many bytes. It is not Go, whose own start changes limits and signals.

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void frame(const char *name, const char *data, size_t length)
{
	printf("%s %zu\n", name, length);
	fwrite(data, 1, length, stdout);
	putchar('\n');
}

static void number(const char *name, long n)
{
	char text[32];
	frame(name, text, (size_t)snprintf(text, sizeof text, "%ld", n));
}

static void file(const char *name, const char *path)
{
	static char data[8 << 20];
	FILE *f = fopen(path, "r");
	if (!f)
		exit(90);
	frame(name, data, fread(data, 1, sizeof data, f));
	fclose(f);
}

static void target(const char *name, const char *path)
{
	char data[PATH_MAX];
	ssize_t n = readlink(path, data, sizeof data);
	if (n < 0)
		exit(91);
	frame(name, data, (size_t)n);
}

int main(int argc, char **argv)
{
	number("pid", getpid());
	number("parent", getppid());
	number("group", getpgrp());
	number("session", getsid(0));
	number("nice", getpriority(PRIO_PROCESS, 0));
	number("scheduler", sched_getscheduler(0));
	int death = 0, subreaper = 0;
	prctl(PR_GET_PDEATHSIG, &death);
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	number("death signal", death);
	number("subreaper", subreaper);
	file("arguments", "/proc/self/cmdline");
	file("environment", "/proc/self/environ");
	file("limits", "/proc/self/limits");
	file("status", "/proc/self/status");
	target("directory", "/proc/self/cwd");

	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		exit(92);
	for (struct dirent *e; (e = readdir(dir));) {
		char name[64], path[64];
		if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir))
			continue;
		snprintf(name, sizeof name, "descriptor %.20s", e->d_name);
		snprintf(path, sizeof path, "/proc/self/fd/%.20s", e->d_name);
		target(name, path);
	}
	return argc > 1 && !strcmp(argv[argc - 1], "exit-42") ? 42 : 0;
}
