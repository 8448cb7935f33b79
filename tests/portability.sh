#!/usr/bin/env bash
# Builds the core with other compilers and for other processors, and compares the bits of known_runs.py on all kernels:
#
#     tests/portability.sh gcc | clang        a build for this machine; each of its instruction sets is run
#     tests/portability.sh arm64              cross-compiled, and run on this machine by emulation
#
# PYTHON (default: python3) is an interpreter with numpy, scipy and pybind11; cmake and ninja must be there. GCC and CLANG (default: g++, clang++) are the
# compilers; LEVEL is the only instruction set to build, all of this machine's if it is empty. For arm64 there must be besides
#
#     ARM64_CXX       a cross-compiler (default: aarch64-linux-gnu-g++)
#     ARM64_QEMU      QEMU's emulation of a user's program (default: qemu-aarch64-static)
#     ARM64_ROOT      a folder with the files of an arm64 system: its Python of ARM64_PYTHON (default: 3.11), with
#                     headers, the C and C++ runtimes and libgomp. On Debian:
#                         dpkg --add-architecture arm64 && apt-get update
#                         apt-get download {python3.11-minimal,libpython3.11-{minimal,stdlib,dev}}:arm64 \
#                             {libc6,libgcc-s1,libstdc++6,libgomp1,zlib1g,libexpat1,libffi8,libssl3}:arm64
#                         for file in *.deb; do dpkg -x "$file" "$ARM64_ROOT"; done
#     ARM64_PACKAGES  a folder with numpy and scipy for it:
#                         pip install --target "$ARM64_PACKAGES" --only-binary=:all: --no-deps \
#                             --platform manylinux_2_17_aarch64 --python-version 3.11 numpy==2.1.3 scipy==1.15.3
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
kind=${1:-}
folder=$PWD/build/portability-$kind
package=$folder/package

build() { # arguments go to CMake; the package is made of this build and the sources of Python
  cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$package" \
    -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(command -v "$python")" \
    -DFASTPOLYSEM_LEVELS="${LEVEL:-}" -DSKBUILD_PROJECT_NAME=fastpolysem -DSKBUILD_PROJECT_VERSION=0.1.0 -DSKBUILD_PROJECT_VERSION_FULL=0.1.0 "$@"
  cmake --build "$folder/build"
  rm -rf "$package"
  mkdir -p "$package"
  cp -R python/fastpolysem "$package/"
  find "$package" -name '*.so' -delete # of the sources' own build
  cmake --install "$folder/build"
}

here() { # run with each instruction set of this machine
  local level
  export PYTHONPATH=$package
  # Without the package itself, which would load the best one.
  for level in $(cd "$package/fastpolysem" && "$python" -c 'import _isa; print(*_isa.supported())'); do
    [ -z "${LEVEL:-}" ] || [ "$LEVEL" = "$level" ] || continue
    FASTPOLYSEM_ISA=$level "$python" tests/known_runs.py
  done
}

case "$kind" in
  gcc)
    build -DCMAKE_CXX_COMPILER="${GCC:-g++}"
    here
    ;;
  clang)
    build -DCMAKE_CXX_COMPILER="${CLANG:-clang++}" -DFASTPOLYSEM_OPENMP="${CLANG_OPENMP:-OFF}" # libomp is a package of its own
    here
    ;;
  arm64)
    root=${ARM64_ROOT:?the folder of an arm64 system, see the top of this file}
    packages=${ARM64_PACKAGES:?a folder with numpy for arm64, see the top of this file}
    version=${ARM64_PYTHON:-3.11}
    suffix=cpython-${version/./}-aarch64-linux-gnu
    # Python's headers include those of the architecture's folder, which stands beside theirs.
    build -DCMAKE_CXX_COMPILER="${ARM64_CXX:-aarch64-linux-gnu-g++}" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
      -DCMAKE_CXX_FLAGS="-idirafter $root/usr/include" -DPython_INCLUDE_DIR="$root/usr/include/python$version" \
      -DPYTHON_MODULE_EXTENSION=".$suffix.so" -DPYTHON_MODULE_DEBUG_POSTFIX= -DPython_SOABI="$suffix"
    PYTHONHOME=$root/usr PYTHONPATH=$package:$packages OMP_NUM_THREADS=2 \
      "${ARM64_QEMU:-qemu-aarch64-static}" -L "$root" "$root/usr/bin/python$version" tests/known_runs.py
    ;;
  *)
    echo "usage: tests/portability.sh gcc|clang|arm64" >&2
    exit 2
    ;;
esac
