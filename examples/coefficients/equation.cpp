#include "equation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <stdexcept>
#include <zo/zo.hpp>

#include "common/dataset.hpp"
#include "common/safetensors.hpp"
#include "common/text.hpp"

namespace coefficients {

namespace {

[[noreturn]] void report_missing(const equation& what, const std::filesystem::path& data) {
  const std::string where =
      data.empty() ? "" : " in " + app::in_quotes(data.string()) + ", " + app::contents_of(data);
  throw std::runtime_error(
      "The reference solution is missing: there is no " + what.file + where +
      ". Take the .mat files of github.com/maziarraissi/PINNs and github.com/lululxvi/deepxde, "
      "store them as docs/coefficients.md says, and name the folder with --data or in "
      "ZO_DATA_DIR.");
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw std::runtime_error("Cannot use " + app::in_quotes(path.string()) +
                           " as a reference solution: " + why +
                           "; replace it with an undamaged copy.");
}

bool is_increasing(const std::vector<double>& values) {
  return std::ranges::adjacent_find(values, std::ranges::greater_equal()) == values.end();
}

bool all_finite(const std::vector<double>& values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

void check(const reference& read, const std::filesystem::path& path) {
  const auto& [x, t] = read.at;
  if (x.size() < 2 || t.size() < 2) refuse(path, "it needs at least 2 points of x and of t");
  if (read.u.size() != read.at.size()) refuse(path, "u is not u[time][space]");
  if (!all_finite(x) || !all_finite(t) || !all_finite(read.u)) {
    refuse(path, "it holds numbers that are not finite");
  }
  if (!is_increasing(x) || !is_increasing(t)) refuse(path, "x or t does not grow");
  if (x.front() < -1 || x.back() > 1) refuse(path, "x leaves [-1, 1]");
}

}  // namespace

const std::vector<equation>& equations() {
  static const std::vector<equation> all = {
      {.name = "burgers",
       .title = "Burgers, u_t + lambda u u_x = nu u_xx",
       .coefficients = {"lambda", "nu"},
       .truth = {1, 0.01 / std::numbers::pi},
       .alone = 1,
       .file = "burgers.safetensors",
       .usual = {192, 99},
       .paper = {512, 1024},
       .make = make_burgers},
      {.name = "allen-cahn",
       .title = "Allen-Cahn, u_t = lambda1 u_xx + lambda2 (u - u^3)",
       .coefficients = {"lambda1", "lambda2"},
       .truth = {1e-3, 5},
       .alone = 0,
       .file = "allen_cahn.safetensors",
       .usual = {256, 100},
       .paper = {512, 1024},
       .make = make_allen_cahn},
      {.name = "kdv",
       .title = "KdV, u_t + lambda u u_x + nu u_xxx = 0",
       .coefficients = {"lambda", "nu"},
       .truth = {1, 0.0025},
       .alone = 1,
       .file = "kdv.safetensors",
       .usual = {96, 400},
       .paper = {128, 600},
       .make = make_kdv}};
  return all;
}

const equation& equation_named(const std::string& name) {
  return *std::ranges::find(equations(), name, &equation::name);
}

double reference::standard_deviation() const {
  const auto n = static_cast<double>(u.size());
  const double mean = std::accumulate(u.begin(), u.end(), 0.0) / n;
  double squares = 0;
  for (const double value : u) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / n);
}

reference load_reference(const equation& what, const std::filesystem::path& data) {
  const auto path = app::find_data(data, {}, {"pde"}, {what.file});
  if (!path) report_missing(what, data);
  constexpr std::uint64_t limit = std::uint64_t{64} << 20;
  const app::safetensors file = app::read_safetensors(*path, limit);
  reference read;
  try {
    read.at.x = file.at("x").values<double>();
    read.at.t = file.at("t").values<double>();
    read.u = file.at("u").values<double>();
    file.at("u").require_shape(
        {static_cast<std::int64_t>(read.at.t.size()), static_cast<std::int64_t>(read.at.x.size())});
    what.make(read.at, what.usual);
  } catch (const std::exception& error) {
    refuse(*path, error.what());
  }
  check(read, *path);
  return read;
}

reference with_noise(const reference& clean, double share, std::uint64_t seed) {
  reference noisy = clean;
  if (share == 0) return noisy;
  const std::span<double> later = std::span(noisy.u).subspan(clean.at.x.size());
  std::vector<double> noise(later.size());
  zo::fill_direction(zo::gaussian{}, {seed, 0, 0}, std::span<double>(noise));
  const double size = share * clean.standard_deviation();
  for (std::size_t i = 0; i < later.size(); ++i) later[i] += size * noise[i];
  return noisy;
}

}  // namespace coefficients
