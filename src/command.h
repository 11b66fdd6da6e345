/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * command.h - the command of "-- COMMAND": forked first, so that its process id can be sampled
 * from its first instruction on, and executed when told.
 */
#ifndef PA_COMMAND_H
#define PA_COMMAND_H

#include <sys/types.h>

struct pa_command {
	pid_t pid;    /* 0: none */
	int go_fd;    /* closing it makes the child exec */
	int error_fd; /* the child's errno, if exec fails */
};

/** Fork a child that waits. @return 0 or -errno */
int pa_command__prepare(struct pa_command *c, char *const *argv);
/** Let it exec. @return 0, -errno of exec (the child is gone then) */
int pa_command__go(struct pa_command *c);
/** End it if it runs: SIGTERM, then wait two seconds at most.
 *  @param status  its wait status; -1 none
 *  @return 0, or the id of a command that goes on running */
pid_t pa_command__end(struct pa_command *c, int *status);
/** Has it ended? Does not block. @return 1 and *status, 0 */
int pa_command__ended(struct pa_command *c, int *status);

#endif
