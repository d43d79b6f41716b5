// SPDX-License-Identifier: Apache-2.0
#include "cli_files.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cli/home.h"

static struct home h;
static struct settings s;
static struct failure f;
static struct identity id;

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	memset(&f, 0, sizeof(f));
	memset(&id, 0, sizeof(id));
	assert_int_equal(home_open(&h, "home", true, &f), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	home_close(&h);
	unsetenv("TEST_KEY");
	run("rm -rf ./*");
	return 0;
}

static void assert_failure(int exit, const char *code, const char *message)
{
	assert_int_equal(f.exit, exit);
	assert_string_equal(f.code, code);
	if (!strstr(f.message, message))
		fail_msg("\"%s\" says nothing of \"%s\"", f.message, message);
	assert_true(strlen(f.hint) > 0);
}

/* --- the directory --- */

static void home_is_made_for_its_user_alone(void **state)
{
	struct home deep;

	(void)state;
	assert_int_equal(mode_of("home"), 0700);
	assert_int_equal(home_open(&deep, "a/b//c/", true, &f), 0);
	assert_int_equal(mode_of("a"), 0700);
	assert_int_equal(mode_of("a/b/c"), 0700);
	home_close(&deep);
	assert_int_equal(chmod("a/b/c", 0755), 0);
	assert_int_equal(home_open(&deep, "a/b/c", true, &f), 0); /* there already */
	assert_int_equal(mode_of("a/b/c"), 0755);
	home_close(&deep);
	home_close(&deep); /* twice is as good */
}

static void impossible_homes_are_explained(void **state)
{
	static char longest[PATH_MAX + 1];
	struct home bad;

	(void)state;
	write_file("file", "", 0600);
	assert_int_equal(home_open(&bad, "file", true, &f), -1);
	assert_failure(EXIT_FAILED, "io", "file");
	assert_int_equal(home_open(&bad, "file/below", true, &f), -1);
	assert_failure(EXIT_FAILED, "io", "file/below");
	memset(longest, 'x', PATH_MAX);
	assert_int_equal(home_open(&bad, longest, true, &f), -1);
	assert_failure(EXIT_FAILED, "io", "File name too long");
}

/* --- the lock --- */

