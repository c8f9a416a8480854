#include "discovery.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <zo/interrupt.hpp>
#include <zo/zo.hpp>

#include "common/checkpoint.hpp"
#include "common/fields.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"

namespace coefficients {

namespace {

constexpr std::int64_t most_fit_calls = 200;  // of least squares, which ends long before
constexpr double most = 1e18;                 // of what a run counts or measures; none comes near

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

// What a search is about, which does not change.
struct task {
  const equation& what;
  const reference& data;
  const black_box& box;
  const std::string& method;
  std::uint64_t seed;
  const settings& s;
};

// Calls use(estimator), which may drop calls that failed.
template <class Use>
auto with_estimator(const task& of, const Use& use) {
  const auto failures = zo::on_failure::drop;
  const settings& s = of.s;
  if (of.method == "cge") return use(zo::cge({.smoothing = s.smoothing, .failures = failures}));
  if (of.method == "rge") {
    return use(zo::rge({.directions = s.directions.value_or(s.unknowns()),
                        .smoothing = s.smoothing,
                        .failures = failures}));
  }
  const direction_grid grid = make_grid(s.unknowns(), static_cast<int>(s.grid));
  return use(zo::quadrature({.directions = grid.directions,
                             .weights = grid.weights,
                             .smoothing = s.smoothing,
                             .failures = failures}));
}

// A search under way, and what a checkpoint holds.
struct state {
  std::vector<double> logarithms;
  zo::updater<zo::adam, double> optimizer;
  discovery found;
};

nlohmann::json to_json(const curve_point& p) {
  return {{"step", p.step},
          {"calls", p.calls},
          {"loss", p.loss},
          {"first", p.found[0]},
          {"second", p.found[1]}};
}

const char* const mean_name = "adam.mean";
const char* const square_name = "adam.square";
const char* const point_name = "logarithms";

void save(const std::filesystem::path& path, const task& of, state& at) {
  app::safetensors file;
  const auto n = static_cast<std::int64_t>(at.logarithms.size());
  const auto add = [&](const char* name, std::span<const double> values) {
    file.tensors.push_back(app::make_tensor<double>(name, {n}, values));
  };
  add(point_name, at.logarithms);
  const auto moments = at.optimizer.state();
  add(mean_name, moments[0]);
  add(square_name, moments[1]);
  nlohmann::json curve = nlohmann::json::array();
  for (const curve_point& p : at.found.curve) curve.push_back(to_json(p));
  file.metadata["curve"] = curve.dump();
  file.metadata["all_calls"] = std::to_string(at.found.all_calls);
  file.metadata["failed"] = std::to_string(at.found.failed);
  file.metadata["seconds"] = app::shortest(at.found.seconds);
  file.metadata["stopped"] = at.found.stopped;
  file.metadata["settings"] = options_of(of.s, of.what, of.method).dump();
  app::save_checkpoint(path, file);
}

std::vector<curve_point> curve_from(const app::fields& f, std::int64_t steps) {
  std::vector<curve_point> curve;
  for (const app::fields& each : f.list("curve")) {
    const curve_point p{.step = each.whole("step", 0, steps),
                        .calls = each.whole("calls", 1, static_cast<std::int64_t>(most)),
                        .loss = each.number("loss", 0, 1e300),
                        .found = {each.number("first", 0, 1e300), each.number("second", 0, 1e300)}};
    f.require(curve.empty() || (p.step > curve.back().step && p.calls > curve.back().calls),
              "curve", "is not that of a search");
    curve.push_back(p);
  }
  f.require(!curve.empty(), "curve", "is empty");
  return curve;
}

void load(const std::filesystem::path& path, const task& of, state& at) {
  const app::safetensors file = app::load_checkpoint(path);
  const app::fields f(path.string(), file.metadata);
  app::require_same(f.object("settings"), options_of(of.s, of.what, of.method));
  app::take_over(path.string(), [&] {
    at.found.curve = curve_from(f, std::max<std::int64_t>(of.s.steps, 1000));
    at.found.all_calls = f.whole("all_calls", 0, static_cast<std::int64_t>(most));
    at.found.failed = f.whole("failed", 0, static_cast<std::int64_t>(most));
    at.found.seconds = f.number("seconds", 0, most);
    const auto text = file.metadata.find("stopped");
    at.found.stopped = text == file.metadata.end() ? "" : text->second;
    const auto n = static_cast<std::int64_t>(at.logarithms.size());
    const auto take = [&](const char* name, std::span<double> to) {
      file.at(name).require_shape({n});
      const std::vector<double> values = file.at(name).values<double>();
      f.require(all_finite(values), name, "is not finite");
      std::ranges::copy(values, to.begin());
    };
    take(point_name, at.logarithms);
    const auto moments = at.optimizer.state();
    take(mean_name, moments[0]);
    take(square_name, moments[1]);
  });
  at.optimizer.resume_at(static_cast<std::uint64_t>(at.found.last().step));
}

std::string failed_at(const task& of, const state& at) {
  const auto c = of.box.coefficients(at.logarithms);
  return "the solver failed at " + of.what.coefficients[0] + " " + app::shortest(c[0]) + ", " +
         of.what.coefficients[1] + " " + app::shortest(c[1]);
}

// Asks the field where the search is, after `asked` other calls. False: there is none.
bool look(const task& of, state& at, std::int64_t asked, std::span<double> field,
          std::span<double> slope) {
  of.box(at.logarithms, field);
  if (!all_finite(field)) {
    ++at.found.failed;
    at.found.stopped = failed_at(of, at);
    return false;
  }
  const std::int64_t before = at.found.curve.empty() ? 0 : at.found.last().calls;
  at.found.curve.push_back({.step = static_cast<std::int64_t>(at.optimizer.steps()),
                            .calls = before + asked + 1,
                            .loss = loss(field, of.data.u, slope),
                            .found = of.box.coefficients(at.logarithms)});
  return true;
}

// One step of Adam from where the field is known. Returns the calls of its estimate.
std::int64_t move(const task& of, state& at, std::span<const double> field,
                  std::span<const double> slope) {
  const auto made = with_estimator(of, [&](const auto& how) {
    return zo::pullback(
        zo::par.with_threads(of.s.threads), of.box, at.logarithms, slope, how,
        {.seed = app::seed_for(of.seed, "directions"), .step = at.optimizer.steps()}, field);
  });
  at.found.failed += made.failed;
  at.optimizer.step(zo::seq, std::span<double>(at.logarithms),
                    std::span<const double>(made.gradients));
  return made.queries;
}

zo::adam recipe(const settings& s) {
  const double rate = s.rate;
  const auto steps = static_cast<double>(s.steps);
  return zo::adam({.rate = zo::schedule([rate, steps](std::uint64_t step) {
                     return std::max(0.0, rate * (1 - static_cast<double>(step) / steps));
                   })});
}

void descend(const task& of, state& at, const std::filesystem::path& checkpoint,
             const std::function<void(const curve_point&)>& on_step) {
  std::vector<double> field(of.data.u.size()), slope(of.data.u.size());
  const double before = at.found.seconds, started = seconds_now();
  const auto keep = [&] {
    at.found.seconds = before + seconds_now() - started;
    save(checkpoint, of, at);
  };
  if (at.found.curve.empty()) {
    if (!look(of, at, 0, field, slope))
      throw std::runtime_error(at.found.stopped + "; give a smaller --start");
  } else if (at.found.stopped.empty() && at.found.last().step < of.s.steps) {
    of.box(at.logarithms, field);  // known before the run was stopped, and counted then
    loss(field, of.data.u, slope);
  }
  while (at.found.stopped.empty() && at.found.last().step < of.s.steps) {
    const std::int64_t asked = move(of, at, field, slope);
    const bool there = look(of, at, asked, field, slope);
    const std::int64_t step = at.found.last().step;
    on_step(at.found.last());
    const int signal = zo::interrupt_guard::signal_number();
    if (!there || signal != 0 || step == of.s.steps || step % of.s.checkpoint_every == 0) keep();
    if (signal != 0) throw app::interrupted{signal};
  }
}

// Levenberg-Marquardt on the differences to the data. Short enough to begin anew after a stop.
void solve(const task& of, state& at, const std::filesystem::path& checkpoint,
           const std::function<void(const curve_point&)>& on_step) {
  if (!at.found.curve.empty()) return;
  const double started = seconds_now();
  const double share = std::sqrt(1 / static_cast<double>(of.data.u.size()));
  std::vector<double> slope(of.data.u.size());
  std::once_flag first;
  const auto residuals = [&](std::span<const double> logarithms, std::span<double> r) {
    of.box(logarithms, r);
    std::call_once(first, [&] {  // at the start
      at.found.curve.push_back({.calls = 1,
                                .loss = loss(r, of.data.u, slope),
                                .found = of.box.coefficients(logarithms)});
    });
    for (std::size_t i = 0; i < r.size(); ++i) r[i] = share * (r[i] - of.data.u[i]);
  };
  const auto note = [&](const zo::step_report& made) {
    const std::vector<double> there(made.x.as<double>().begin(), made.x.as<double>().end());
    at.found.curve.push_back({.step = static_cast<std::int64_t>(made.step) + 1,
                              .calls = made.queries,
                              .loss = 2 * made.value,
                              .found = of.box.coefficients(there)});
    on_step(at.found.last());
    return zo::interrupt_guard::signal_number() != 0 ? zo::verdict::stop : zo::verdict::go_on;
  };
  const auto run = zo::least_squares(
      zo::par.with_threads(of.s.threads), residuals, at.logarithms,
      static_cast<zo::index_t>(of.data.u.size()), {.max_queries = most_fit_calls, .on_step = note},
      zo::cge({.smoothing = of.s.smoothing, .failures = zo::on_failure::drop}));
  const int signal = zo::interrupt_guard::signal_number();
  if (signal != 0) throw app::interrupted{signal};
  if (run.why == zo::status::query_failed) at.found.stopped = failed_at(of, at);
  if (at.found.curve.empty() || !std::isfinite(at.found.curve.front().loss)) {
    throw std::runtime_error(failed_at(of, at) + "; give a smaller --start");
  }
  at.found.failed = run.failed;
  at.found.all_calls = run.queries;
  at.found.seconds = seconds_now() - started;
  save(checkpoint, of, at);
}

}  // namespace

void black_box::operator()(std::span<const double> logarithms, std::span<double> field) const {
  solver_.solve(coefficients(logarithms), field);
}

std::array<double, 2> black_box::coefficients(std::span<const double> logarithms) const {
  std::array<double, 2> all = what_.truth;
  if (one_) {
    all[static_cast<std::size_t>(what_.alone)] = std::exp(logarithms[0]);
  } else {
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = std::exp(logarithms[i]);
  }
  return all;
}

std::vector<double> black_box::start(double factor, std::uint64_t seed) const {
  std::vector<double> logarithms;
  for (std::size_t i = 0; i < what_.truth.size(); ++i) {
    if (one_ && static_cast<int>(i) != what_.alone) continue;
    const std::uint64_t bits = app::seed_for(seed, "start of " + what_.coefficients[i]);
    const double share = 2 * (static_cast<double>(bits >> 11) * 0x1p-53) - 1;
    logarithms.push_back(std::log(what_.truth[i]) + share * std::log(factor));
  }
  return logarithms;
}

double loss(std::span<const double> field, std::span<const double> data, std::span<double> slope) {
  const double share = 1 / static_cast<double>(field.size());
  double sum = 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const double difference = field[i] - data[i];
    sum += difference * difference;
    slope[i] = 2 * share * difference;
  }
  return share * sum;
}

