// The face of zo::service: what each kind of black box asks.
#include "zo/service.hpp"

#include <algorithm>

#include "process/json.hpp"
#include "service/pool.hpp"

namespace zo {
namespace {

template <class T>
struct questions {
  points<T> asked;
  std::optional<sample_id> sample{};
  std::span<const index_t> rows{};

  std::string body(index_t first, index_t count) const {
    std::string text = "{\"points\":[";
    for (index_t k = first; k < first + count; ++k) {
      if (k > first) text += ',';
      detail::programs::write_json(asked[k], text);
    }
    text += ']';
    if (sample) text.append(",\"sample\":").append(std::to_string(*sample));
    if (!rows.empty()) text += ",\"rows\":[";
    for (index_t k = first; !rows.empty() && k < first + count; ++k) {
      if (k > first) text += ',';
      text += std::to_string(rows[static_cast<std::size_t>(k)]);
    }
    if (!rows.empty()) text += ']';
    return text + '}';
  }
};

}  // namespace

// What the views may do.
struct service::access {
  template <class T>
  static void ask_all(const service& of, const questions<T>& what, std::span<double> answers) {
    of.pool_->ask(
        what.asked.count, [&](index_t first, index_t count) { return what.body(first, count); },
        answers);
  }

  template <class T>
  static double ask(const service& of, std::span<const T> x, std::optional<sample_id> sample = {}) {
    double answer = 0;
    ask_all<T>(of, {{x, 1, static_cast<index_t>(x.size())}, sample}, {&answer, 1});
    return answer;
  }

  template <class T>
  static void ask_vectors(const service& of, const points<T>& asked, std::span<T> ys) {
    std::vector<double> answers(ys.begin(), ys.end());
    ask_all<T>(of, {asked}, answers);
    std::ranges::transform(answers, ys.begin(), [](double y) { return static_cast<T>(y); });
  }
};

service::service(const std::string& address, const service_options& options)
    : pool_(std::make_unique<pool>(address, options)) {}
service::~service() = default;

std::string service::last_failure() const { return pool_->last_failure(); }
index_t service::requests() const { return pool_->requests(); }

service::sampled_view service::sampled() const { return sampled_view(*this); }
service::rows_view service::rows() const { return rows_view(*this); }
service::batch_view service::batch() const { return batch_view(*this); }
service::vector_view service::vector() const { return vector_view(*this); }
service::sampled_batch_view service::sampled_view::batch() const {
  return sampled_batch_view(*of_);
}

double service::operator()(std::span<const double> x) const { return access::ask(*this, x); }
double service::operator()(std::span<const float> x) const { return access::ask(*this, x); }

double service::sampled_view::operator()(std::span<const double> x, sample_id sample) const {
  return access::ask(*of_, x, sample);
}
double service::sampled_view::operator()(std::span<const float> x, sample_id sample) const {
  return access::ask(*of_, x, sample);
}

void service::rows_view::operator()(points<double> candidates, std::span<const index_t> rows,
                                    std::span<double> losses) const {
  access::ask_all<double>(*of_, {candidates, {}, rows}, losses);
}
void service::rows_view::operator()(points<float> candidates, std::span<const index_t> rows,
                                    std::span<double> losses) const {
  access::ask_all<float>(*of_, {candidates, {}, rows}, losses);
}

void service::batch_view::operator()(points<double> candidates, std::span<double> losses) const {
  access::ask_all<double>(*of_, {candidates}, losses);
}
void service::batch_view::operator()(points<float> candidates, std::span<double> losses) const {
  access::ask_all<float>(*of_, {candidates}, losses);
}

void service::sampled_batch_view::operator()(points<double> candidates, std::span<double> losses,
                                             sample_id sample) const {
  access::ask_all<double>(*of_, {candidates, sample}, losses);
}
void service::sampled_batch_view::operator()(points<float> candidates, std::span<double> losses,
                                             sample_id sample) const {
  access::ask_all<float>(*of_, {candidates, sample}, losses);
}

void service::vector_view::operator()(points<double> candidates, std::span<double> ys) const {
  access::ask_vectors(*of_, candidates, ys);
}
void service::vector_view::operator()(points<float> candidates, std::span<float> ys) const {
  access::ask_vectors(*of_, candidates, ys);
}

}  // namespace zo