static void lock_is_of_one_process(void **state)
{
	int ready[2], go[2], status;
	char byte, holder[32];
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		struct home other;

		if (home_open(&other, "home", true, &f) < 0 || home_lock(&other, &f) < 0 ||
		    write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(home_lock(&h, &f), -1);
	snprintf(holder, sizeof(holder), "process %d", (int)child);
	assert_failure(EXIT_FAILED, "in-use", holder);
	assert_int_equal(h.lock_fd, -1);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	assert_int_equal(home_lock(&h, &f), 0); /* a dead one's lock is free */
	assert_int_equal(mode_of("home/lock"), 0600);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

/* It is a number that somebody may kill(1). */
static void lock_without_a_number_names_none(void **state)
{
	struct home second;

	(void)state;
	assert_int_equal(home_lock(&h, &f), 0);
	assert_int_equal(ftruncate(h.lock_fd, 0), 0);
	assert_int_equal(home_open(&second, "home", true, &f), 0);
	assert_int_equal(home_lock(&second, &f), -1);
	assert_failure(EXIT_FAILED, "in-use", "starting");
	assert_null(strstr(f.hint, "kill"));
	home_close(&second);
}

static void lock_that_cannot_be_made_is_no_running_node(void **state)
{
	(void)state;
	assert_int_equal(mkdir("home/lock", 0700), 0);
	assert_int_equal(home_lock(&h, &f), -1);
	assert_failure(EXIT_FAILED, "io", "cannot lock");
	assert_int_equal(rmdir("home/lock"), 0);
}

/* Whoever may write it says whom the node serves. */
static void home_that_others_may_write_is_refused(void **state)
{
	struct home open;

	(void)state;
	assert_int_equal(mkdir("shared", 0700), 0);
	assert_int_equal(chmod("shared", 0770), 0);
	assert_int_equal(home_open(&open, "shared", true, &f), -1);
	assert_failure(EXIT_FAILED, "permission", "others may write");
	assert_int_equal(chmod("shared", 0755), 0);
	assert_int_equal(home_open(&open, "shared", true, &f), 0);
	home_close(&open);
	assert_int_equal(rmdir("shared"), 0);
}

static void home_that_is_not_there_is_empty(void **state)
{
	struct home none;
	json_t *kept;

	(void)state;
	assert_int_equal(home_open(&none, "nowhere", false, &f), 0);
	assert_int_equal(access("nowhere", F_OK), -1);
	assert_int_equal(home_connect(&none), -1);
	kept = home_kept_load(&none, &f);
	assert_int_equal(json_array_size(kept), 0);
	json_decref(kept);
	home_close(&none);
}

static void lock_ends_with_the_home(void **state)
{
	struct home second;

	(void)state;
	assert_int_equal(home_lock(&h, &f), 0);
	assert_int_equal(home_open(&second, "home", true, &f), 0);
	assert_int_equal(home_lock(&second, &f), -1);
	home_close(&h);
	assert_int_equal(home_lock(&second, &f), 0);
	home_close(&second);
}

/* --- the control socket --- */

static void check_control_socket(const struct home *home)
{
	int listener, client, accepted;
	char byte = 0;

	assert_int_equal(home_connect(home), -1);
	listener = home_listen(home, &f);
	assert_true(listener >= 0);
	client = home_connect(home);
	assert_true(client >= 0);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	assert_true(home_peer_is_us(accepted));
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(read(accepted, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(client);
	close(accepted);
	close(listener);

	assert_int_equal(home_connect(home), -1); /* a dead one's file */
	listener = home_listen(home, &f);
	assert_true(listener >= 0);
	client = home_connect(home);
	assert_true(client >= 0);
	close(client);
	home_unlisten(home);
	assert_int_equal(home_connect(home), -1);
	close(listener);
}

static void control_socket_connects(void **state)
{
	int listener = home_listen(&h, &f);

	(void)state;
	assert_int_equal(mode_of("home/control"), 0600);
	close(listener);
	home_unlisten(&h);
	assert_false(exists("home/control"));
	check_control_socket(&h);
}

/* A socket's address has room for 107 bytes. */
static void control_socket_of_a_long_path_connects(void **state)
{
	char path[1024] = "";
	struct home deep;

	(void)state;
	for (int i = 0; i < 10; i++)
		strcat(path, "a-directory-with-quite-a-long-name-that-nobody-would-use/");
	strcat(path, "home");
	assert_true(strlen(path) > 500);
	assert_int_equal(home_open(&deep, path, true, &f), 0);
	check_control_socket(&deep);
	home_close(&deep);
}

static void socket_without_a_peer_is_nobodys(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_false(home_peer_is_us(fd));
	close(fd);
}

/* --- identities --- */

static int load(const char *spec)
{
	s.at[SETTING_IDENTITY].count = spec ? 1 : 0;
	s.at[SETTING_IDENTITY].values[0] = spec;
	snprintf(s.at[SETTING_IDENTITY].source, sizeof(s.at[SETTING_IDENTITY].source),
		 "flag --identity");
	return home_identity(&h, &s, &id, &f);
}

static struct identity make_key(char pem[IDENTITY_PEM_MAX])
{
	struct identity made;

	identity_generate(&made);
	identity_to_pem(&made, pem);
	return made;
}

static void home_keeps_its_key(void **state)
{
	struct identity first;

	(void)state;
	assert_int_equal(load(NULL), 0);
	first = id;
	assert_int_equal(mode_of("home/identity.pem"), 0600);
	assert_int_equal(load(NULL), 0);
	assert_memory_equal(&id, &first, sizeof(id));
}

static void ephemeral_keys_are_never_stored(void **state)
{
	struct identity first;

	(void)state;
	assert_int_equal(load("ephemeral"), 0);
	first = id;
	assert_int_equal(load("ephemeral"), 0);
	assert_memory_not_equal(id.key, first.key, sizeof(id.key));
	assert_false(exists("home/identity.pem"));
}

static void key_comes_from_a_file(void **state)
{
	char pem[IDENTITY_PEM_MAX];
	struct identity made = make_key(pem);

	(void)state;
	write_file("key.pem", pem, 0600);
	assert_int_equal(load("file:key.pem"), 0);
	assert_memory_equal(&id, &made, sizeof(id));
	assert_int_equal(load("file:missing.pem"), -1);
	assert_string_equal(f.code, "not-found");
	assert_false(exists("missing.pem")); /* only the home's is made */
	assert_false(exists("home/identity.pem"));
}

static void key_comes_from_the_environment(void **state)
{
	char pem[IDENTITY_PEM_MAX];
	struct identity made = make_key(pem);

	(void)state;
	assert_int_equal(load("env:TEST_KEY"), -1);
	assert_failure(EXIT_USAGE, "usage", "there is no environment variable TEST_KEY");
	setenv("TEST_KEY", pem, 1);
	assert_int_equal(load("env:TEST_KEY"), 0);
	assert_memory_equal(&id, &made, sizeof(id));
	assert_null(getenv("TEST_KEY")); /* it has been taken out */
	setenv("TEST_KEY", "", 1);
	assert_int_equal(load("env:TEST_KEY"), -1);
	assert_non_null(strstr(f.message, "TEST_KEY"));
}

static void key_in_the_environment_is_overwritten(void **state)
{
	char pem[IDENTITY_PEM_MAX], text[IDENTITY_PEM_MAX + 16];

	(void)state;
	make_key(pem);
	snprintf(text, sizeof(text), "TEST_KEY=%s", pem);
	putenv(text);
	assert_int_equal(load("env:TEST_KEY"), 0);
	for (size_t i = 0; i < strlen(pem); i++)
		assert_int_equal(text[strlen("TEST_KEY=") + i], 0);
}

static void key_comes_from_a_descriptor(void **state)
{
	char pem[IDENTITY_PEM_MAX], spec[16];
	struct identity made = make_key(pem);
	int pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], pem, strlen(pem)), strlen(pem));
	close(pair[1]);
	snprintf(spec, sizeof(spec), "fd:%d", pair[0]);
	assert_int_equal(load(spec), 0);
	assert_memory_equal(&id, &made, sizeof(id));
	assert_int_equal(fcntl(pair[0], F_GETFD), -1); /* it has been closed */
	assert_int_equal(load(spec), -1);
	assert_failure(EXIT_USAGE, "usage", "cannot read descriptor");
}

static void wrong_descriptors_are_refused(void **state)
{
	static const char *const BAD[] = { "fd:", "fd:x", "fd:-1", "fd:3x", "fd:99999999999" };

	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		assert_int_equal(load(BAD[i]), -1);
		assert_failure(EXIT_USAGE, "usage", "is no descriptor");
	}
}

