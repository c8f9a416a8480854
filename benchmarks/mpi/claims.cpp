// zo_mpi_claims: measures what sharing estimates between two processes gains and costs
// (docs/mpi.md), prints a table, judges each bar. Run by mpirun -n 2. Before anything is timed its
// result is compared with that of one process; other bits fail the row.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#include <zo/mpi.hpp>

#include "measure.hpp"
#include "mpi/crew.hpp"
#include "mpi/workloads.hpp"
#include "program.hpp"

namespace bench {
namespace {

using shared_policy = decltype(zo::mpi::over(MPI_COMM_WORLD, zo::seq));

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

// Pairs of times, and those among them in which no process waited for a processor.
class timed_pairs {
 public:
  void add(double ours, double theirs, bool clean) {
    all_.first.push_back(ours);
    all_.second.push_back(theirs);
    if (!clean) return;
    clean_.first.push_back(ours);
    clean_.second.push_back(theirs);
  }

  int count() const { return static_cast<int>(all_.first.size()); }

  // Clean pairs are given five times as long to turn up.
  bool done(const effort& how, double elapsed) const {
    if (how.smoke) return count() > 0;
    if (clean() >= how.most_pairs) return true;
    if (clean() >= how.least_pairs) return elapsed > how.total_seconds;
    return count() >= how.least_pairs && elapsed > 5 * how.total_seconds;
  }

  comparison summary(const effort& how) const {
    const bool enough = clean() >= how.least_pairs;
    const auto& [ours, theirs] = enough ? clean_ : all_;
    comparison found = summary_of(ours, theirs);
    found.disturbed = count() - clean();
    found.left_out = enough;
    return found;
  }

 private:
  int clean() const { return static_cast<int>(clean_.first.size()); }

  std::pair<std::vector<double>, std::vector<double>> all_, clean_;
};

// One estimate, made by two processes of a thread each, and by one of them. Both have this object;
// rank 0 measures.
template <class Work>
class shared_work {
 public:
  shared_work(crew& all, bool smoke)
      : all_(all),
        policy_(zo::mpi::over(MPI_COMM_WORLD, zo::seq)),
        aside_(zo::mpi::over(MPI_COMM_WORLD, zo::seq)) {
    begin_ = all.add([this, smoke] {
      if (!work_) work_ = std::make_unique<Work>(policy_, smoke);
    });
    check_ = all.add([this] {
      const std::vector<float> alone = work_->estimate(zo::seq);
      const std::vector<float>& shared = work_->estimate(policy_);
      const auto same = static_cast<double>(
          std::memcmp(shared.data(), alone.data(), alone.size() * sizeof(float)) == 0);
      answers_ = zo::mpi::gather(policy_, same);
    });
    share_ = all.add([this] {
      processor_ = stopwatch_of(timing::thread)([this] { work_->estimate(policy_); });
    });
    compute_ = all.add([this] { answers_ = zo::mpi::gather(aside_, processor_); });
    wait_ = all.add([this] { answers_ = zo::mpi::gather(aside_, waited_for_processor()); });
    tell_ = all.add([this] { usage_ = zo::mpi::usage(policy_); });
    count_ = all.add([this] {
      const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
      work_->estimate(policy);
      usage_ = zo::mpi::usage(policy);
    });
  }

  outcome speed_up(const effort& how) {
    begin();
    const stopwatch clock = stopwatch_of(timing::wall);
    const auto alone = [&] { return clock([&] { work_->estimate(zo::seq); }); };
    timed_pairs pairs;
    double shared = 0, elapsed = 0;
    const std::vector<zo::mpi::rank_usage> before = usage();
    while (!pairs.done(how, elapsed)) {
      const double waited = waited_so_far();
      double ours = 0, theirs = 0;
      if (pairs.count() % 2 == 0) {
        ours = all_.call(share_);
        theirs = alone();
      } else {
        theirs = alone();
        ours = all_.call(share_);
      }
      const bool clean = waited_so_far() - waited <= tolerated_waiting * (ours + theirs);
      pairs.add(ours, theirs, clean);
      shared += ours;
      elapsed += ours + theirs;
    }
    const std::vector<zo::mpi::rank_usage> after = usage();
    const comparison found = pairs.summary(how);
    outcome o = times_as_fast(found, 1e6);  // the unit is milliseconds
    o.note = "of its time waiting:";
    for (std::size_t r = 0; r < after.size(); ++r) {
      const double waiting = after[r].waiting_seconds - before[r].waiting_seconds;
      o.note += std::string(r > 0 ? "," : "") + " rank " + std::to_string(r) + " " +
                percent(waiting / shared);
    }
    if (const std::string note = note_of(found); !note.empty()) o.note += "; " + note;
    return o;
  }

  // What others take of this machine does not count here, and neither do waits.
  outcome less_work(const effort& how, std::size_t pairs) {
    begin();
    std::vector<double> ours, theirs;
    while (ours.size() < (how.smoke ? 1 : pairs)) {
      all_.call(share_);
      all_.call(compute_);
      ours.push_back(std::ranges::max(answers_));
      theirs.push_back(stopwatch_of(timing::thread)([&] { work_->estimate(zo::seq); }));
    }
    return times_as_fast(summary_of(ours, theirs), 1e6);
  }

