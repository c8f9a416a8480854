#include "experiment.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include <zo/interrupt.hpp>
#include <zo/progress.hpp>

#include "common/lock.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "report.hpp"
#include "training.hpp"

namespace wake {

namespace {

void say(const settings& s, const std::string& sentence) {
  if (!s.quiet && !sentence.empty()) std::fprintf(stderr, "%s\n", app::printable(sentence).c_str());
}

struct job {
  std::string method;
  std::int64_t number = 0;
};

// Each once, in the order of the table; all methods with one seed before any with the next.
std::vector<job> jobs_of(const settings& s) {
  std::vector<job> jobs;
  for (std::int64_t number = 0; number < s.seeds; ++number) {
    for (const std::string& method : method_names()) {
      if (method == "src" || std::ranges::find(s.methods, method) == s.methods.end()) continue;
      jobs.push_back({method, number});
    }
  }
  return jobs;
}

// Progress of all jobs together, by their shares.
class shared_progress {
 public:
  shared_progress(std::size_t jobs, const settings& s)
      : done_(jobs),
        bar_("training", static_cast<std::int64_t>(jobs) * parts, {.quiet = s.quiet}) {}

  void update(std::size_t which, double share) {
    const std::scoped_lock held(mutex_);
    done_[which] = static_cast<std::int64_t>(share * parts);
    std::int64_t sum = 0;
    for (const std::int64_t one : done_) sum += one;
    bar_.update(sum);
  }

 private:
  static constexpr std::int64_t parts = 1000;  // of a job
  std::mutex mutex_;
  std::vector<std::int64_t> done_;
  zo::progress bar_;
};

// Runs body(i) for i < count, `threads` at a time; throws what the first of them threw. After an
// error no other is begun; an interrupt ends all.
void for_each_job(std::size_t count, int threads, const std::function<void(std::size_t)>& body) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    at::set_num_threads(1);
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        body(i);
      } catch (...) {
        const std::scoped_lock held(mutex);
        if (!error) error = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::jthread> workers;
  for (int k = 1; k < std::min<int>(threads, static_cast<int>(count)); ++k) {
    workers.emplace_back(work);
  }
  work();
  workers.clear();
  if (error) std::rethrow_exception(error);
}

}  // namespace

void run_experiment(const settings& s) {
  const app::folder_lock lock(s.out);
  say(s, lock.warning());
  const app::run_files files{s.out, {s.out / "checkpoints"}, result_names()};
  say(s, app::open_run(files, app::beginning_of(s.resume, s.fresh)));
  at::set_num_threads(1);

  say(s, "Computing the reference: a grid " + std::to_string(s.factor) + " times as fine");
  const problem p = make_problem(s);
  if (!p.train.states.isfinite().all().item<bool>() ||
      !p.test.states.isfinite().all().item<bool>()) {
    throw std::runtime_error("the reference flow is not finite; give a smaller --time-step");
  }
  const auto jobs = jobs_of(s);
  std::vector<training_report> trained(jobs.size());
  {
    shared_progress progress(std::max<std::size_t>(1, jobs.size()), s);
    for_each_job(jobs.size(), s.threads, [&](std::size_t i) {
      trained[i] = train(p, jobs[i].method, jobs[i].number, s, files.checkpoints[0],
                         [&](double share) { progress.update(i, share); });
    });
  }
  const results found = test_all(p, trained, s);
  const auto notes = write_results(p, found, s);
  std::printf("%s\nResults, pictures and checkpoints are in %s\n", table_text(found, s).c_str(),
              app::printable(s.out.string()).c_str());
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
  app::finish_run(files);
}

}  // namespace wake