static void keys_for_everybody_are_refused(void **state)
{
	char pem[IDENTITY_PEM_MAX];

	(void)state;
	make_key(pem);
	write_file("key.pem", pem, 0640);
	assert_int_equal(load("file:key.pem"), -1);
	assert_failure(EXIT_FAILED, "permission", "key.pem can be read by others");
	assert_string_equal(f.hint, "chmod 0600 key.pem");
	write_file("home/identity.pem", pem, 0604);
	assert_int_equal(load(NULL), -1);
	assert_failure(EXIT_FAILED, "permission", "home/identity.pem can be read by others");
}

static void damaged_keys_are_explained(void **state)
{
	char pem[IDENTITY_PEM_MAX], *at;
	struct identity before = id;

	(void)state;
	write_file("key.pem", "", 0600);
	assert_int_equal(load("file:key.pem"), -1);
	assert_failure(EXIT_FAILED, "length", "key.pem: the key is truncated");
	write_file("key.pem", "this is no key\n", 0600);
	assert_int_equal(load("file:key.pem"), -1);
	assert_failure(EXIT_FAILED, "format", "key.pem: no private key in PEM");
	make_key(pem);
	at = strstr(pem, "K2Vw"); /* the end of the algorithm's OID: 1.3.101.112 */
	assert_non_null(at);
	at[3] = 'u'; /* 1.3.101.110: X25519 */
	write_file("key.pem", pem, 0600);
	assert_int_equal(load("file:key.pem"), -1);
	assert_failure(EXIT_FAILED, "type", "key.pem: a key, but not Ed25519");
	write_file("home/identity.pem", "", 0600);
	assert_int_equal(load(NULL), -1); /* never replaced */
	assert_non_null(strstr(f.message, "home/identity.pem"));
	assert_memory_equal(&id, &before, sizeof(id));
}

