/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * options.h - the command line of perf-agent.
 */
#ifndef PA_OPTIONS_H
#define PA_OPTIONS_H

#include "perfagent.h"

struct options {
	struct pa_agent_opts agent;
	bool profile, offcpu, pmu_format_given, unwind_given;
	bool quiet;
	pid_t *pids;				       /* agent.pids */
	const char **tags;			       /* agent.tags */
	const char *profile_output, *perf_data_output; /* as given... */
	const char *offcpu_output, *offcpu_perf_data_output;
	bool offcpu_rate_given, offcpu_tuned; /* ...--offcpu-rate; any other of its options */
	char profile_name[160], offcpu_name[160], pmu_name[160]; /* the automatic names */
};

/** Parse the command line. Prints and exits on --help, --version and malformed options (2).
 *  @return 0, or 2 when options contradict each other (said on stderr) */
int options__parse(int argc, char **argv, struct options *o);
void options__free(struct options *o);

#endif
