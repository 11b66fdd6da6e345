// SPDX-License-Identifier: GPL-2.0-only
/*
 * cxxnames [--seconds N]: C++ names that need demangling: a template's method in a namespace, an
 * operator, a lambda and an anonymous namespace's function; each a quarter of the time.
 */
#include <functional>
#include <string>
#include <vector>

#include "burn.h"

namespace shapes
{
template <typename T> class Grid
{
      public:
	BURN_FN void fill(const std::vector<T> &values, unsigned cnt)
	{
		burn_units(cnt + (values.empty() ? 1 : 0));
	}
	BURN_FN bool operator<(const Grid &other) const
	{
		burn_units(25);
		return this < &other;
	}
};
} // namespace shapes

namespace
{
BURN_FN void hidden(const std::string &name)
{
	burn_units(name.empty() ? 1 : 25);
}
} // namespace

int main(int argc, char **argv)
{
	uint64_t deadline_ns = burn_deadline_ns(argc, argv);
	std::function<void(unsigned)> lambda = [](unsigned cnt) { burn_units(cnt); };
	shapes::Grid<double> first, second;
	std::vector<double> values(3);
	unsigned less_cnt = 0;

	while (burn_now_ns() < deadline_ns) {
		first.fill(values, 25);
		less_cnt += first < second;
		lambda(25);
		hidden("x");
	}
	return less_cnt == ~0U;
}
