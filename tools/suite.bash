# SPDX-License-Identifier: Apache-2.0
# Sourced: run suites, keep their output, add up what they report.
#	suite NAME COMMAND...     runs it; its output goes to the terminal and to $LOGS/NAME.log
#	closing                   prints "N passed, N failed"; false when anything failed
# A suite that fails is counted and the next one runs; `step` is the same for work that is no test.

passed=0
failed=0

count() { # FILE STATUS
	local p f
	read -r p f < <(tools/count-tests "$1")
	if [ "$2" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	passed=$((passed + p))
	failed=$((failed + f))
}

suite() {
	local name=$1 status=0
	shift
	printf '\n--- %s\n' "$name"
	"$@" </dev/null 2>&1 | tee "$LOGS/$name.log" || status=$?
	if [ "$status" != 0 ]; then
		echo "$name: FAILED (exit $status)"
	fi
	count "$LOGS/$name.log" "$status"
}

meson_suite() { # NAME BUILD ARGS...
	local name=$1 build=$2 status=0
	shift 2
	printf '\n--- %s\n' "$name"
	meson test -C "$build" --no-rebuild --print-errorlogs "$@" </dev/null || status=$?
	count "$build/meson-logs/testlog.json" "$status"
}

step() {
	local name=$1 status=0
	shift
	printf '\n--- %s\n' "$name"
	"$@" </dev/null || status=$?
	if [ "$status" != 0 ]; then
		echo "$name: FAILED (exit $status)"
		failed=$((failed + 1))
	fi
	return "$status"
}

closing() {
	printf '\n%s passed, %s failed\n' "$passed" "$failed"
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}
