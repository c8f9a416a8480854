// Command lines read with CLI11, but for numbers: CLI11 reads 010 as 8, wraps what does not fit,
// and prints the largest number of a type in full.
#pragma once

#include <CLI/CLI.hpp>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/number.hpp"
#include "common/processes.hpp"
#include "common/text.hpp"

namespace app {

/// Whole numbers that an option takes.
template <class T>
struct whole_range {
  T least, most;

  std::string text() const {
    return "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  }
  /// Throws CLI::ValidationError with a sentence about `option`.
  T read(const std::string& option, const std::string& text) const {
    const auto value = whole_number<T>(text);
    if (!value || *value < least || *value > most) {
      throw CLI::ValidationError(option, "must be " + this->text() + ", got " + text);
    }
    return *value;
  }
};

/// Real numbers that an option takes. All of them reach arithmetic in float.
struct real_range {
  std::string what;  ///< "a number above 0"
  std::function<bool(double)> holds;

  /// Throws CLI::ValidationError with a sentence about `option`.
  double read(const std::string& option, const std::string& text) const {
    const auto value = real_number(text);
    if (!value || !holds(*value)) {
      throw CLI::ValidationError(option, "must be " + what + ", got " + text);
    }
    const double size = std::abs(*value);
    if (size > FLT_MAX || (size > 0 && size < FLT_MIN)) {
      throw CLI::ValidationError(
          option,
          "must be " + what + " of a size that float holds, 1.2e-38 to 3.4e38, got " + text);
    }
    return *value;
  }
};

inline constexpr std::int64_t most_steps =
    1'000'000'000;  ///< of anything that is counted one by one
inline const whole_range<std::int64_t> at_least_one{1, most_steps};
inline const whole_range<std::int64_t> some_directions{1, (std::int64_t{1} << 32) - 1};
inline const whole_range<std::uint64_t> any_seed{0, UINT64_MAX};
inline const whole_range<int> some_threads{1, 4096};
inline const real_range positive{"a number above 0", [](double value) { return value > 0; }};
inline real_range between(double least, double most) {
  return {"a number from " + shortest(least) + " to " + shortest(most),
          [=](double value) { return value >= least && value <= most; }};
}
inline const real_range below_one{"a number from 0 to below 1",
                                  [](double value) { return value >= 0 && value < 1; }};

namespace detail {

inline std::string first_name(const std::string& names) { return names.substr(0, names.find(',')); }

template <class Read>
CLI::Option* add(CLI::App& app, const std::string& names, const std::string& help, const char* type,
                 Read read) {
  return app
      .add_option(
          names,
          [read](const CLI::results_t& given) {
            read(given.back());
            return true;
          },
          help)
      ->type_name(type);
}

}  // namespace detail

/// An option that sets `to`, whose value at this moment is the default that --help shows.
template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& names, T& to, const whole_range<T>& range,
                        const std::string& help) {
  const std::string name = detail::first_name(names);
  return detail::add(app, names, help, "INT",
                     [&to, range, name](const std::string& text) { to = range.read(name, text); })
      ->default_str(std::to_string(to));
}

template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& names, std::optional<T>& to,
                        const whole_range<T>& range, const std::string& help) {
  const std::string name = detail::first_name(names);
  CLI::Option* const option =
      detail::add(app, names, help, "INT",
                  [&to, range, name](const std::string& text) { to = range.read(name, text); });
  return to ? option->default_str(std::to_string(*to)) : option;
}

inline CLI::Option* add_number(CLI::App& app, const std::string& names, double& to,
                               const real_range& range, const std::string& help) {
  const std::string name = detail::first_name(names);
  return detail::add(app, names, help, "FLOAT",
                     [&to, range, name](const std::string& text) { to = range.read(name, text); })
      ->default_str(shortest(to));
}

/// Several whole numbers, with commas between.
template <class T>
CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<T>& to,
                         const whole_range<T>& range, const std::string& help) {
  return detail::add(app, name, help, "INT,...", [&to, range, name](const std::string& text) {
    to.clear();
    for (const std::string& one : CLI::detail::split(text, ',')) {
      to.push_back(range.read(name, one));
    }
  });
}

/// The folder or file of an option, which an empty text does not name.
inline CLI::Option* add_path(CLI::App& app, const std::string& name, std::filesystem::path& to,
                             const std::string& help) {
  return detail::add(app, name, help, "PATH",
                     [&to, name](const std::string& text) {
                       if (text.empty()) throw CLI::ValidationError(name, "must name a folder");
                       to = text;
                     })
      ->default_str(to.string());
}

/// A command line to which options are added. A later value of an option replaces an earlier one,
/// because scripts set what users override.
inline std::unique_ptr<CLI::App> make_command(const std::string& name, const std::string& purpose) {
  auto command = std::make_unique<CLI::App>(purpose, name);
  command->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command->footer(
      "Exit code: 0 done, 1 the run failed, 2 wrong options, 128 and the number of the signal "
      "that\n"
      "stopped the run. Numbers are written in decimal digits: 010 is ten.");
  return command;
}

/// Reads the arguments into what the options are bound to; false if they ask for help. Throws
/// usage_error with a sentence.
inline bool read_command_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::CallForHelp&) {
    return false;
  } catch (const CLI::ParseError& error) {
    throw usage_error(error.what());
  }
}

/// Throws usage_error unless `holds`.
inline void require_usable(bool holds, const std::string& sentence) {
  if (!holds) throw usage_error(sentence);
}

}  // namespace app
