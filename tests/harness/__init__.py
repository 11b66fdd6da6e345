# SPDX-License-Identifier: GPL-2.0-only
"""What the tests share: running programs, skips with reasons, readers of other tools' output."""
