// The three equations, and reference data of their solutions.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "solver.hpp"

namespace coefficients {

struct equation {
  std::string name;   ///< on command lines and in tables
  std::string title;  ///< in pictures
  std::array<std::string, 2> coefficients;
  std::array<double, 2> truth;  ///< those of the data
  int alone;                    ///< the one that is unknown under --one: of the highest derivative
  std::string file;             ///< of the data
  resolution usual, paper;
  std::unique_ptr<solver> (*make)(const field_points& at, const resolution& how);
};

const std::vector<equation>& equations();
const equation& equation_named(const std::string& name);

/// A solution at points of space and time.
struct reference {
  field_points at;
  std::vector<double> u;

  double standard_deviation() const;
};

/// Reads `what.file` from the folder `data`, or from ZO_DATA_DIR where that is empty, or from the
/// folder "pde" in them. Throws std::runtime_error that says what is missing and where to get it,
/// or what is wrong with the file.
reference load_reference(const equation& what, const std::filesystem::path& data);

/// The data with independent Gaussian noise of `share` of their standard deviation; the initial
/// values, which the solvers know, are left as they are.
reference with_noise(const reference& clean, double share, std::uint64_t seed);

}  // namespace coefficients
