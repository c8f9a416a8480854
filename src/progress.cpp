#include "zo/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace zo {
namespace {

double steady_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

int terminal_width(std::FILE* out) {
  winsize size{};
  const bool known = ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

double share_done(const progress_state& state) {
  if (state.total <= 0) return 1;
  return std::clamp(static_cast<double>(state.done) / static_cast<double>(state.total), 0.0, 1.0);
}

// Whatever the locale is.
std::string number_text(double value, std::chars_format how, int digits) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 400> buffer{};  // the largest double has 309 digits before the point
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, how, digits).ptr;
  return {buffer.data(), end};
}
std::string fixed(double value, int digits) {
  return number_text(value, std::chars_format::fixed, digits);
}
// Of one width, as far as that tells something.
std::string value_text(double value) {
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 0.01 && size < 1e5);
  return number_text(value, plain ? std::chars_format::fixed : std::chars_format::scientific, 4);
}

// Columns on a terminal, counted as UTF-8 code points.
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // not a UTF-8 continuation byte
  }));
}

std::string percent_text(const progress_state& state) {
  // Rounded down: 100 % appears only when everything is done.
  const auto percent = static_cast<int>(std::floor(100 * share_done(state)));
  const std::string digits = std::to_string(percent);
  return std::string(3 - digits.size(), ' ') + digits + " %";
}

/// The line in parts, the most useful first.
std::vector<std::string> facts(const progress_state& state) {
  std::vector<std::string> parts;
  const std::string unit = state.unit.empty() ? "" : " " + state.unit;
  if (state.total > 0) {
    parts.push_back(percent_text(state));
    parts.push_back(std::to_string(state.done) + "/" + std::to_string(state.total) + unit);
  } else {
    parts.push_back(std::to_string(state.done) + unit);
  }
  const auto own_steps = static_cast<double>(state.done - state.first);
  const auto own_queries = static_cast<double>(state.queries - state.first_queries);
  if (state.queries > 0) {
    if (state.unit != "queries") {
      parts.push_back(format_count(static_cast<double>(state.queries)) + " queries");
    }
    if (state.seconds > 0) parts.push_back(format_count(own_queries / state.seconds) + "/s");
  }
  if (state.value) parts.push_back(state.value_name + " " + value_text(*state.value));
  if (state.failed > 0) {
    parts.push_back(format_count(static_cast<double>(state.failed)) + " failed");
  }
  if (state.over || state.total <= 0 || state.done >= state.total) {
    parts.push_back("in " + format_duration(state.seconds));
  } else if (own_steps > 0) {
    const auto left = static_cast<double>(state.total - state.done);
    parts.push_back(format_duration(state.seconds / own_steps * left) + " left");
  }
  return parts;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : "  ") + part;
  return out;
}

std::string bar(double share, int cells) {
  const auto full = static_cast<std::size_t>(share * cells);
  std::string out(static_cast<std::size_t>(cells), '-');
  std::fill_n(out.begin(), full, '#');
  return std::string("[") + out + "]";
}

}  // namespace

std::string format_count(double count) {
  if (!std::isfinite(count)) return "?";
  if (std::abs(count) < 999.5) {
    return fixed(count, count == std::round(count) || std::abs(count) >= 100 ? 0 : 1);
  }
  constexpr std::array units = {"k", "M", "G", "T", "P", "E"};
  double value = count / 1000;
  std::size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  const int digits = std::abs(value) >= 99.95 ? 0 : std::abs(value) >= 9.995 ? 1 : 2;
  return fixed(value, digits) + ' ' + units[unit];
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e12) return "?";
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  const auto two_digits = [](std::int64_t value) {
    return std::string(value < 10 ? "0" : "") + std::to_string(value);
  };
  if (total < 60) return std::to_string(total) + " s";
  if (total < 3600) return std::to_string(total / 60) + " min " + two_digits(total % 60) + " s";
  return std::to_string(total / 3600) + " h " + two_digits(total % 3600 / 60) + " min";
}

std::string progress_bar_line(const progress_state& state, int width) {
  constexpr int widest_bar = 30;
  constexpr int narrowest_bar = 5;
  constexpr int frame = 4;  // a blank, two brackets, a blank
  std::vector<std::string> parts = facts(state);
  while (true) {
    const std::string text = joined(parts);
    const int room =
        width - frame - static_cast<int>(display_width(state.label) + display_width(text));
    if (state.total <= 0 && room + frame >= 1) return state.label + " " + text;
    if (state.total > 0 && room >= narrowest_bar) {
      return state.label + " " + bar(share_done(state), std::min(room, widest_bar)) + " " + text;
    }
    if (parts.size() == 1) {
      return text.substr(0, static_cast<std::size_t>(std::max(width, 0)));
    }
    parts.pop_back();
  }
}

std::string progress_plain_line(const progress_state& state) {
  return state.label + " " + joined(facts(state));
}

progress::progress(std::string label, std::int64_t total, progress_options options)
    : options_(std::move(options)) {
  if (!options_.clock) options_.clock = steady_seconds;
  if (!options_.terminal) options_.terminal = ::isatty(::fileno(options_.out)) == 1;
  state_.label = std::move(label);
  state_.unit = options_.unit;
  state_.value_name = options_.value_name;
  state_.total = total;
  state_.done = state_.first = last_done_ = options_.first;
  state_.queries = state_.first_queries = options_.first_queries;
  start_ = last_print_ = options_.clock();
}

progress::~progress() {
  try {
    finish();
  } catch (...) {  // out of memory: a progress line is not worth ending the program
  }
}

double progress::seconds() const { return options_.clock() - start_; }

void progress::update(std::int64_t done, std::int64_t queries, std::optional<double> value,
                      std::int64_t failed) {
  state_.done = done;
  state_.queries = queries;
  state_.value = value;
  state_.failed = failed;
  current_ = false;
  const double now = options_.clock();
  const auto since_print = static_cast<double>(done - last_done_);
  const bool due =
      *options_.terminal
          ? !printed_ || now - last_print_ >= options_.redraw_seconds
          : now - last_print_ >= options_.line_seconds ||
                (state_.total > 0 &&
                 since_print >= options_.line_fraction * static_cast<double>(state_.total));
  if (due) print();
}

void progress::finish() {
  if (state_.over) return;
  state_.over = true;
  // On a terminal once more, for the time that it took.
  const bool old = !current_ || (*options_.terminal && printed_);
  if (old && state_.done > state_.first) print();
  if (printed_ && *options_.terminal && !options_.quiet) {
    std::fputc('\n', options_.out);
    std::fflush(options_.out);
  }
}

void progress::print() {
  last_print_ = options_.clock();
  last_done_ = state_.done;
  printed_ = current_ = true;
  if (options_.quiet) return;
  state_.seconds = last_print_ - start_;
  // "\r" then "erase to the end of the line"; one column is kept free so that no terminal wraps.
  const std::string line = *options_.terminal
                               ? std::string("\r") +
                                     progress_bar_line(state_, terminal_width(options_.out) - 1) +
                                     "\x1b[K"
                               : progress_plain_line(state_) + "\n";
  std::fwrite(line.data(), 1, line.size(), options_.out);
  std::fflush(options_.out);
}

}  // namespace zo