direction_grid make_grid(int dimensions, int per_dimension) {
  direction_grid made;
  std::size_t count = 1;
  for (int d = 0; d < dimensions; ++d) count *= static_cast<std::size_t>(per_dimension);
  double total = 0;
  for (std::size_t k = 0; k < count; ++k) {
    double square = 0;
    std::size_t rest = k;
    for (int d = 0; d < dimensions; ++d) {
      const auto place = static_cast<double>(rest % static_cast<std::size_t>(per_dimension));
      const double v = -5 + 10 * place / (per_dimension - 1);
      made.directions.push_back(v);
      square += v * v;
      rest /= static_cast<std::size_t>(per_dimension);
    }
    made.weights.push_back(std::exp(-square / 2));
    total += made.weights.back();
  }
  for (double& weight : made.weights) weight /= total;
  return made;
}

std::int64_t calls_of_a_step(const std::string& method, const settings& s) {
  if (method == "cge" || method == "least-squares") return 1 + s.unknowns();
  if (method == "rge") return 1 + s.directions.value_or(s.unknowns());
  return 1 + (s.one ? s.grid : s.grid * s.grid);
}

discovery discover(const equation& what, const reference& data, const std::string& method,
                   std::uint64_t seed, const settings& s, const std::filesystem::path& checkpoint,
                   const std::function<void(const curve_point&)>& on_step) {
  const auto inside = what.make(data.at, s.of(what));
  const black_box box(what, *inside, s.one);
  const reference noisy = with_noise(data, s.noise, app::seed_for(seed, "noise"));
  const task of{what, noisy, box, method, seed, s};
  std::vector<double> logarithms = box.start(s.start, seed);
  state at{logarithms,
           recipe(s).start<double>(static_cast<zo::index_t>(logarithms.size())),
           {.equation = what.name, .method = method, .seed = seed}};
  if (s.resume && std::filesystem::exists(checkpoint)) load(checkpoint, of, at);
  if (method == "least-squares") {
    solve(of, at, checkpoint, on_step);
  } else {
    descend(of, at, checkpoint, on_step);
    at.found.all_calls = at.found.last().calls;
  }
  return at.found;
}

}  // namespace coefficients
