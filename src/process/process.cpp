// The face of zo::process: what each kind of black box writes and reads.
#include "zo/process.hpp"

#include <algorithm>

#include "process/pool.hpp"
#include "zo/error.hpp"

namespace zo {

using detail::programs::question;

// What the views may do.
struct process::access {
  template <class T>
  static double ask(const process& of, const question<T>& asked) {
    double answer = 0;
    of.pool_->ask(of.pool_->line_of(asked), {&answer, 1});
    return answer;
  }

  template <class T>
  static void ask_all(const process& of, const points<T>& asked, std::span<double> losses,
                      std::optional<std::uint64_t> sample) {
    of.pool_->ask_all(
        asked.count,
        [&](index_t k) {
          return of.pool_->line_of(question<T>{asked[k], sample});
        },
        losses);
  }

  template <class T>
  static void ask_vector(const process& of, std::span<const T> x, std::span<T> y) {
    std::vector<double> answer(y.size());
    of.pool_->ask(of.pool_->line_of(question<T>{x, std::nullopt}), answer);
    std::ranges::transform(answer, y.begin(), [](double number) { return static_cast<T>(number); });
  }
};

process::process(std::vector<std::string> command, const process_options& options)
    : pool_(std::make_unique<pool>(std::move(command), options)) {}
process::~process() = default;

std::string process::last_failure() const { return pool_->last_failure(); }

process::sampled_view process::sampled() const { return sampled_view(*this); }
process::rows_view process::rows() const { return rows_view(*this); }
process::batch_view process::batch() const { return batch_view(*this); }
process::vector_view process::vector() const { return vector_view(*this); }
process::sampled_batch_view process::sampled_view::batch() const {
  return sampled_batch_view(*of_);
}

double process::operator()(std::span<const double> x) const {
  return access::ask(*this, question<double>{x, {}});
}
double process::operator()(std::span<const float> x) const {
  return access::ask(*this, question<float>{x, {}});
}

double process::sampled_view::operator()(std::span<const double> x, sample_id sample) const {
  return access::ask(*of_, question<double>{x, sample});
}
double process::sampled_view::operator()(std::span<const float> x, sample_id sample) const {
  return access::ask(*of_, question<float>{x, sample});
}

double process::rows_view::operator()(std::span<const double> point, index_t row) const {
  return access::ask(*of_, question<double>{point, static_cast<std::uint64_t>(row), "row"});
}
double process::rows_view::operator()(std::span<const float> point, index_t row) const {
  return access::ask(*of_, question<float>{point, static_cast<std::uint64_t>(row), "row"});
}

void process::batch_view::operator()(points<double> candidates, std::span<double> losses) const {
  access::ask_all(*of_, candidates, losses, {});
}
void process::batch_view::operator()(points<float> candidates, std::span<double> losses) const {
  access::ask_all(*of_, candidates, losses, {});
}

void process::sampled_batch_view::operator()(points<double> candidates, std::span<double> losses,
                                             sample_id sample) const {
  access::ask_all(*of_, candidates, losses, sample);
}
void process::sampled_batch_view::operator()(points<float> candidates, std::span<double> losses,
                                             sample_id sample) const {
  access::ask_all(*of_, candidates, losses, sample);
}

void process::vector_view::operator()(std::span<const double> x, std::span<double> y) const {
  access::ask_vector(*of_, x, y);
}
void process::vector_view::operator()(std::span<const float> x, std::span<float> y) const {
  access::ask_vector(*of_, x, y);
}

}  // namespace zo
