/* SPDX-License-Identifier: Apache-2.0 */
/* ping, bench, debug: what a path is worth, and what happens when it breaks. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/text.h"

/* --- ping --- */

static void ping_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const json_t *path = json_object_get(event, "path");
	const char *lost = get_text(event, "lost"), *why = get_text(path, "why");
	char brief[SHORT_SIZE], ms[DURATION_SIZE], where[PATH_SIZE];

	if (*lost && !c->json) {
		fprintf(stderr, "no answer: %s\n", get_text(event, "message"));
	} else if (c->json) {
		print_json(event);
	} else {
		printf("reply from %s: %s in %s%s%s%s\n",
		       short_address(get_text(event, "address"), brief),
		       path_for_people(path, where), format_ms(get_number(event, "rtt_ms"), ms),
		       *why ? " (" : "", why, *why ? ")" : "");
		fflush(stdout);
	}
}

int run_ping(struct cli *c)
{
	unsigned long count;
	double interval;
	json_int_t timeout;

	if (options_count(&c->options, "-c", 1, 1000000000, 0, &count, &c->failure) < 0 ||
	    options_seconds(&c->options, "-i", 0.001, 86400, 1, &interval, &c->failure) < 0 ||
	    cli_timeout_ms(c, &timeout) < 0 ||
	    cli_check_destination(c, c->options.words[0], NULL) < 0)
		return -1;
	return cli_request(c,
			   json_pack("{s:s,s:s,s:I,s:I,s:I,s:b}", "op", "ping", "to",
				     c->options.words[0], "count", (json_int_t)count, "interval_ms",
				     (json_int_t)(interval * 1000), "timeout_ms", timeout,
				     "until_direct", options_has(&c->options, "--until-direct")),
			   SESSION_ONE_SHOT, ping_event);
}

/* --- bench --- */

static void bench_event(void *user, const json_t *event)
{
	const struct cli *c = user;
	const json_t *r = json_object_get(event, "result"), *rtt = json_object_get(r, "rtt_us");
	char bytes[BYTES_SIZE];

	if (!r) {
		if (!c->json && fancy(STDERR_FILENO))
			fprintf(stderr, "\r%5.1f s  %7.3f Gbit/s ", get_number(event, "elapsed"),
				get_number(event, "gbit_s"));
		return;
	}
	if (c->json) {
		print_json(r);
		return;
	}
	if (fancy(STDERR_FILENO))
		fprintf(stderr, "\r%30s\r", "");
	printf("%s in %.2f s: %.3f Gbit/s, %.2f s CPU (%.2f s/GB)\n",
	       format_bytes(get_number(r, "bytes"), bytes), get_number(r, "seconds"),
	       get_number(r, "gbit_s"), get_number(r, "cpu_s"), get_number(r, "cpu_s_per_gb"));
	printf("64 bytes there and back: median %.0f us, 99 %% %.0f us\n", get_number(rtt, "p50"),
	       get_number(rtt, "p99"));
}

int run_bench(struct cli *c)
{
	unsigned long streams;
	double seconds;
	json_int_t timeout;

	if (options_seconds(&c->options, "--seconds", 0.1, 86400, 5, &seconds, &c->failure) < 0 ||
	    options_count(&c->options, "--streams", 1, BENCH_STREAMS_MAX, 1, &streams,
			  &c->failure) < 0 ||
	    cli_timeout_ms(c, &timeout) < 0 ||
	    cli_check_destination(c, c->options.words[0], NULL) < 0)
		return -1;
	return cli_request(c,
			   json_pack("{s:s,s:s,s:f,s:I,s:b,s:I}", "op", "bench", "to",
				     c->options.words[0], "seconds", seconds, "streams",
				     (json_int_t)streams, "reverse",
				     options_has(&c->options, "--reverse"), "timeout_ms", timeout),
			   SESSION_ONE_SHOT, bench_event);
}

/* --- debug --- */

int run_debug(struct cli *c)
{
	const char *fault = c->options.words[0];

	if (strcmp(fault, "move") != 0 && strcmp(fault, "break") != 0 &&
	    strcmp(fault, "rebind") != 0)
		return fail_usage(&c->failure, "godwit debug move, break or rebind",
				  "there is no fault \"%.60s\"", fault);
	return cli_request(c, json_pack("{s:s,s:s}", "op", "debug", "fault", fault),
			   SESSION_RUNNING, cli_no_event);
}
