// What README.md takes for granted: f, x and how of its program, and what a reader has.
#include <cmath>
#include <vector>
#include <zo/zo.hpp>

inline auto f = [](std::span<const double> x) { return x[0] * x[1]; };
inline std::vector<double> x{-1.2, 1.0};
inline zo::rge how({.directions = 4, .smoothing = 1e-5}, zo::gaussian{}, zo::central{});

double my_simulator(std::span<const double> x, std::uint64_t seed);
inline auto my_measurement = [](std::span<const double> x) { return x[0]; };

using vectors = std::vector<std::span<double>>;
std::uint64_t my_load(std::span<double> x, const vectors& state);
void my_save(std::span<const double> x, const vectors& state, std::uint64_t steps);
inline bool my_interrupt = false;

inline constexpr zo::index_t B = 2, d = 3;
inline std::vector<float> my_latents(B* d);
inline std::vector<int> my_labels(B);
double my_loss(std::span<const float> row, int label);
struct network {
  void backward(const std::vector<float>& gradients);
};
inline network my_network;

struct my_motor {
  double gain, delay;
};
double my_error(const my_motor& motor);
