// Stands for a simulator that somebody else wrote: a drug is swallowed, absorbed and excreted.
//   guide_simulator ABSORPTION EXCRETION VOLUME        prints the misfit to the measurements below
//   guide_simulator ABSORPTION EXCRETION VOLUME curve  prints hours, concentrations, measurements
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace {

struct state {
  double gut, blood;  // milligrams
};

struct rates {
  double absorption, excretion;  // per hour
};

state slope(const state& at, const rates& by) {
  return {-by.absorption * at.gut, by.absorption * at.gut - by.excretion * at.blood};
}

state moved(const state& at, const state& along, double hours) {
  return {at.gut + hours * along.gut, at.blood + hours * along.blood};
}

// One step of the classical Runge-Kutta method.
state after(const state& at, const rates& by, double hours) {
  const state k1 = slope(at, by);
  const state k2 = slope(moved(at, k1, hours / 2), by);
  const state k3 = slope(moved(at, k2, hours / 2), by);
  const state k4 = slope(moved(at, k3, hours), by);
  return {at.gut + hours / 6 * (k1.gut + 2 * k2.gut + 2 * k3.gut + k4.gut),
          at.blood + hours / 6 * (k1.blood + 2 * k2.blood + 2 * k3.blood + k4.blood)};
}

struct measurement {
  double hour, milligrams_per_litre;
};

constexpr std::array<measurement, 10> measurements{{{0.5, 2.11},
                                                    {1, 3.13},
                                                    {1.5, 3.2},
                                                    {2, 3.35},
                                                    {3, 2.79},
                                                    {4, 2.25},
                                                    {6, 1.48},
                                                    {8, 0.86},
                                                    {10, 0.52},
                                                    {12, 0.32}}};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: guide_simulator ABSORPTION EXCRETION VOLUME [curve]\n");
    return 2;
  }
  const rates by{std::atof(argv[1]), std::atof(argv[2])};
  const double volume = std::atof(argv[3]);
  if (!(by.absorption > 0 && by.absorption < 50 && by.excretion > 0 && by.excretion < 50 &&
        volume > 0)) {
    std::fprintf(stderr, "guide_simulator: rates must be in (0, 50) and the volume above 0\n");
    return 1;
  }
  constexpr double hours = 0.05;
  const bool curve = argc > 4;
  state now{100, 0};
  double misfit = 0;
  std::size_t next = 0;
  for (int step = 0; next < measurements.size(); ++step) {
    const double concentration = now.blood / volume;
    if (curve) std::printf("%g %g", step * hours, concentration);
    if (step * hours > measurements[next].hour - hours / 2) {
      const double measured = measurements[next].milligrams_per_litre;
      if (curve) std::printf(" %g", measured);
      misfit += (concentration - measured) * (concentration - measured);
      ++next;
    }
    if (curve) std::printf("\n");
    now = after(now, by, hours);
  }
  if (!curve) std::printf("%.10g\n", misfit);
}
