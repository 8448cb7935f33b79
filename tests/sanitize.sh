#!/usr/bin/env bash
# Builds the core with sanitizers and runs the tests that drive it, or those given, under them:
#
#     tests/sanitize.sh address [pytest arguments]    AddressSanitizer and UndefinedBehaviorSanitizer
#     tests/sanitize.sh thread  [pytest arguments]    ThreadSanitizer
#
# PYTHON (default: python3) is the interpreter, with the package's dependencies and those of its tests. One instruction
# set is built, LEVEL (default: x86_64_v3, elsewhere generic). Needs GCC; the first report of any sanitizer ends the run.
#
# ThreadSanitizer has to see OpenMP's synchronisation, and GCC's libgomp hides it: its barriers are bare futexes, so that every
# access before and after one would look like a race. LLVM's runtime serves the code that GCC compiled just as well, and
# its tool Archer reports each fork, join and barrier to ThreadSanitizer. Hence libomp and libarcher (Debian: libomp-14-dev).
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-}
shift || true
python=${PYTHON:-python3}
case "$(uname -m)" in
  x86_64 | amd64) level=${LEVEL:-x86_64_v3} ;;
  *) level=generic ;;
esac
found() { # the library's path, as the compiler or LLVM's folders have it
  local path
  path=$("${CXX:-g++}" -print-file-name="$1")
  for path in "$path" /usr/lib/llvm-*/lib/"$1"; do
    [ "${path#/}" != "$path" ] && [ -e "$path" ] && { readlink -f "$path"; return; }
  done
  echo "tests/sanitize.sh: $1 is not installed" >&2
  exit 1
}
case "$kind" in
  address)
    sanitize=address,undefined
    preload="$(found libasan.so) $(found libubsan.so) $(found libstdc++.so)"
    # Python itself keeps memory until its end; in the core an allocation that is too large throws, as without a sanitizer.
    export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:allocator_may_return_null=1:detect_stack_use_after_return=1
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    ;;
  thread)
    sanitize=thread
    preload="$(found libtsan.so) $(found libomp.so.5) $(found libstdc++.so)"
    # What is not instrumented (numpy, Python, libomp) cannot be judged; races of our own code with it can.
    export TSAN_OPTIONS=halt_on_error=1:exitcode=66:ignore_noninstrumented_modules=1
    OMP_TOOL_LIBRARIES=$(found libarcher.so)
    export OMP_TOOL_LIBRARIES
    ;;
  *)
    echo "usage: tests/sanitize.sh address|thread [pytest arguments]" >&2
    exit 2
    ;;
esac

folder=$PWD/build/sanitize-$kind
"$python" -m pip install --quiet --no-deps --upgrade --target "$folder/package" . \
  -C build-dir="$folder/build" -C cmake.define.FASTPOLYSEM_SANITIZE="$sanitize" -C cmake.define.FASTPOLYSEM_LEVELS="$level"

# Threads that wait must not spin where everything takes long; reports must not be captured with what tests print.
export OMP_WAIT_POLICY=passive
export PYTHONPATH="$folder/package${PYTHONPATH:+:$PYTHONPATH}" FASTPOLYSEM_ISA=$level PYTHONMALLOC=malloc
[ $# -gt 0 ] || set -- tests/test_{training,training_terms,same_bits,properties,objective,inputs,encoding,random,bad_config,bad_input,interrupt}.py \
  tests/network/test_{pass,engine,public,dataset}.py
LD_PRELOAD=${preload// /:} exec "$python" -m pytest -q -p no:cacheprovider --capture=sys "$@"
