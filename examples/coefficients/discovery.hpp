// One search for the coefficients of one equation by one method.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "equation.hpp"
#include "settings.hpp"

namespace coefficients {

/// Where a search is. The loss is the mean square of the difference to the data.
struct curve_point {
  std::int64_t step = 0;
  std::int64_t calls = 0;  ///< of the solver, up to this loss
  double loss = 0;
  std::array<double, 2> found{};
};

struct discovery {
  std::string equation, method;
  std::uint64_t seed = 0;
  std::int64_t all_calls = 0;  ///< of the solver, those after the last point of the curve included
  std::int64_t failed = 0;     ///< those among them that gave no solution
  double seconds = 0;
  std::string stopped{};  ///< why it ended early; empty: it did not
  std::vector<curve_point> curve{};

  const curve_point& last() const { return curve.back(); }
};

/// The black box of a search: logarithms of the unknown coefficients in, the field out. Logarithms,
/// because coefficients are positive and of any size: a step means the same for each.
class black_box {
 public:
  black_box(const equation& what, const solver& inside, bool one)
      : what_(what), solver_(inside), one_(one) {}

  void operator()(std::span<const double> logarithms, std::span<double> field) const;
  std::array<double, 2> coefficients(std::span<const double> logarithms) const;
  /// Logarithms that follow from a seed, each evenly within +- log(factor) of the true one's.
  std::vector<double> start(double factor, std::uint64_t seed) const;

 private:
  const equation& what_;
  const solver& solver_;
  bool one_;
};

/// The mean square of field - data; its derivative by the field goes to `slope`.
double loss(std::span<const double> field, std::span<const double> data, std::span<double> slope);

/// A grid of directions, `per_dimension` in [-5, 5] along each axis, and the softmax of -|v|^2 / 2
/// over them: (FG)2U's.
struct direction_grid {
  std::vector<double> directions;  ///< one after another
  std::vector<double> weights;
};
direction_grid make_grid(int dimensions, int per_dimension);

/// Solver calls that one step of an Adam method makes.
std::int64_t calls_of_a_step(const std::string& method, const settings& s);

/// Searches from the start of `seed`, for data with the noise of that seed. Methods but
/// least-squares take steps of Adam, save `checkpoint` now and then, go on from it with s.resume,
/// and end with the same bits as when they were never stopped; least-squares saves its end alone.
/// on_step gets the steps done and the calls. Throws app::interrupted after Ctrl-C.
discovery discover(const equation& what, const reference& data, const std::string& method,
                   std::uint64_t seed, const settings& s, const std::filesystem::path& checkpoint,
                   const std::function<void(const curve_point&)>& on_step);

}  // namespace coefficients
