#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deps.sh build|check|fuzz|vm|libperf DIR: install what building (or testing) needs, only what is
# missing, through apt-get; and build the static libperf from the distribution's kernel source
# into DIR. A run with everything in place needs no network and takes a fraction of a second.
# On other distributions the packages are named and nothing is installed.
set -euo pipefail

# One package a line: NAME [OR-COMMAND]  # what for. A line with a command is satisfied by that
# command on PATH, whoever provides it.
build_packages() {
	cat <<-'END'
	gcc gcc                         # the compiler
	clang clang                     # BPF programs (-target bpf)
	llvm llvm-strip                 # objects of BPF programs
	make make
	pkg-config pkg-config
	bpftool bpftool                 # BPF objects to skeletons
	libc6-dev
	linux-libc-dev                  # UAPI headers
	linux-source                    # libperf and libapi are built from it
	xz-utils xz                     # unpacks it
	bzip2 bzip2                     # ... and Ubuntu's
	libbpf-dev
	libelf-dev                      # ELF reading
	libdw-dev                       # dwarf.h, and libdwfl for a tool of the tests
	libtraceevent-dev               # tracepoint formats
	zlib1g-dev
	libzstd-dev                     # compressed perf.data
	liblzma-dev                     # .gnu_debugdata
	libdeflate-dev                  # gzip of profiles
	libcap-dev
	libiberty-dev                   # the demangler
	uthash-dev                      # hash tables
	libprotobuf-c-dev
	protobuf-c-compiler protoc-c    # profile.proto
	END
}

check_packages() {
	cat <<-'END'
	g++ g++                         # C++ workloads
	binutils readelf                # objcopy, readelf: expected symbols and build-ids
	util-linux setpriv              # capabilities and users in tests
	libcap2-bin setcap
	procps ps
	python3-pytest                  # the test runner
	python3-pytest-xdist            # unit and golden tests side by side
	linux-perf perf                 # foreign reader of perf.data
	hotspot hotspot                 # foreign reader of perf.data
	autofdo create_llvm_prof        # foreign reader of perf.data
	clang-14 clang-14               # profiles are derived for what it compiles, and given to it
	lld-14 ld.lld-14                # programs whose file offsets are not their addresses
	llvm-14 llvm-profdata-14        # reads sample profiles; llvm-profgen derives them
	llvm-16 llvm-profdata-16        # the same, later
	bolt-16 perf2bolt-16            # reads profiles for BOLT
	golang-go go                    # go tool pprof, foreign reader of profiles
	dwz dwz                         # DWARF shared among files
	gdb gdb                         # reference stacks
	valgrind valgrind
	libdebuginfod1                  # asked from tests' own servers
	strace strace                   # counts system calls, makes some fail
	clang-format clang-format       # make check-format
	man-db man                      # man pages are checked for warnings
	groff groff
	libxml2-utils xmllint           # the flame graph is well-formed
	chromium chromium               # the flame graph in a browser
	qemu-system-x86 qemu-system-x86_64 # live tests on an older kernel
	busybox-static                  # its first process
	musl-tools musl-gcc             # programs whose stacks end as musl ends them
	sqlite3 sqlite3                 # programs without frame pointers
	openssl openssl
	END
}

# The live tests on other kernels: make check-vm, of which make check does a little
vm_packages() {
	cat <<-'END'
	qemu-system-x86 qemu-system-x86_64
	qemu-system-arm qemu-system-aarch64
	busybox-static                  # the guests' first process
	gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
	g++-aarch64-linux-gnu aarch64-linux-gnu-g++
	END
}

fuzz_packages() {
	cat <<-'END'
	clang-14 clang-14               # -fsanitize=fuzzer
	libclang-rt-14-dev              # its libFuzzer and sanitizers
	END
}

say() { echo "deps: $*" >&2; }

# Names on Ubuntu that differ from Debian's.
distro_name() {
	case "$ID:$1" in
	ubuntu:bpftool) echo "linux-tools-common linux-tools-generic" ;;
	ubuntu:linux-perf) echo "linux-tools-common linux-tools-generic" ;;
	ubuntu:chromium) echo chromium-browser ;;
	*) echo "$1" ;;
	esac
}

missing_packages() {
	local installed line name command

	installed=$(dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' |
		sed -n 's/^installed //p' | sed 's/:.*//')
	"$1"_packages | sed 's/[[:space:]]*#.*//' | while read -r name command; do
		if [ -n "$command" ] && command -v "$command" >/dev/null; then
			continue
		fi
		for line in $(distro_name "$name"); do
			grep -qxF -- "$line" <<<"$installed" || echo "$line"
		done
	done | sort -u
}

