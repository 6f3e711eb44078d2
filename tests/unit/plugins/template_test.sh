#!/usr/bin/env bash
# A vendor's first hour: install modelc, start a plugin from the template, build it against the installed package alone, check
# it, and see it found. usage: template_test.sh BUILD_DIR CXX_COMPILER
set -euo pipefail
build=$1 compiler=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "template_test: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$work/prefix" > "$work/install.log" || fail "$(tail -n 3 "$work/install.log")"
cd "$work"
modelc=$work/prefix/bin/modelc
unset MODELC_PLUGIN_PATH

"$modelc" plugin list | tee list
grep -q "^cpu .*$work/prefix/lib/modelc/libmodelc_cpu.so" list || fail "the installed binary does not find the installed plugin"

"$modelc" plugin new mine
if "$modelc" plugin new mine 2> error; then fail "a second 'plugin new mine' overwrote the first"; fi
grep -q "is there already" error || fail "no reason given: $(cat error)"
if "$modelc" plugin new '../mine' 2> error; then fail "'../mine' was taken for a name"; fi
[ "$(wc -l < error)" = 1 ] || fail "an error is one line"

cmake -S mine -B mine/build -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" > configure.log || fail "$(cat configure.log)"
cmake --build mine/build
"$modelc" plugin check mine/build/libmodelc_mine.so | tee check
grep -q " passed, 0 failed, " check || fail "the new plugin fails its checks"
"$modelc" plugin check mine/build/libmodelc_mine.so --op linear --json > check.json
grep -q '"outcome": "passed"' check.json || fail "no case of linear passed"
"$modelc" plugin list --plugin mine/build/libmodelc_mine.so > list
grep -q "^mine " list || fail "--plugin does not list it"

echo "not a library" > libmodelc_text.so
status=0
"$modelc" plugin check ./libmodelc_text.so 2> error || status=$?
[ $status = 2 ] || fail "a text file gives exit status $status, want 2"
grep -q "not a shared library" error || fail "no reason given: $(cat error)"
MODELC_PLUGIN_PATH=$work "$modelc" plugin list > list
grep -q "not loaded: .*libmodelc_text.so" list || fail "list hides what it cannot load"
