/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * recover_command.h - `perf-agent recover`.
 */
#ifndef PA_RECOVER_COMMAND_H
#define PA_RECOVER_COMMAND_H

/** Run `perf-agent recover ARGS`; argv[0] is "recover". @return exit status */
int recover_command(int argc, char **argv);

#endif