/* Somebody may put the key itself there. */
static void unknown_kinds_are_not_repeated(void **state)
{
	char pem[IDENTITY_PEM_MAX];

	(void)state;
	make_key(pem);
	assert_int_equal(load(pem), -1);
	assert_failure(EXIT_USAGE, "usage", "the identity is of no known kind (flag --identity)");
	assert_null(strstr(f.message, "PRIVATE"));
	assert_null(strstr(f.hint, "PRIVATE"));
	assert_int_equal(load("Ephemeral"), -1);
	assert_int_equal(load(""), -1);
	assert_int_equal(load("key.pem"), -1);
	assert_failure(EXIT_USAGE, "usage", "no known kind");
}

/* --- destinations --- */

static uint8_t key[GODWIT_KEY_SIZE];
static char address[GODWIT_ADDRESS_SIZE], ticket[GODWIT_TICKET_SIZE];

static void make_node(void)
{
	godwit_options o;
	godwit_node *node;

	godwit_options_init(&o);
	o.ephemeral = true;
	o.listen = "127.0.0.1:0";
	assert_int_equal(godwit_node_new(&node, &o), 0);
	godwit_node_key(node, key);
	godwit_node_address(node, address);
	assert_int_equal(godwit_node_ticket(node, "pg", ticket), 0);
	godwit_node_free(node);
}

static void write_names(void)
{
	char text[4096];

	snprintf(text, sizeof(text),
		 "# name who\n\n  laptop\t%s  \r\n#hidden %s\nlonely\nserver %s a comment\n"
		 "laptop nonsense\nwrong x\nlast %s",
		 address, address, ticket, address);
	write_file("home/names", text, 0600);
}

static void check_destination(const char *text, const char *service, const char *expected,
			      size_t endpoints)
{
	godwit_ticket t;

	memset(&f, 0, sizeof(f));
	if (home_destination(&h, text, service, &t, &f) < 0)
		fail_msg("\"%s\": %s", text, f.message);
	assert_memory_equal(t.key, key, sizeof(key));
	assert_string_equal(t.service, expected);
	assert_int_equal(t.endpoint_count, endpoints);
}

static void check_with_service(const char *who, const char *expected, size_t endpoints)
{
	char text[GODWIT_TICKET_SIZE + 8];

	snprintf(text, sizeof(text), "%s/ssh", who);
	check_destination(text, "", "ssh", endpoints);
	check_destination(text, "web", "ssh", endpoints);
	check_destination(text, NULL, "ssh", endpoints);
	check_destination(who, "web", *expected ? expected : "web", endpoints);
	check_destination(who, NULL, expected, endpoints);
}

static void destinations_are_addresses_tickets_and_names(void **state)
{
	(void)state;
	make_node();
	write_names();
	check_with_service(address, "", 0);
	check_with_service(ticket, "pg", 1);
	check_with_service("laptop", "", 0); /* the first line counts */
	check_with_service("server", "pg", 1);
	check_with_service("last", "", 0);
}

static void check_refused(const char *text, const char *service, const char *message)
{
	godwit_ticket t, before;

	memset(&t, 0xa5, sizeof(t));
	before = t;
	memset(&f, 0, sizeof(f));
	assert_int_equal(home_destination(&h, text, service, &t, &f), -1);
	assert_int_equal(f.exit, EXIT_USAGE);
	if (!strstr(f.message, message))
		fail_msg("\"%s\" is refused because \"%s\"", text, f.message);
	assert_true(strlen(f.hint) > 0);
	assert_memory_equal(&t, &before, sizeof(t));
}

static void wrong_destinations_are_explained(void **state)
{
	char text[200];

	(void)state;
	make_node();
	check_refused("laptop", NULL, "laptop"); /* no file of names */
	write_names();
	check_refused("nobody/ssh", "", "no name \"nobody\"");
	check_refused("lonely", NULL, "\"lonely\"");
	check_refused("hidden", NULL, "\"hidden\"");
	check_refused("#hidden", NULL, "\"#hidden\"");
	check_refused("wrong/ssh", "", "x/ssh");
	check_refused("", NULL, "\"\"");
	check_refused("/ssh", "", "no name");
	check_refused("laptop/", "", "no name for a service");
	check_refused("laptop/No Name", "", "no name for a service");
	snprintf(text, sizeof(text), "%s", address);
	text[20] = text[20] == 'a' ? 'b' : 'a';
	check_refused(text, NULL, "checksum");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	check_refused(text, NULL, "xxx...");
}

