// SPDX-License-Identifier: GPL-2.0-only
/*
 * command.c - start a command under the capture.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"

#define END_STEP_NS 10000000 /* a command that was told to end has two seconds for it */
#define END_STEPS 200

__attribute__((noreturn)) static void child(char *const *argv, int go_fd, int error_fd)
{
	sigset_t none;
	char byte;
	int err;

	/* the agent must not leave it waiting if it dies first */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (read(go_fd, &byte, 1) != 1)
		_exit(127); /* the capture did not start */
	prctl(PR_SET_PDEATHSIG, 0);
	execvp(argv[0], argv);
	err = errno;
	if (write(error_fd, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

int pa_command__prepare(struct pa_command *c, char *const *argv)
{
	int go[2] = {-1, -1}, error[2] = {-1, -1}, err = 0;

	*c = (struct pa_command){.go_fd = -1, .error_fd = -1};
	if (pipe2(go, O_CLOEXEC) || pipe2(error, O_CLOEXEC)) {
		err = -errno;
		goto out;
	}
	c->pid = fork();
	if (c->pid < 0) {
		err = -errno;
		c->pid = 0;
		goto out;
	}
	if (!c->pid) {
		close(go[1]);
		child(argv, go[0], error[1]);
	}
	c->go_fd = go[1];
	c->error_fd = error[0];
	go[1] = error[0] = -1;
out:
	for (int i = 0; i < 2; i++) {
		if (go[i] >= 0)
			close(go[i]);
		if (error[i] >= 0)
			close(error[i]);
	}
	return err;
}

int pa_command__go(struct pa_command *c)
{
	int err = 0;
	ssize_t n;

	if (write(c->go_fd, "x", 1) != 1)
		return -errno;
	close(c->go_fd);
	c->go_fd = -1;
	do { /* end of file: exec closed it */
		n = read(c->error_fd, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	close(c->error_fd);
	c->error_fd = -1;
	if (n != (ssize_t)sizeof(err))
		return 0;
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
	return -err;
}

int pa_command__ended(struct pa_command *c, int *status)
{
	if (!c->pid || waitpid(c->pid, status, WNOHANG) != c->pid)
		return 0;
	c->pid = 0;
	return 1;
}

pid_t pa_command__end(struct pa_command *c, int *status)
{
	const struct timespec step = {0, END_STEP_NS};
	pid_t pid = c->pid;

	*status = -1;
	if (c->go_fd >= 0)
		close(c->go_fd);
	if (c->error_fd >= 0)
		close(c->error_fd);
	c->go_fd = c->error_fd = -1;
	c->pid = 0;
	if (!pid)
		return 0;
	kill(pid, SIGTERM);
	for (int i = 0; i < END_STEPS; i++) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return 0;
		nanosleep(&step, NULL);
	}
	return pid;
}
