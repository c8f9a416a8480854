#include "experiment.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>
#include <zo/progress.hpp>

#include "common/lock.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "discovery.hpp"
#include "report.hpp"

namespace coefficients {

namespace {

void say(const settings& s, const std::string& sentence) {
  if (!s.quiet && !sentence.empty()) std::fprintf(stderr, "%s\n", app::printable(sentence).c_str());
}

// Each once, in the order of the tables.
template <class All, class Name>
std::vector<std::string> wanted(const std::vector<std::string>& chosen, const All& all,
                                const Name& name) {
  std::vector<std::string> names;
  for (const auto& each : all) {
    if (std::ranges::find(chosen, name(each)) != chosen.end()) names.push_back(name(each));
  }
  return names;
}

app::run_files files_of(const settings& s) {
  return {s.out, {s.out / "checkpoints"}, result_names(s)};
}

// What the solver is off the data by at the true coefficients: no search can do much better.
double error_of_the_truth(const equation& what, const reference& data, const settings& s) {
  std::vector<double> field(data.u.size()), slope(data.u.size());
  what.make(data.at, s.of(what))->solve(what.truth, field);
  return std::sqrt(loss(field, data.u, slope));
}

// The field of a discovery.
std::vector<double> field_of(const equation& what, const reference& data, const discovery& found,
                             const settings& s) {
  std::vector<double> field(data.u.size());
  what.make(data.at, s.of(what))->solve(found.last().found, field);
  return field;
}

}  // namespace

void run_experiment(const settings& s) {
  const auto equations_wanted =
      wanted(s.equations, equations(), [](const equation& each) { return each.name; });
  const auto methods_wanted =
      wanted(s.methods, method_names(), [](const std::string& name) { return name; });
  std::vector<reference> data;
  for (const std::string& name : equations_wanted) {
    data.push_back(load_reference(equation_named(name), s.data));
  }
  const app::folder_lock lock(s.out);
  say(s, lock.warning());
  say(s, app::open_run(files_of(s), app::beginning_of(s.resume, s.fresh)));

  std::vector<equation_result> results;
  for (std::size_t e = 0; e < equations_wanted.size(); ++e) {
    const equation& what = equation_named(equations_wanted[e]);
    equation_result result{&what, error_of_the_truth(what, data[e], s), {}, &data[e], {}};
    for (const std::string& method : methods_wanted) {
      method_result all{method, {}};
      for (std::int64_t k = 0; k < s.seeds; ++k) {
        const std::uint64_t seed = s.seed + static_cast<std::uint64_t>(k);
        const std::string name = what.name + "-" + method + "-" + std::to_string(seed);
        zo::progress bar(name, method == "least-squares" ? 20 : s.steps, {.quiet = s.quiet});
        all.runs.push_back(discover(
            what, data[e], method, seed, s, s.out / "checkpoints" / (name + ".safetensors"),
            [&](const curve_point& p) { bar.update(std::min(p.step, s.steps), p.calls, p.loss); }));
        bar.finish();
      }
      result.methods.push_back(std::move(all));
    }
    result.fit = field_of(what, data[e], result.methods.back().runs.front(), s);
    results.push_back(std::move(result));
  }
  const auto notes = write_results(results, s);
  std::printf("%s\nResults, pictures and checkpoints are in %s\n", table_text(results, s).c_str(),
              app::printable(s.out.string()).c_str());
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
  app::finish_run(files_of(s));
}

}  // namespace coefficients
