// zo_mpi_scaling: how far steps that many processes share would scale, simulated from measurements
// of one machine (zo_mpi_costs); simulation.hpp says how. Needs no MPI.
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/chart.hpp"
#include "common/number.hpp"
#include "common/output.hpp"
#include "common/table.hpp"
#include "common/text.hpp"
#include "mpi/simulation.hpp"

namespace {

constexpr const char* usage =
    "Usage: zo_mpi_scaling MEASURED [--network NAME,MICROSECONDS,GBITS[,tcp]]... [--picture FILE]\n"
    "  MEASURED        what zo_mpi_costs wrote: benchmarks/mpi/measured.txt\n"
    "  --network NAME,MICROSECONDS,GBITS[,tcp]\n"
    "                  a network of this latency and speed for each process; a message takes the\n"
    "                  processor as measured in shared memory, or by TCP. Without one:\n"
    "                  Ethernet,48,25,tcp: the line rate of 25GBASE, and half of the 92 to 100 us\n"
    "                    that a round trip took between virtual machines on "
    "blogs.scalablelogic.com\n"
    "                    (2014)\n"
    "                  InfiniBand,0.6,200: the manual of NVIDIA's ConnectX-6 adapter\n"
    "  --picture FILE  efficiency as a picture (.png or .svg), and its numbers as .csv beside it\n"
    "Exit code: 0, 2 wrong options, 3 a file cannot be read or written.\n";

struct wrong_options : std::runtime_error {
  using runtime_error::runtime_error;
};

struct settings {
  std::string measured, picture;
  std::vector<bench::network> networks;
};

double number_of(std::string_view text, const std::string& option) {
  const auto number = app::real_number(text);
  if (!number || *number <= 0)
    throw wrong_options(option + ": '" + std::string(text) + "' is no number above 0");
  return *number;
}

bench::network network_of(const std::string& text) {
  const std::string option = "--network " + text;
  std::vector<std::string> parts;
  std::istringstream all(text);
  for (std::string part; std::getline(all, part, ',');) parts.push_back(part);
  const bool tcp = parts.size() == 4 && parts.back() == "tcp";
  if (parts.size() != (tcp ? 4 : 3) || parts.front().empty())
    throw wrong_options(option + ": wanted are NAME,MICROSECONDS,GBITS or these and ,tcp");
  return {parts[0], 1e-6 * number_of(parts[1], option), 1e9 / 8 * number_of(parts[2], option), tcp};
}

settings parse(const std::vector<std::string>& arguments) {
  settings s;
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    const std::string& name = arguments[k];
    if (name == "--network" || name == "--picture") {
      if (++k == arguments.size()) throw wrong_options(name + " needs a value after it");
      if (name == "--network") {
        s.networks.push_back(network_of(arguments[k]));
      } else {
        s.picture = arguments[k];
      }
    } else if (name.starts_with("-") || !s.measured.empty()) {
      throw wrong_options("unknown option " + name);
    } else {
      s.measured = name;
    }
  }
  if (s.measured.empty()) throw wrong_options("the file of measurements is missing");
  if (s.networks.empty())
    s.networks = {network_of("Ethernet,48,25,tcp"), network_of("InfiniBand,0.6,200")};
  return s;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string milliseconds(double seconds) { return short_number(1e3 * seconds); }

// What takes most of the time beside the queries.
std::string dominating(const bench::step_parts& parts) {
  if (parts.imbalance >= parts.messages && parts.imbalance >= parts.repeated)
    return "uneven shares";
  return parts.messages >= parts.repeated ? "messages" : "repeated work";
}

std::string most(const bench::simulation& how) {
  const int ranks = how.half_efficient();
  return ranks >= 1'000'000 ? "> 1 M" : short_number(ranks);
}

bench::shared_step with_ten_times_the_queries(bench::shared_step step) {
  for (bench::queries_of_a_kind& one : step.queries) one.count *= 10;
  step.directions *= 10;
  return step;
}

bench::shared_step with_measured_costs(bench::shared_step step) {
  for (bench::queries_of_a_kind& one : step.queries) one.cost = one.seconds;
  return step;
}

bench::shared_step with_sliced_sums(bench::shared_step step) {
  step.sliced = true;
  return step;
}

const std::vector<int> tried = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10'000};

app::table table_of(const bench::simulation& how) {
  app::table table({"processes", "speed-up", "efficiency", "queries ms", "uneven ms", "messages ms",
                    "repeated ms"});
  for (const int ranks : tried) {
    const bench::step_parts parts = how.parts(ranks);
    table.add({std::to_string(ranks), short_number(how.speed_up(ranks)),
               short_number(100 * how.efficiency(ranks)) + " %", milliseconds(parts.queries),
               milliseconds(parts.imbalance), milliseconds(parts.messages),
               milliseconds(parts.repeated)});
  }
  return table;
}

app::chart_series line_of(const std::string& name, const bench::simulation& how, bool dashed) {
  app::chart_series line{.name = name, .x = {}, .y = {}, .error = {}, .dashed = dashed};
  for (const int ranks : tried) {
    line.x.push_back(ranks);
    line.y.push_back(100 * how.efficiency(ranks));
  }
  return line;
}

int run(const settings& s) {
  const auto measured = bench::measurements::read(s.measured);
  app::chart chart{.title = "Efficiency of shared steps, simulated: " + s.networks.front().name,
                   .x_label = "processes of one thread",
                   .y_label = "speed-up for each process, %",
                   .log_x = true,
                   .y_min = 0,
                   .y_max = 105,
                   .series = {}};
  app::table half({"half efficient up to", "network", "processes", "then most is lost by",
                   "rounds in log2 R", "10 x queries", "sliced sums", "measured costs"});
  for (const char* name : {"rge", "large_rge", "deepzero"}) {
    const bench::shared_step step = bench::step_of(name, measured);
    for (const bench::network& net : s.networks) {
      const auto under = [&](bench::rounds how, const bench::shared_step& of) {
        return bench::simulation(measured, net, how, of);
      };
      const bench::simulation as_is = under(bench::rounds::direct, step);
      const bench::simulation more = under(bench::rounds::direct, with_ten_times_the_queries(step));
      const bench::simulation sliced = under(bench::rounds::direct, with_sliced_sums(step));
      const bool sums = step.directions > 0;
      std::printf("%s, %ld queries a step, %s\n%s\n", step.name.c_str(),
                  static_cast<long>(step.count()), net.name.c_str(),
                  table_of(as_is).text().c_str());
      half.add({step.name, net.name, most(as_is), dominating(as_is.parts(as_is.half_efficient())),
                most(under(bench::rounds::doubling, step)), most(more), sums ? most(sliced) : "-",
                step.dealt ? most(under(bench::rounds::direct, with_measured_costs(step))) : "-"});
      if (&net != &s.networks.front()) continue;
      chart.series.push_back(line_of(step.name, as_is, false));
      const bool by_slices = sums && sliced.half_efficient() > more.half_efficient();
      chart.series.push_back(by_slices ? line_of("… sums in slices", sliced, true)
                                       : line_of("… 10 x the queries", more, true));
    }
  }
  std::printf("%s", half.text().c_str());
  if (s.picture.empty()) return 0;
  const std::string complaint = app::write_chart(s.picture, chart);
  if (complaint.empty()) return 0;
  std::fprintf(stderr, "%s\n", complaint.c_str());
  return 3;
}

}  // namespace

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  const bool help = arguments == std::vector<std::string>{"--help"};
  if (help) std::fputs(usage, stdout);
  try {
    const int code = help ? 0 : run(parse(arguments));
    app::require_printed();
    return code;
  } catch (const wrong_options& error) {
    std::fprintf(stderr, "zo_mpi_scaling: %s\n%s", error.what(), usage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zo_mpi_scaling: %s\n", error.what());
    return 3;
  }
}
