// The connections of one zo::service, and the requests that go through them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "service/pace.hpp"
#include "service/recipe.hpp"
#include "zo/service.hpp"

namespace zo {

struct service::pool {
 public:
  pool(const std::string& address, const service_options& options);
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool();

  /// Asks `count` points, an equal share of `answers` each. body(first, n) is the JSON of so many
  /// of them. The answers of points that fail stay as they are; where all do, the first failure is
  /// thrown.
  void ask(index_t count, const std::function<std::string(index_t first, index_t n)>& body,
           std::span<double> answers);

  std::string last_failure() const;
  index_t requests() const { return requests_; }

 private:
  class session;
  class permits;
  class many;

  service_error failure(const std::string& what);

  const service_options options_;
  const detail::services::recipe recipe_;
  detail::services::pace pace_;
  std::atomic<index_t> requests_{0};
  std::atomic<bool> reached_{false};
  mutable std::mutex mutex_;
  std::condition_variable one_is_free_;
  int free_;                                        // of workers
  std::vector<std::unique_ptr<session>> sessions_;  // that nobody uses, the last one first
  std::string last_failure_;
};

}  // namespace zo