static void destination_without_a_service_is_refused(void **state)
{
	(void)state;
	make_node();
	write_names();
	check_refused(address, "", "names no service");
	check_refused("laptop", "", "names no service");
}

/* --- kept services --- */

static void kept_services_are_stored(void **state)
{
	json_t *kept = home_kept_load(&h, &f), *again;

	(void)state;
	assert_int_equal(json_array_size(kept), 0);
	assert_true(json_is_array(kept));
	assert_int_equal(
		json_array_append_new(kept, json_pack("{s:s,s:s,s:[s]}", "name", "pg", "target",
						      "tcp:127.0.0.1:5432", "allow", "any")),
		0);
	assert_int_equal(home_kept_save(&h, kept, &f), 0);
	assert_int_equal(mode_of("home/kept.json"), 0600);
	assert_false(exists("home/kept.json.new"));
	again = home_kept_load(&h, &f);
	assert_true(json_equal(kept, again));
	json_decref(again);
	json_array_clear(kept);
	assert_int_equal(home_kept_save(&h, kept, &f), 0); /* over the old one */
	again = home_kept_load(&h, &f);
	assert_int_equal(json_array_size(again), 0);
	json_decref(again);
	json_decref(kept);
}

static void damaged_list_is_a_failure(void **state)
{
	static const char *const BAD[] = { "", "[", "{}", "[] []", "\"x\"", "null" };

	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		write_file("home/kept.json", BAD[i], 0600);
		assert_null(home_kept_load(&h, &f));
		assert_failure(EXIT_USAGE, "usage", "home/kept.json is damaged");
		assert_string_equal(f.hint,
				    "rm home/kept.json, then godwit expose ... --keep again");
	}
}

/* To take it for empty would lose it with the next save. */
static void list_that_cannot_be_opened_is_a_failure(void **state)
{
	json_t *kept;

	(void)state;
	assert_int_equal(symlink("kept.json", "home/kept.json"), 0); /* ELOOP */
	kept = home_kept_load(&h, &f);
	json_decref(kept);
	assert_null(kept);
	assert_non_null(strstr(f.message, "home/kept.json"));
}

static void list_that_cannot_be_written_is_a_failure(void **state)
{
	json_t *kept = json_array();

	(void)state;
	assert_int_equal(mkdir("home/kept.json", 0700), 0);
	assert_int_equal(home_kept_save(&h, kept, &f), -1);
	assert_failure(EXIT_FAILED, "io", "cannot write home/kept.json");
	assert_false(exists("home/kept.json.new"));
	json_decref(kept);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(home_is_made_for_its_user_alone),
		TEST(impossible_homes_are_explained),
		TEST(lock_is_of_one_process),
		TEST(lock_without_a_number_names_none),
		TEST(lock_that_cannot_be_made_is_no_running_node),
		TEST(home_that_others_may_write_is_refused),
		TEST(home_that_is_not_there_is_empty),
		TEST(lock_ends_with_the_home),
		TEST(control_socket_connects),
		TEST(control_socket_of_a_long_path_connects),
		TEST(socket_without_a_peer_is_nobodys),
		TEST(home_keeps_its_key),
		TEST(ephemeral_keys_are_never_stored),
		TEST(key_comes_from_a_file),
		TEST(key_comes_from_the_environment),
		TEST(key_in_the_environment_is_overwritten),
		TEST(key_comes_from_a_descriptor),
		TEST(wrong_descriptors_are_refused),
		TEST(keys_for_everybody_are_refused),
		TEST(damaged_keys_are_explained),
		TEST(unknown_kinds_are_not_repeated),
		TEST(destinations_are_addresses_tickets_and_names),
		TEST(wrong_destinations_are_explained),
		TEST(destination_without_a_service_is_refused),
		TEST(kept_services_are_stored),
		TEST(damaged_list_is_a_failure),
		TEST(list_that_cannot_be_opened_is_a_failure),
		TEST(list_that_cannot_be_written_is_a_failure),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
