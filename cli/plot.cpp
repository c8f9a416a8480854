// zo plot: a picture of a log, drawn by gnuplot.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "report.hpp"
#include "run.hpp"

namespace cli {

namespace {

// Text between the quotes of gnuplot, which reads no escapes there.
std::string quoted(const std::string& text) {
  std::string made = "'";
  for (const char c : text) made += c == '\'' ? std::string("''") : std::string(1, c);
  return made + "'";
}

// A share of the range of a parameter, along its scale.
double share_of(const zo::parameter& one, double value) {
  const bool log = one.scale == zo::scale::log;
  const double at = log ? std::log(value) : value;
  const double low = log ? std::log(one.lower) : one.lower,
               high = log ? std::log(one.upper) : one.upper;
  return high > low && std::isfinite(high - low) ? (at - low) / (high - low) : at;
}

std::string script(const zo::space& space, const zo::journal_contents& log,
                   const std::string& log_name, const std::string& picture, bool svg) {
  std::string answers, best, failures, parameters, busy;
  double lowest = std::nan("");
  double first = 0, last = 0, work = 0;
  std::vector<std::pair<double, int>>
      changes;  // of the number of questions that are being answered
  std::size_t free = 0;
  for (const zo::parameter& one : space.parameters()) free += one.upper > one.lower ? 1U : 0U;
  for (std::size_t k = 0; k < log.entries.size(); ++k) {
    const zo::journal_entry& one = log.entries[k];
    const std::string at = std::to_string(k + 1);
    if (std::isfinite(one.answer)) {
      answers += at + " " + text_of(one.answer) + "\n";
      if (!(one.answer >= lowest)) {
        lowest = one.answer;
        parameters += at;
        for (std::size_t i = 0; i < one.values.size(); ++i) {
          const zo::parameter& of = space.parameters()[i];
          if (of.upper > of.lower) parameters += " " + text_of(share_of(of, one.values[i]));
        }
        parameters += "\n";
      }
      best += at + " " + text_of(lowest) + "\n";
    } else {
      failures += at + "\n";
    }
    if (std::isfinite(one.seconds)) {
      const double begin = one.at - one.seconds;
      first = changes.empty() ? begin : std::min(first, begin);
      last = std::max(last, one.at);
      work += one.seconds;
      changes.emplace_back(begin, 1);
      changes.emplace_back(one.at, -1);
    }
  }
  // Lines go on to the last question.
  if (!parameters.empty()) {
    const std::size_t line = parameters.rfind('\n', parameters.size() - 2);
    const std::string end = parameters.substr(line == std::string::npos ? 0 : line + 1);
    parameters += std::to_string(log.entries.size()) + end.substr(end.find(' '));
  }
  std::ranges::sort(changes);
  int open = 0;
  for (const auto& [when, by] : changes) {
    open += by;
    busy += text_of(when - first) + " " + std::to_string(open) + "\n";
  }

  std::string s, outside = "-1";
  for (std::size_t i = 0; i < std::max<std::size_t>(1, free); ++i) outside += " 0";
  outside += "\n";
  const std::string from_zero = "set yrange [0:*]\n", empty = "set yrange [0:1]\n";
  const auto block = [&](const std::string& name, const std::string& rows) {
    // Where there is nothing, a point that no axis shows.
    s += "$" + name + " << EOD\n" + (rows.empty() ? outside : rows) + "EOD\n";
  };
  block("answers", answers);
  block("best", best);
  block("failures", failures);
  block("parameters", parameters);
  block("busy", busy);
  s += svg ? "set terminal svg size 1000,760 background 'white' font 'sans,13'\n"
           : "set terminal pngcairo size 1000,760 background 'white' font 'sans,11'\n";
  s += "set output " + quoted(picture) + "\n";
  s += "set multiplot layout 2,2 title " +
       quoted(log_name + ": " + std::to_string(log.entries.size()) + " answers" +
              (std::isnan(lowest) ? "" : ", best " + zo::detail::number_text(lowest))) +
       " noenhanced\n";
  s += "set grid lc rgb '#e0e0e0'\nset tics nomirror\nset border 3\nset key noenhanced\n";
  s += "set style line 1 lc rgb '#9ab8d8' pt 7 ps 0.4\nset style line 2 lc rgb '#1f4e8c' lw 2\nset "
       "style line 3 lc rgb '#c0392b' pt 2 ps 0.9\n";
  s += "set xlabel 'question'\nset xrange [0:" +
       std::to_string(std::max<std::size_t>(1, log.entries.size())) + "]\n";
  const bool positive = !std::isnan(lowest) && lowest > 0;
  s += "set title 'answers and the best so far'\n" + (answers.empty() ? empty : std::string());
  s += positive ? "set logscale y\nset format y '%g'\n" : "";
  s += "plot $answers using 1:2 ls 1 title 'answers', $best using 1:2 with steps ls 2 title "
       "'best'\n";
  s += "unset logscale y\nset yrange [*:*]\n" + (answers.empty() ? empty : std::string());
  s += "set title 'parameters of the best, as shares of their ranges'\nset key outside right\n";
  std::string lines;
  std::size_t column = 2;
  for (const zo::parameter& one : space.parameters()) {
    if (!(one.upper > one.lower)) continue;
    lines += (lines.empty() ? "" : ", ") + std::string("$parameters using 1:") +
             std::to_string(column) + " with steps lw 2 title " + quoted(one.name);
    ++column;
  }
  s += "plot " + lines + "\nset key inside\n";
  s += "set title 'failures so far'\n" + (failures.empty() ? empty : from_zero);
  s += "plot $failures using 1:($0+1) with steps ls 3 lw 2 notitle, $failures using 1:($0+1) ls 3 "
       "notitle\n";
  s +=
      "set title " +
      quoted("questions being answered" +
             (last > first ? ", " + zo::detail::fixed_text(work / (last - first), 1) + " on average"
                           : std::string())) +
      "\nset xlabel 'seconds'\nset xrange [0:" +
      (busy.empty() ? "1]\n" + empty : "*]\n" + from_zero);
  s += "plot $busy using 1:2 with steps ls 2 notitle\nunset multiplot\n";
  return s;
}

int plot(const std::string& log_name, std::string picture) {
  const zo::journal_contents log = zo::read_journal(log_name);
  const zo::space space(settings::from_json(json::parse(log.settings)).parameters);
  if (picture.empty()) picture = log_name + ".png";
  const bool svg = picture.ends_with(".svg");
  if (!svg && !picture.ends_with(".png"))
    throw usage_error("a picture ends in .png or .svg, got " + picture);
  const std::string text = script(space, log, log_name, picture, svg);
  std::FILE* const to = ::popen("gnuplot", "w");
  const bool written = to != nullptr && std::fwrite(text.data(), 1, text.size(), to) == text.size();
  const int end = to == nullptr ? -1 : ::pclose(to);
  if (!written || end != 0) {
    throw std::runtime_error(
        "gnuplot, which draws the picture, did not: install it (Debian: gnuplot-nox), or see above "
        "what it says");
  }
  std::printf("%s\n", picture.c_str());
  return 0;
}

}  // namespace

void add_plot(CLI::App& program, command_run& to) {
  CLI::App* const app =
      program.add_subcommand("plot", "Draw a log: best value, parameters, failures, workers");
  struct given_options {
    std::string log, picture;
  };
  const auto given = std::make_shared<given_options>();
  app->add_option("log", given->log, "The log")->required();
  app->add_option("-o,--output", given->picture, "A .png or .svg (default: LOG.png)");
  app->callback([given, &to] { to = [given] { return plot(given->log, given->picture); }; });
}

}  // namespace cli
