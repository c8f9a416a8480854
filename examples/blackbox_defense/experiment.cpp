#include "experiment.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>

#include "common/lock.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "report.hpp"

namespace defense {

namespace {

void say(const settings& s, const std::string& sentence) {
  if (!s.quiet && !sentence.empty()) std::fprintf(stderr, "%s\n", app::printable(sentence).c_str());
}

// Images the classifier is asked at once. On a CPU its activations should stay near the cache:
// larger batches of the CIFAR-10 classifier answer less than half as many images a second.
std::int64_t images_at_once(const settings& s) {
  if (s.device != "cpu") return 1024;
  return s.dataset == "cifar10" ? 64 : 256;
}

class experiment {
 public:
  experiment(const problem& p, const settings& s, const app::processes& all)
      : s_(s),
        all_(all),
        problem_(p),
        classifier_(problem_.classifier.forward, images_at_once(s)) {}

  run_result operator()() {
    const auto classify = [this](const torch::Tensor& x) { return classifier_.classes(x); };
    run_result result;
    result.test_images = problem_.test.count();
    result.autoencoder_error = problem_.autoencoder_error;
    result.clean_accuracy = accuracy(classify, problem_.test, 0, s_.seed, all_);
    result.noisy_accuracy = accuracy(classify, problem_.test, s_.noise, s_.seed, all_);
    for (const std::string& name : wanted_methods()) {
      result.methods.push_back(evaluate(make_method(name, s_, pixels())));
    }
    if (s_.sweep) add_sweep(result);
    return result;
  }

  /// The defense whose images are shown: the last one trained for the table.
  const defended* pictured() const { return pictured_.get(); }

 private:
  std::int64_t pixels() const { return problem_.test.pixels[0].numel(); }

  // Each once, in the order of the table, with "none" first.
  std::vector<std::string> wanted_methods() const {
    std::vector<std::string> wanted;
    for (const std::string& name : method_names()) {
      const bool asked = std::ranges::find(s_.methods, name) != s_.methods.end();
      if (asked || name == "none") wanted.push_back(name);
    }
    return wanted;
  }

  void add_sweep(run_result& result) {
    for (const std::int64_t budget : sweep_budgets(s_)) {
      for (const method& m : methods_at_budget(budget, s_, pixels())) {
        result.sweep.push_back(evaluate(m));
      }
    }
  }

  method_result evaluate(const method& m) {
    if (const auto known = known_.find(m.key); known != known_.end()) return known->second;
    method_result result;
    result.how = m;
    auto front = std::make_shared<defended>(problem_, m, s_);
    const auto classify = [&](const torch::Tensor& x) { return front->classes(x, classifier_); };
    front->train(false);
    result.noisy_start = accuracy(classify, problem_.test, s_.noise, s_.seed, all_);
    if (m.trained) result.training = train_defense(*front, problem_, m, classifier_, s_, all_);
    result.noisy_accuracy = accuracy(classify, problem_.test, s_.noise, s_.seed, all_);
    result.verdicts = certify_images(m.key, classify, problem_.test, trained_with(m), s_, all_);
    if (m.trained && known_.size() < wanted_methods().size()) pictured_ = front;
    known_.emplace(m.key, result);
    return result;
  }

  nlohmann::json trained_with(const method& m) const {
    nlohmann::json with;
    if (m.trained) with = select(s_, defense_options(s_));
    if (!m.trained) with = select(s_, {"dataset", "device", "threads"});
    with.update(select(s_, classifier_options(s_)));
    return with;
  }

  const settings& s_;
  const app::processes& all_;
  const problem& problem_;
  black_box classifier_;
  std::map<std::string, method_result> known_;
  std::shared_ptr<defended> pictured_;
};

// Before anything is computed or written: what the options ask for may not fit the data.
void check(const problem& p, const settings& s) {
  if (s.images > p.test.count()) {
    throw app::usage_error("--images must be at most " + std::to_string(p.test.count()) +
                           ", the test images there are, got " + std::to_string(s.images));
  }
  const std::int64_t pixels = p.test.pixels[0].numel();
  try {
    for (const std::string& name : s.methods) make_method(name, s, pixels);
    for (const std::int64_t budget : sweep_budgets(s)) methods_at_budget(budget, s, pixels);
  } catch (const std::invalid_argument& error) {
    throw app::usage_error(error.what());
  }
}

}  // namespace

void run_experiment(const settings& s, const app::processes& all) {
  problem p = load_problem(s);  // before anything is written: data may be missing
  check(p, s);
  std::optional<app::folder_lock> lock;
  if (all.speaks()) say(s, lock.emplace(s.out).warning());
  const app::run_files files{s.out, {checkpoint_path(s, "").parent_path()}, result_names(s)};
  if (all.speaks()) say(s, app::open_run(files, app::beginning_of(s.resume, s.fresh)));
  train_networks(p, s, all);
  experiment run(p, s, all);
  const run_result result = run();
  const auto usage = all.usage();
  if (!all.speaks()) return;
  const auto notes = write_results(result, s);
  if (run.pictured() != nullptr) write_images(*run.pictured(), p, s);
  std::printf("%s\nResults, pictures and checkpoints are in %s\n", table_text(result, s).c_str(),
              app::printable(s.out.string()).c_str());
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
  if (!usage.empty()) std::printf("\n%s", app::usage_table(usage).text().c_str());
  app::finish_run(files);
}

}  // namespace defense
