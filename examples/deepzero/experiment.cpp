#include "experiment.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "common/resume.hpp"
#include "first_order.hpp"
#include "report.hpp"
#include "training.hpp"

namespace deepzero {

namespace {

void say(const settings& s, const std::string& sentence) {
  if (!s.quiet && !sentence.empty()) std::fprintf(stderr, "%s\n", sentence.c_str());
}

// Each once, in the order of the table.
std::vector<std::string> wanted(const settings& s) {
  std::vector<std::string> names;
  for (const std::string& name : estimator_names()) {
    if (std::ranges::find(s.estimators, name) != s.estimators.end()) names.push_back(name);
  }
  return names;
}

void finish(const std::string& text, const std::vector<std::string>& notes, const settings& s) {
  std::printf("%s\nResults, pictures and checkpoints are in %s\n", text.c_str(), s.out.c_str());
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
}

void compare(const problem& p, const settings& s) {
  const auto folder = s.out / "checkpoints";
  say(s, app::open_checkpoints(folder, s.resume));
  std::vector<training_report> results;
  for (const std::string& name : wanted(s)) results.push_back(train(p, name, s, folder, name));
  const auto notes = write_results(results, p.test.count, s);
  finish(table_text(results, p.test.count, s), notes, s);
}

// The paper's comparison of CGE and RGE on its adjustable CNN, by the number of parameters.
void study(const problem& p, const settings& s) {
  std::vector<training_report> results;
  for (std::int64_t depth = 1; depth <= s.depth; ++depth) {
    settings one = s;
    one.depth = depth;
    const auto folder = s.out / ("depth_" + std::to_string(depth));
    say(s, app::open_checkpoints(folder, s.resume));
    for (const std::string& name : wanted(s)) {
      results.push_back(train(p, name, one, folder, "depth " + std::to_string(depth) + " " + name));
    }
  }
  const auto notes = write_study(results, p.test.count, s);
  finish(study_text(results, p.test.count, s), notes, s);
}

}  // namespace

void run_experiment(const settings& s) {
  // Before anything is written: data may be missing, and may not fit the network.
  const problem p = load_problem(s);
  make_network(s, p.train);
  if (!has_first_order()) say(s, "Built without LibTorch: no first-order training beside.");
  s.study ? study(p, s) : compare(p, s);
}

}  // namespace deepzero