  outcome bytes() {
    begin();
    all_.call(count_);
    outcome o;
    for (const zo::mpi::rank_usage& one : usage_)
      o.ours = std::max(o.ours, static_cast<double>(one.bytes));
    o.peer = 8 * static_cast<double>(work_->queries());
    o.ratio = o.low = o.high = o.ours / o.peer;
    o.pairs = 1;
    o.note = "counted, in one estimate of " + std::to_string(work_->queries()) + " queries";
    return o;
  }

  // How far seconds a unit of cost differ between the tensors of a network.
  outcome cost_error(const effort& how) {
    begin();
    const std::vector<probe_time> times =
        how.smoke ? work_->time_probes(1, 1) : work_->time_probes(4, 3);
    const auto per_cost = [](const probe_time& one) { return one.median() / one.cost; };
    const auto [least, most] = std::ranges::minmax_element(times, {}, per_cost);
    double seconds = 0, cost = 0;
    for (const probe_time& one : times) {
      seconds += static_cast<double>(one.active) * one.median();
      cost += static_cast<double>(one.active) * one.cost;
    }
    outcome o;
    o.ours = per_cost(*most) * cost / seconds;
    o.peer = per_cost(*least) * cost / seconds;
    o.ratio = o.low = o.high = o.ours / o.peer;
    o.pairs = 1;
    o.note = most->tensor + " against " + least->tensor + "; 1: the mean of the step";
    return o;
  }

 private:
  void begin() {
    if (all_.ranks() != 2)
      throw std::runtime_error("this needs two processes: mpirun -n 2 zo_mpi_claims");
    if (work_) return;
    all_.call(begin_);
    all_.call(check_);
    if (std::ranges::count(answers_, 1.0) != 2)
      throw std::runtime_error("two processes give other bits than one");
  }

  const std::vector<zo::mpi::rank_usage>& usage() {
    all_.call(tell_);
    return usage_;
  }

  double waited_so_far() {
    all_.call(wait_);
    double sum = 0;
    for (const double one : answers_) sum += one;
    return sum;
  }

  crew& all_;
  shared_policy policy_;
  shared_policy aside_;  // for what must not count as the work's traffic
  std::unique_ptr<Work> work_;
  std::vector<zo::mpi::rank_usage> usage_;
  std::vector<double> answers_;  // of the ranks
  double processor_ = 0;         // seconds, of this rank's last share
  int begin_ = 0, check_ = 0, share_ = 0, compute_ = 0, wait_ = 0, tell_ = 0, count_ = 0;
};

template <zo::index_t Batch>
using shared_step = shared_work<network_work_of<Batch>>;

std::vector<claim> claims_of(shared_work<rge_work>& rge, shared_step<256>& paper,
                             shared_step<32>& small) {
  const std::string of_rge = "RGE, 1 ms a query, d = 10,000, 128 queries";
  const std::string of_paper = "DeepZero step, ResNet-20, batch 256, a 32nd of it";
  const std::string of_small = "DeepZero step, ResNet-20, batch 32, a 32nd of it";
  const auto step = [](effort how, double seconds) {
    how.total_seconds = seconds;
    return how;
  };
  return {
      {of_rge, "1 process", "ms/step", bar::at_least, 1.9,
       [&, step](const effort& how) { return rge.speed_up(step(how, 6)); }},
      {of_paper, "1 process", "ms/step", bar::at_least, 1.9,
       [&, step](const effort& how) { return paper.speed_up(step(how, 40)); }},
      {of_small, "1 process", "ms/step", bar::none, 0,
       [&, step](const effort& how) { return small.speed_up(step(how, 40)); }},
      {of_rge + ", computing", "1 process", "ms/step", bar::at_least, 1.9,
       [&](const effort& how) { return rge.less_work(how, 5); }},
      {of_paper + ", computing", "1 process", "ms/step", bar::at_least, 1.9,
       [&](const effort& how) { return paper.less_work(how, 2); }},
      {of_rge + ", received", "8 bytes a query", "bytes/step", bar::at_most, 1.1,
       [&](const effort&) { return rge.bytes(); }},
      {of_small + ", received", "8 bytes a query", "bytes/step", bar::at_most, 1.1,
       [&](const effort&) { return small.bytes(); }},
      {"Seconds of a probe by its stated cost, dearest tensor", "cheapest tensor", "of the mean",
       bar::none, 0, [&](const effort& how) { return small.cost_error(how); }},
  };
}

// What rank 0 and the others do; rank 0's exit code.
int run(int count, char** values) {
  const bool smoke = std::any_of(values, values + count,
                                 [](const char* value) { return std::string(value) == "--smoke"; });
  crew all(MPI_COMM_WORLD);
  shared_work<rge_work> rge(all, smoke);
  shared_step<256> paper(all, smoke);
  shared_step<32> small(all, smoke);
  if (all.rank() != 0) {
    all.serve();
    return 0;
  }
  program judged{"zo_mpi_claims", [&] { return claims_of(rge, paper, small); }, context};
  judged.how.least_pairs = 5;
  const int code = judge(judged, count, values);
  all.dismiss();
  return code;
}

}  // namespace
}  // namespace bench

int main(int count, char** values) {
  MPI_Init(&count, &values);
  int code = 0;
  try {
    code = bench::run(count, values);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zo_mpi_claims: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  MPI_Finalize();
  return code;
}
