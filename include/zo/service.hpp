// Black boxes behind an address: zo::service asks a model, a simulator or a licence server over
// HTTP or HTTPS, many points in a request. Optional: link zo::service; no other header of zo
// includes it.
//
// A request is POST with JSON, {"points": [[x1, …], …]}, and its answer {"answers": [y1, …]}
// (docs/service.md). Numbers keep every bit, so that a service that computes the same function
// gives the same bits as a call.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "zo/config.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"

namespace zo {

/// A question that a service did not answer: a sentence with its address, what happened, and the
/// beginning of what it said instead.
struct [[gnu::visibility("default")]] service_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct service_options {
  int workers = 1;                  ///< requests at the same time, each over a connection kept open
  index_t points_per_request = 64;  ///< of a batch at most, at least 1
  /// Longest time of one request, above 0: from looking up the name to the last byte of the answer.
  std::chrono::milliseconds timeout = std::chrono::minutes(1);
  /// How long a request may be repeated, counted from its first try: where the service cannot be
  /// reached, the connection is lost, or the answer is 429, 502, 503 or 504. 0: never.
  std::chrono::milliseconds patience = std::chrono::minutes(1);
  /// Before a repetition: so long, then twice as long, and so on up to longest_pause. Chance takes
  /// off up to a half. Retry-After of an answer, seconds or a date, is the shortest pause then, for
  /// all connections.
  std::chrono::milliseconds first_pause = std::chrono::milliseconds(250);
  std::chrono::milliseconds longest_pause = std::chrono::seconds(30);
  std::optional<double> requests_per_second{};  ///< at most, repeated ones too
  std::optional<double> points_per_second{};    ///< at most, repeated ones too
  index_t longest_answer = index_t{1} << 24;    ///< bytes, at least 1; reading stops there
  /// "Name: value". ${VARIABLE} in a value stands for that environment variable, for secrets: they
  /// are blotted out of every sentence, and go by https alone, or to this machine.
  std::vector<std::string> headers{};
  std::string certificates{};  ///< file of the authorities to trust, PEM; empty: the system's
  /// Called while an answer is waited for, every 50 ms or more often, from the threads that wait.
  /// What it throws ends the wait and the requests: zo::interrupted ends a run.
  std::function<void()> while_waiting{};
};

/// A service as an objective. `f(x)` asks one point in a request. `f.batch()`, `f.rows()` and
/// `f.vector()` ask points_per_request of them, over as many connections as are free; they and
/// `f.sampled()` are the other kinds of black boxes (zo/objective.hpp, zo/vector_map.hpp), refer to
/// f and must not outlive it.
///
/// Any number of threads may ask; each waits for a connection, so that
/// zo::par.with_threads(workers) keeps all of them busy. NaN and infinities are answers. A failed
/// question throws service_error; in a batch it leaves its answer as it was, NaN, and
/// last_failure() says why; where all fail the first is thrown. Certificates and host names are
/// checked, redirects are not followed.
///
/// A query is a point: it counts once, however often its request had to be repeated because the
/// service had not answered.
///
/// Memory: the text of the requests under way, and longest_answer a connection at most.
class [[gnu::visibility("default")]] service {
 public:
  /// The address: http:// or https://, host, port, path. Nothing is asked yet. Throws
  /// std::invalid_argument for a bad address or bad options.
  explicit service(const std::string& address, const service_options& options = {});
  service(const service&) = delete;
  service& operator=(const service&) = delete;
  ~service();

  double operator()(std::span<const double> x) const;
  double operator()(std::span<const float> x) const;

  class sampled_view;
  class rows_view;
  class batch_view;
  class sampled_batch_view;
  class vector_view;
  sampled_view sampled() const;
  rows_view rows() const;
  batch_view batch() const;
  vector_view vector() const;

  /// The sentence of the last question that failed; empty: none did. From any thread.
  std::string last_failure() const;
  /// HTTP requests so far, repeated ones too. From any thread.
  index_t requests() const;

 private:
  struct pool;
  struct access;
  std::unique_ptr<pool> pool_;
};

/// f(x, sample): the request has "sample" too, and what is random follows from it.
class [[gnu::visibility("default")]] service::sampled_view {
 public:
  explicit sampled_view(const service& of) : of_(&of) {}
  sampled_batch_view batch() const;
  double operator()(std::span<const double> x, sample_id sample) const;
  double operator()(std::span<const float> x, sample_id sample) const;

 private:
  const service* of_;
};

/// f(points, rows, losses), for zo::boundary: the request has "rows" too, a number for each point.
class [[gnu::visibility("default")]] service::rows_view {
 public:
  explicit rows_view(const service& of) : of_(&of) {}
  void operator()(points<double> candidates, std::span<const index_t> rows,
                  std::span<double> losses) const;
  void operator()(points<float> candidates, std::span<const index_t> rows, std::span<double> losses)
      const;

 private:
  const service* of_;
};

/// f(points, losses).
class [[gnu::visibility("default")]] service::batch_view {
 public:
  explicit batch_view(const service& of) : of_(&of) {}
  void operator()(points<double> candidates, std::span<double> losses) const;
  void operator()(points<float> candidates, std::span<double> losses) const;

 private:
  const service* of_;
};

/// f(points, losses, sample): the same, of f.sampled().batch().
class [[gnu::visibility("default")]] service::sampled_batch_view {
 public:
  explicit sampled_batch_view(const service& of) : of_(&of) {}
  void operator()(points<double> candidates, std::span<double> losses, sample_id sample) const;
  void operator()(points<float> candidates, std::span<double> losses, sample_id sample) const;

 private:
  const service* of_;
};

/// f(points, ys): an array of as many numbers for each point as there is room for, for zo::pullback
/// and zo::jacobian.
class [[gnu::visibility("default")]] service::vector_view {
 public:
  explicit vector_view(const service& of) : of_(&of) {}
  void operator()(points<double> candidates, std::span<double> ys) const;
  void operator()(points<float> candidates, std::span<float> ys) const;

 private:
  const service* of_;
};

}  // namespace zo
