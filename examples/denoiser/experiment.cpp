#include "experiment.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "blackbox_defense/randomness.hpp"
#include "common/lock.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "queried.hpp"
#include "report.hpp"
#include "training.hpp"

namespace denoiser {

namespace {

void say(const settings& s, const std::string& sentence) {
  if (!s.base.quiet && !sentence.empty()) {
    std::fprintf(stderr, "%s\n", app::printable(sentence).c_str());
  }
}

// Each once, in the order of the table.
std::vector<std::string> wanted(const settings& s) {
  std::vector<std::string> all;
  for (const std::string& name : method_names()) {
    const bool asked = std::ranges::find(s.methods, name) != s.methods.end();
    if (s.methods.empty() || asked) all.push_back(name);
  }
  return all;
}

class experiment {
 public:
  experiment(const task& t, const settings& s, const app::processes& all)
      : task_(t), s_(s), all_(all) {
    for (std::int64_t k = 0; k < (s.tune ? 1 : s.seeds); ++k) {
      const std::uint64_t seed = s.base.seed + static_cast<std::uint64_t>(k);
      starts_.emplace_back(t, "deepzero", s, seed);
      train_start(starts_.back(), t, s, seed, all);
    }
  }

  std::vector<tuned> tune() {
    std::vector<tuned> found;
    for (const std::string& method : wanted(s_)) {
      found.push_back({method, {}});
      for (const double rate : tuned_rates()) {
        front trained = started(method, 0);
        const auto report = train(trained, method + "-rate-" + app::shortest(rate), method, rate,
                                  task_, s_, s_.base.seed, all_);
        found.back().accuracy.push_back(report.curve.back().accuracy);
      }
    }
    return found;
  }

  run_result compare() {
    run_result result;
    const auto& test = task_.problem.test;
    result.test_images = test.count();
    result.parameters = starts_.front().net().parameter_count();
    result.clean = test.range(0, std::min<std::int64_t>(10, test.count()));
    result.methods = {undefended(), start()};
    for (const std::string& method : wanted(s_)) {
      method_result row{method, {}, {}, {}, {}};
      for (std::size_t k = 0; k < starts_.size(); ++k) {
        const std::uint64_t seed = s_.base.seed + k;
        const std::string name = method + "-" + std::to_string(seed);
        const double rate = rate_of(method, s_);
        front trained = started(method, k);
        row.trainings.push_back(train(trained, name, method, rate, task_, s_, seed, all_));
        measure(row, trained, name, training_options(s_, method, rate, seed));
      }
      result.methods.push_back(std::move(row));
    }
    defense::black_box classifier(task_.problem.classifier.forward);
    result.clean_accuracy = defense::accuracy(
        [&](const torch::Tensor& x) { return classifier.classes(x); }, test, 0, s_.base.seed, all_);
    return result;
  }

 private:
  front started(const std::string& method, std::size_t k) const {
    front made(task_, method, s_, s_.base.seed + k);
    made.copy_denoiser(starts_[k]);
    made.networks().train(false);
    return made;
  }

  torch::Tensor pictured() const {
    const torch::Tensor clean = task_.problem.test.range(0, 10);
    return clean + s_.base.noise *
                       defense::normal(app::seed_for(s_.base.seed, "picture"), 0, 0, clean.sizes());
  }

  method_result undefended() const {
    method_result row{"none", {}, {}, {}, pictured()};
    const auto classify = [this](const torch::Tensor& x) { return classes(x); };
    row.noisy.push_back(
        defense::accuracy(classify, task_.held_out, s_.base.noise, s_.base.seed, all_));
    row.verdicts.push_back(defense::certify_images(
        "none", classify, task_.problem.test,
        defense::select(s_.base, {"threads", "classifier-steps"}), s_.base, all_));
    return row;
  }

  method_result start() const {
    method_result row{"start", {}, {}, {}, {}};
    for (std::size_t k = 0; k < starts_.size(); ++k) {
      const std::uint64_t seed = s_.base.seed + k;
      nlohmann::json with = start_options(s_, seed);
      with.update(defense::select(s_.base, {"classifier-steps"}));
      measure(row, started("deepzero", k), "start-" + std::to_string(seed), with);
    }
    return row;
  }

  torch::Tensor classes(const torch::Tensor& images) const {
    defense::black_box classifier(task_.problem.classifier.forward, 256);
    return classifier.classes(images);
  }

  void measure(method_result& row, const front& trained, const std::string& name,
               const nlohmann::json& with) const {
    row.noisy.push_back(row.trainings.empty()
                            ? noisy_accuracy(trained, task_.held_out, task_, s_, all_)
                            : row.trainings.back().curve.back().accuracy);
    row.verdicts.push_back(defense::certify_images(
        name, [&](const torch::Tensor& x) { return classes(trained.shown(x)); }, task_.problem.test,
        with, s_.base, all_));
    if (row.verdicts.size() == 1) row.shown = trained.shown(pictured());
  }

  const task& task_;
  const settings& s_;
  const app::processes& all_;
  std::vector<front> starts_;  // by seed
};

// Before anything is computed or written: what the options ask for may not fit the networks.
void check(const task& t, const settings& s) {
  const auto& pixels = t.problem.test.pixels;
  const auto net =
      dncnn_network({pixels.size(1), pixels.size(2), pixels.size(3)}, s.base.depth, s.base.width);
  try {
    for (const std::string& method : wanted(s)) {
      const std::vector<double> scores(static_cast<std::size_t>(net.parameter_count()), 0.0);
      if (method == "deepzero") counts_of(net, scores, s.q);
      if (method == "activations") questions_by_layer(net, s.q);
    }
  } catch (const std::invalid_argument& error) {
    throw app::usage_error(error.what());
  }
}

}  // namespace

void run_experiment(const settings& s, const app::processes& all) {
  task t = load_task(s);  // before anything is written: data may be missing
  check(t, s);
  const app::folder_lock lock(s.base.out);
  say(s, lock.warning());
  const app::run_files files{
      s.base.out, {defense::checkpoint_path(s.base, "").parent_path()}, result_names(s)};
  say(s, app::open_run(files, app::beginning_of(s.base.resume, s.base.fresh)));
  defense::train_networks(t.problem, s.base, all);
  // From here on denoisers see the others only.
  const std::int64_t seen = t.problem.train.count() - t.held_out.count();
  t.problem.train = {t.problem.train.pixels.slice(0, 0, seen),
                     t.problem.train.labels.slice(0, 0, seen)};
  experiment run(t, s, all);
  if (s.tune) {
    const auto found = run.tune();
    write_tuning(found, s);
    std::printf("%s\nThe result and checkpoints are in %s\n", tuning_text(found, s).c_str(),
                app::printable(s.base.out.string()).c_str());
  } else {
    const run_result result = run.compare();
    const auto notes = write_results(result, s);
    std::printf("%s\nResults, pictures and checkpoints are in %s\n", table_text(result, s).c_str(),
                app::printable(s.base.out.string()).c_str());
    for (const std::string& note : notes) std::printf("%s\n", note.c_str());
  }
  app::finish_run(files);
}

}  // namespace denoiser
