#include "common/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "common/text.hpp"

namespace app {
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

/// The line in parts, the most useful first.
std::vector<std::string> facts(const progress_state& state) {
  // Rounded down: 100 % appears only when everything is done.
  const auto percent = static_cast<int>(std::floor(100 * share_done(state)));
  std::vector<std::string> parts = {(percent < 10    ? "  "
                                     : percent < 100 ? " "
                                                     : "") +
                                        std::to_string(percent) + " %",
                                    std::to_string(state.done) + "/" + std::to_string(state.total)};
  const auto own_steps = static_cast<double>(state.done - state.first);
  const auto own_queries = static_cast<double>(state.queries - state.first_queries);
  if (state.queries > 0) {
    parts.push_back(format_count(static_cast<double>(state.queries)) + " queries");
    if (state.seconds > 0) parts.push_back(format_count(own_queries / state.seconds) + "/s");
  }
  if (state.loss) parts.push_back("loss " + fixed(*state.loss, 4));
  if (state.done >= state.total) {
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

std::string progress_bar_line(const progress_state& state, int width) {
  constexpr int widest_bar = 30;
  constexpr int narrowest_bar = 5;
  constexpr int frame = 4;  // a blank, two brackets, a blank
  std::vector<std::string> parts = facts(state);
  while (true) {
    const std::string text = joined(parts);
    const int room =
        width - frame - static_cast<int>(display_width(state.label) + display_width(text));
    if (room >= narrowest_bar) {
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

void progress::update(std::int64_t done, std::int64_t queries, std::optional<double> loss) {
  state_.done = done;
  state_.queries = queries;
  state_.loss = loss;
  current_ = false;
  const double now = options_.clock();
  const auto since_print = static_cast<double>(done - last_done_);
  const bool due = *options_.terminal ? !printed_ || now - last_print_ >= options_.redraw_seconds
                                      : now - last_print_ >= options_.line_seconds ||
                                            since_print >= options_.line_fraction *
                                                               static_cast<double>(state_.total);
  if (due) print();
}

void progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!current_ && state_.done > state_.first) print();
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

}  // namespace app
