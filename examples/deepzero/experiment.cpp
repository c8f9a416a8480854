#include "experiment.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/lock.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "device.hpp"
#include "first_order.hpp"
#include "report.hpp"
#include "training.hpp"

namespace deepzero {

namespace {

void say(const settings& s, const std::string& sentence) {
  if (!s.quiet && !sentence.empty()) std::fprintf(stderr, "%s\n", app::printable(sentence).c_str());
}

// Each once, in the order of the table.
std::vector<std::string> wanted(const settings& s) {
  std::vector<std::string> names;
  for (const std::string& name : estimator_names()) {
    if (std::ranges::find(s.estimators, name) != s.estimators.end()) names.push_back(name);
  }
  return names;
}

bool compares_sizes(const settings& s) { return s.what != comparison::estimators; }

// The folder of the checkpoints of a network.
std::filesystem::path checkpoints_of(const settings& s, std::int64_t depth) {
  return s.out / (compares_sizes(s) ? "depth_" + std::to_string(depth) : "checkpoints");
}

app::run_files files_of(const settings& s) {
  app::run_files files{s.out, {}, result_names(s)};
  for (std::int64_t depth = compares_sizes(s) ? 1 : s.depth; depth <= s.depth; ++depth) {
    files.checkpoints.push_back(checkpoints_of(s, depth));
  }
  return files;
}

void finish(const std::string& text, const std::vector<std::string>& notes,
            const std::vector<app::rank_usage>& usage, const settings& s) {
  std::printf("%s\nResults, pictures and checkpoints are in %s\n", text.c_str(),
              app::printable(s.out.string()).c_str());
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
  std::printf("%s", usage_text(usage, s).c_str());
}

void compare(const problem& p, const settings& s, const app::processes& all) {
  std::vector<training_report> results;
  for (const std::string& name : wanted(s)) {
    results.push_back(train(p, name, s, checkpoints_of(s, s.depth), name, all));
  }
  const auto usage = all.usage();
  if (!all.speaks()) return;
  const auto notes = write_results(results, usage, p.test.count, s);
  finish(table_text(results, p.test.count, s), notes, usage, s);
}

// The paper's comparison on its adjustable CNN, by the number of parameters.
void sizes(const problem& p, const settings& s, const app::processes& all) {
  std::vector<training_report> results;
  for (std::int64_t depth = 1; depth <= s.depth; ++depth) {
    settings one = s;
    one.depth = depth;
    for (const std::string& name : wanted(s)) {
      const std::string label = "depth " + std::to_string(depth) + " " + name;
      results.push_back(train(p, name, one, checkpoints_of(s, depth), label, all));
    }
  }
  const auto usage = all.usage();
  if (!all.speaks()) return;
  if (s.what == comparison::paper) {
    const auto notes = write_paper_table(results, usage, p.test.count, s);
    finish(paper_table_text(results, p.test.count, s), notes, usage, s);
    return;
  }
  const auto notes = write_study(results, usage, p.test.count, s);
  finish(study_text(results, p.test.count, s), notes, usage, s);
}

// Before anything is computed or written: what the options ask for may not fit the data.
void check(const problem& p, const settings& s) {
  try {
    make_network(s, p.train);  // of several sizes the largest
  } catch (const std::invalid_argument& error) {
    throw app::usage_error(error.what());
  }
  batches(p.train, s.batch, false, s.seed);
  const auto names = wanted(s);
  if (std::ranges::find(names, "sparse-cge") != names.end()) scored_images(p, s);
}

}  // namespace

void run_experiment(const settings& s, const app::processes& all) {
  if (s.device == "cuda") require_device();
  const problem p = load_problem(s);
  check(p, s);
  std::optional<app::folder_lock> lock;
  if (all.speaks()) say(s, lock.emplace(s.out).warning());
  if (!has_first_order()) say(s, "Built without LibTorch: no first-order training beside.");
  // Only rank 0 sees the files of a run.
  if (all.speaks()) say(s, app::open_run(files_of(s), app::beginning_of(s.resume, s.fresh)));
  compares_sizes(s) ? sizes(p, s, all) : compare(p, s, all);
  if (all.speaks()) app::finish_run(files_of(s));
}

}  // namespace deepzero
