// SPDX-License-Identifier: GPL-2.0-only
/*
 * run.c - samples come in runs: of one thread and one event, with nothing in between. Of such a
 * sample its id, thread, time, period and chain are read; the rest is as for the first of the run.
 */
#include "convert/session.h"

static const __u64 *words_of(const struct perf_event_header *hdr)
{
	return (const __u64 *)(hdr + 1);
}

void pa_run__begin(struct pa_session *s, const struct perf_event_header *hdr,
		   const struct pd_sample *sample, const struct pa_stack_key *key,
		   const struct pa_place_context *context)
{
	struct pa_run *r = &s->run;
	size_t event = (size_t)sample->id.event;

	if (s->opts.filter || s->opts.traces || s->opts.off_cpu ||
	    !pa_fields__is_plain(&s->fields, event) ||
	    !pd_events__sample_words(s->opts.events, event, &r->words) || r->words.tid < 0 ||
	    r->words.time < 0)
		return;
	r->id = r->words.id < 0 ? 0 : words_of(hdr)[r->words.id];
	r->pid_tid = words_of(hdr)[r->words.tid];
	r->period = sample->period;
	r->key = *key;
	r->context = *context;
	r->event_cnt = pd_events__cnt(s->opts.events);
	r->is_on = true;
}

int pa_run__feed(struct pa_session *s, const struct perf_event_header *hdr)
{
	struct pa_run *r = &s->run;
	const struct pd_sample_words *at = &r->words;
	const __u64 *words = words_of(hdr), *chain = words + at->callchain;
	size_t words_cnt = hdr->size / 8;
	struct pa_chain c;
	uint64_t time_ns;
	int err;

	/* the header is a word, too */
	if (!r->is_on || words_cnt < 2 + (size_t)at->callchain ||
	    pd_events__cnt(s->opts.events) != r->event_cnt)
		return 0;
	time_ns = words[at->time];
	if (words[at->tid] != r->pid_tid || (at->id >= 0 && words[at->id] != r->id) || !time_ns ||
	    time_ns < s->moment.from_ns || time_ns > s->moment.to_ns)
		return 0;
	c = (struct pa_chain){
		.ips = chain + 1,
		.cnt = *chain,
		.period = at->period < 0 ? r->period : words[at->period],
		.cpumode = hdr->misc & PERF_RECORD_MISC_CPUMODE_MASK,
	};
	if (!c.cnt || c.cnt > PD_CALLCHAIN_MAX || c.cnt > words_cnt - 2 - (size_t)at->callchain)
		return 0;
	r->context.time_ns = time_ns;
	err = pa_stacks__add(s, &r->key, &r->context, &c);
	if (err)
		return err;
	s->stats.sample_cnt++;
	pa_session__note_time(s, time_ns);
	return 1;
}
