// A first problem from start to plot; docs/guide.md explains it piece by piece.
//   guide_fit SIMULATOR slopes      what the answers say about the smoothing parameter
//   guide_fit SIMULATOR fit STEPS   fits until so many steps are done; goes on where it was
#include <array>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>
#include <zo/zo.hpp>

namespace {

// One query: starts the simulator and reads its answer. NaN says that the query failed.
double ask(const std::string& simulator, std::span<const double> x) {
  std::string command = simulator;
  for (const double logarithm : x) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), " %.17g", std::exp(logarithm));
    command += text.data();
  }
  std::FILE* const output = popen(command.c_str(), "r");
  if (output == nullptr) return std::nan("");
  double loss = 0;
  const bool answered = std::fscanf(output, "%lf", &loss) == 1;
  return pclose(output) == 0 && answered ? loss : std::nan("");
}

// The slopes at x for smaller and smaller steps: a good mu lies where they agree.
void print_slopes(const std::string& simulator, const std::vector<double>& x) {
  auto f = [&](std::span<const double> at) { return ask(simulator, at); };
  std::vector<double> gradient(x.size());
  for (double mu = 1; mu > 3e-10; mu /= 10) {
    const zo::cge how({.smoothing = mu}, zo::central{});
    zo::estimate(zo::par, f, x, gradient, how);
    std::printf("mu = %.0e: %14.8f %14.8f %14.8f\n", mu, gradient[0], gradient[1], gradient[2]);
  }
}

using adam_state = zo::updater<zo::adam, double>;

// All that a fit needs to go on: 17 digits keep every bit. A file of its own first, then a new
// name, so that there is always a whole one.
void save(std::uint64_t steps, const std::vector<double>& x, adam_state& optimizer) {
  std::ofstream out("fit.state.new");
  out.precision(17);
  out << steps << '\n';
  for (std::size_t i = 0; i < x.size(); ++i) {
    out << x[i] << ' ' << optimizer.state()[0][i] << ' ' << optimizer.state()[1][i] << '\n';
  }
  out.close();
  if (!out) throw std::runtime_error("fit.state.new cannot be written");
  std::filesystem::rename("fit.state.new", "fit.state");
}

// The steps that were done; 0 where there is no fit to go on with.
std::uint64_t load(std::vector<double>& x, adam_state& optimizer) {
  if (!std::filesystem::exists("fit.state")) return 0;
  std::ifstream in("fit.state");
  std::uint64_t steps = 0;
  in >> steps;
  for (std::size_t i = 0; i < x.size(); ++i) {
    in >> x[i] >> optimizer.state()[0][i] >> optimizer.state()[1][i];
  }
  if (!in) throw std::runtime_error("fit.state is damaged: delete it to start anew");
  optimizer.resume_at(steps);
  return steps;
}

void fit(const std::string& simulator, std::vector<double> x, std::uint64_t steps) {
  auto f = [&](std::span<const double> at) { return ask(simulator, at); };
  const zo::cge how({.smoothing = 1e-3}, zo::central{});
  adam_state optimizer = zo::adam({.rate = 0.2}).start<double>(3);

  const std::uint64_t done = load(x, optimizer);
  if (done >= steps) throw std::runtime_error("these steps are done: ask for more");
  std::ofstream log("fit.csv", done == 0 ? std::ios::trunc : std::ios::app);
  const zo::index_t before = how.queries(3) * static_cast<zo::index_t>(done);
  auto on_step = [&](const zo::step_report& made) {
    log << made.step << ',' << before + made.queries << ',' << made.value << std::endl;
    if (!log) throw std::runtime_error("fit.csv cannot be written");
    save(made.step + 1, x, optimizer);  // .step is the one just made
    return zo::verdict::go_on;
  };

  const zo::minimize_result run = zo::minimize(
      zo::par, f, x, how, optimizer,
      {.max_queries = 10'000, .max_steps = steps - done, .first_step = done, .on_step = on_step});
  if (run.why != zo::status::steps_done) throw std::runtime_error(zo::to_string(run.why).data());
  std::printf("misfit %.6f after %" PRId64 " queries\n", run.value, before + run.queries);
  std::printf("absorption %.4f per hour, excretion %.4f per hour, volume %.3f litres\n",
              std::exp(x[0]), std::exp(x[1]), std::exp(x[2]));
}

}  // namespace

int main(int argc, char** argv) try {
  // Logarithms of absorption, excretion and volume: positive by themselves, and of like size.
  const std::vector<double> start{std::log(2.0), std::log(0.1), std::log(10.0)};
  const std::string_view what = argc > 2 ? argv[2] : "";
  if (what == "slopes" && argc == 3) {
    print_slopes(argv[1], start);
  } else if (what == "fit" && argc == 4) {
    fit(argv[1], start, std::strtoull(argv[3], nullptr, 10));
  } else {
    std::fprintf(stderr, "usage: guide_fit SIMULATOR slopes, or guide_fit SIMULATOR fit STEPS\n");
    return 2;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "guide_fit: %s\n", error.what());
  return 1;
}