# Lists older than a day, or none, or a package that they don't know: fetch new ones.
lists_stale() {
	local name

	[ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit \
		2>/dev/null)" ] && return 0
	for name in "$@"; do
		apt-cache show --no-all-versions "$name" >/dev/null 2>&1 || return 0
	done
	return 1
}

install_packages() {
	local missing sudo=

	missing=$(missing_packages "$1" | tr '\n' ' ')
	[ -z "${missing// /}" ] && return 0
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			say "as root, install: $missing"
			exit 1
		}
		sudo=sudo
		say "sudo is used to install packages"
	fi
	say "installing: $missing"
	# shellcheck disable=SC2086
	if lists_stale $missing; then
		$sudo apt-get update -q || say "apt-get update failed, trying with old lists"
	fi
	# shellcheck disable=SC2086
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 \
		$missing || {
		say "apt-get failed to install: $missing"
		exit 1
	}
}

name_packages() {
	say "this system has no apt-get; nothing was installed. Install:"
	case "$ID $ID_LIKE" in
	*fedora* | *rhel*)
		say "dnf install gcc clang llvm make pkgconf bpftool glibc-devel kernel-headers" \
			"libbpf-devel elfutils-devel libtraceevent-devel zlib-devel libzstd-devel" \
			"xz-devel libdeflate-devel libcap-devel binutils-devel uthash-devel" \
			"protobuf-c-devel protobuf-c-compiler; and libperf (see docs/building.md)" ;;
	*suse*)
		say "zypper install gcc clang llvm make pkg-config bpftool libbpf-devel libelf-devel" \
			"libdw-devel libtraceevent-devel zlib-devel libzstd-devel xz-devel" \
			"libdeflate-devel libcap-devel binutils-devel uthash-devel" \
			"libprotobuf-c-devel; and libperf (see docs/building.md)" ;;
	*arch*)
		say "pacman -S gcc clang llvm make pkgconf bpf libbpf libelf libtraceevent zlib zstd" \
			"xz libdeflate libcap binutils uthash protobuf-c; and libperf" \
			"(see docs/building.md)" ;;
	*)
		build_packages >&2 ;;
	esac
	exit 1
}

kernel_source() {
	find /usr/src/ -maxdepth 2 -name 'linux-source-*.tar.*' | sort -V | tail -1
}

# Only tools/ is unpacked. make's own variables would reach the kernel's makefiles: cleared.
build_libperf() {
	local dir=$1 tarball work cc=${CC:-${CROSS_COMPILE:-}gcc}

	[ -e "$dir/.complete" ] && return 0
	tarball=$(kernel_source)
	[ -n "$tarball" ] || {
		say "no /usr/src/linux-source-*.tar.*: the package linux-source is missing"
		exit 1
	}
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	work=$(mktemp -d "$dir/work.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$work'" EXIT
	say "building libperf from $tarball"
	tar -xf "$tarball" -C "$work" --strip-components=1 --wildcards 'linux-*/tools/lib' \
		'linux-*/tools/include' 'linux-*/tools/build' 'linux-*/tools/scripts' \
		'linux-*/tools/arch/*/include'
	mkdir "$work/out"
	env -u MAKEFLAGS -u MAKEOVERRIDES -u MFLAGS -u MAKELEVEL -u O -u V -u DEBUG -u WERROR \
		-u CFLAGS -u LDFLAGS \
		make -s -C "$work/tools/lib/perf" CC="$cc" AR="${CROSS_COMPILE:-}ar" \
		LD="${CROSS_COMPILE:-}ld" EXTRA_CFLAGS="-Wno-error -O2" WERROR=0 \
		${LIBPERF_ARCH:+ARCH=$LIBPERF_ARCH} OUTPUT="$work/out/" \
		"$work/out/libperf.a" "$work/out/libapi.a" >"$dir/build.log" 2>&1 || {
		say "libperf failed to build, see $dir/build.log"
		exit 1
	}
	mkdir -p "$dir/include/perf"
	cp "$work/out/libperf.a" "$work/out/libapi.a" "$dir/"
	cp "$work"/tools/lib/perf/include/perf/*.h "$dir/include/perf/"
	basename "$tarball" >"$dir/.complete"
}

ID= ID_LIKE=
[ -r /etc/os-release ] && . /etc/os-release
PATH=$PATH:/usr/sbin:/sbin
case "${1:-}" in
build | check | fuzz | vm)
	command -v apt-get >/dev/null || name_packages
	install_packages "$1" ;;
libperf)
	build_libperf "${2:?DIR is missing}" ;;
*)
	say "usage: deps.sh build|check|fuzz|vm|libperf DIR"
	exit 2 ;;
esac
