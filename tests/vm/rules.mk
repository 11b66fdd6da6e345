# SPDX-License-Identifier: GPL-2.0-only
#
# Included by GNUmakefile: the live tests on other kernels. VM=BOOT... for some (see check.py).
.PHONY: check-vm vm-build
check-vm: deps deps-check
	$(Q).ci/deps.sh vm
	$(call rerun,WERROR=1 tests-build)
	$(Q)PA_BUILD=$(abspath $(B)) PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/vm/check.py $(VM)

# What a guest of another architecture needs: CROSS_COMPILE, SYSROOT (see sysroot.py)
vm-build: all $(TEST_TOOLS) $(WORKLOADS)
