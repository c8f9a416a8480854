#include "service/pool.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "process/json.hpp"
#include "service/transfer.hpp"
#include "zo/error.hpp"

namespace zo {

using detail::services::fate;
using detail::services::outcome;
using detail::services::steady;
using detail::services::transfer;

namespace {

constexpr std::chrono::milliseconds between_looks{50};

// libcurl is made ready once, and never put away: other parts of a program may use it too.
void begin_libcurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) throw std::runtime_error("zo::service: libcurl cannot be used");
}

}  // namespace

// What one thread that asks needs: requests that it watches together, and the connections that they
// leave open for the next one.
class service::pool::session {
 public:
  session(const pool& of, int workers) : of_(of), multi_(curl_multi_init()) {
    if (multi_ == nullptr) throw std::bad_alloc();
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(workers));
  }

  CURLM* multi() const { return multi_.get(); }
  transfer& at(std::size_t k) {
    while (transfers_.size() <= k) {
      transfers_.push_back(std::make_unique<transfer>(of_.recipe_, of_.options_));
    }
    return *transfers_[k];
  }

 private:
  struct end_multi {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };
  const pool& of_;
  std::unique_ptr<CURLM, end_multi> multi_;
  std::vector<std::unique_ptr<transfer>> transfers_;  // go first
};

// The right to some requests at the same time, and a session to make them in.
class service::pool::permits {
 public:
  permits(pool& of, index_t most) : of_(of) {
    std::unique_lock lock(of.mutex_);
    while (of.free_ == 0) {
      of.one_is_free_.wait_for(lock, between_looks);
      if (of.free_ > 0 || !of.options_.while_waiting) continue;
      lock.unlock();
      of.options_.while_waiting();
      lock.lock();
    }
    count_ = static_cast<int>(std::min<index_t>(of.free_, most));
    of.free_ -= count_;
    if (!of.sessions_.empty()) {
      session_ = std::move(of.sessions_.back());
      of.sessions_.pop_back();
    }
  }
  permits(const permits&) = delete;
  permits& operator=(const permits&) = delete;
  ~permits() {
    {
      const std::lock_guard lock(of_.mutex_);
      of_.free_ += count_;
      if (session_ != nullptr) of_.sessions_.push_back(std::move(session_));
    }
    of_.one_is_free_.notify_all();
  }

  int count() const { return count_; }
  session& where() {
    if (session_ == nullptr) session_ = std::make_unique<session>(of_, of_.options_.workers);
    return *session_;
  }

 private:
  pool& of_;
  int count_ = 0;
  std::unique_ptr<session> session_;
};

service::pool::pool(const std::string& address, const service_options& options)
    : options_((begin_libcurl(), options)),
      recipe_(address, options),
      pace_(options),
      free_(options.workers) {
  sessions_.reserve(static_cast<std::size_t>(options.workers));  // one comes back without an error
}
service::pool::~pool() = default;

std::string service::pool::last_failure() const {
  const std::lock_guard lock(mutex_);
  return last_failure_;
}

service_error service::pool::failure(const std::string& what) {
  const std::string sentence = "zo::service: " + recipe_.name + " " + recipe_.blotted(what);
  const std::lock_guard lock(mutex_);
  last_failure_ = sentence;
  return service_error(sentence);
}

// Many points, cut into requests.
class service::pool::many {
 public:
  many(pool& of, index_t count, const std::function<std::string(index_t, index_t)>& body,
       std::span<double> answers)
      : of_(of),
        count_(count),
        body_(body),
        answers_(answers),
        width_(answers.size() / static_cast<std::size_t>(count)),
        may_(of, (count - 1) / of.options_.points_per_request + 1),
        lanes_(static_cast<std::size_t>(may_.count())) {
    for (std::size_t k = 0; k < lanes_.size(); ++k) lanes_[k].by = &may_.where().at(k);
  }
  many(const many&) = delete;
  many& operator=(const many&) = delete;
  ~many() {
    for (lane& one : lanes_) leave(one);  // a request that was not awaited closes its connection
  }

  void run() {
    while (give()) {
      if (of_.options_.while_waiting) of_.options_.while_waiting();
      int under_way = 0;
      curl_multi_perform(multi(), &under_way);
      if (hear()) continue;
      using std::chrono::milliseconds;
      const auto wait = std::chrono::ceil<milliseconds>(next_start_ - steady::now());
      curl_multi_poll(multi(), nullptr, 0,
                      static_cast<int>(std::clamp(wait, milliseconds(0), between_looks).count()),
                      nullptr);
    }
    if (answered_ == 0 && failure_) throw service_error(*failure_);
  }

 private:
  // A request, in all of its tries.
  struct lane {
    transfer* by = nullptr;
    index_t first = 0, count = 0;  // count is 0: nothing is to be done
    std::string body{};
    bool under_way = false;
    steady::time_point start{}, first_start{};
    int tries = 0;
  };

  CURLM* multi() { return may_.where().multi(); }

  // Starts what may start. Returns whether there is more to do.
  bool give() {
    bool more = false;
    const steady::time_point now = steady::now();
    next_start_ = steady::time_point::max();
    for (lane& one : lanes_) {
      if (one.count == 0 && next_ < count_) {
        one.first = next_;
        one.count = std::min(of_.options_.points_per_request, count_ - next_);
        next_ += one.count;
        one.body = body_(one.first, one.count);
        one.tries = 0;
        one.start = of_.pace_.reserve(one.count);
      }
      if (one.count > 0 && !one.under_way) start_or_wait(one, now);
      more = more || one.count > 0;
    }
    return more;
  }

  void start_or_wait(lane& one, steady::time_point now) {
    one.start = std::max(one.start, of_.pace_.postponed());
    if (one.start > steady::now()) {
      next_start_ = std::min(next_start_, one.start);
      return;
    }
    if (one.tries++ == 0) one.first_start = now;
    one.by->prepare(one.body);
    if (curl_multi_add_handle(multi(), one.by->handle()) != CURLM_OK) throw std::bad_alloc();
    one.under_way = true;
    ++of_.requests_;
  }

  void leave(lane& one) {
    if (one.under_way) curl_multi_remove_handle(multi(), one.by->handle());
    one.under_way = false;
  }

  // Returns whether a request has come to its end.
  bool hear() {
    bool any = false;
    int rest = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi(), &rest)) {
      if (message->msg != CURLMSG_DONE) continue;
      const auto found = std::ranges::find_if(
          lanes_, [&](const lane& one) { return one.by->handle() == message->easy_handle; });
      const CURLcode code = message->data.result;  // gone with the handle
      if (found == lanes_.end()) continue;
      leave(*found);
      judge(*found, found->by->end(code, of_.reached_));
      any = true;
    }
    return any;
  }

  void judge(lane& one, const outcome& what) {
    if (what.what == fate::answered || what.what == fate::busy) of_.reached_ = true;
    if (what.what == fate::answered) {
      read(one);
    } else if (what.what == fate::failed || !comes_back(one, what)) {
      fail(what.why + after_tries(one));
    } else {
      return;
    }
    one.count = 0;
  }

  bool comes_back(lane& one, const outcome& what) {
    if (of_.options_.patience.count() == 0) return false;
    const steady::time_point now = steady::now();
    const auto pause =
        std::max<std::chrono::nanoseconds>(of_.pace_.pause(one.tries), what.retry_after);
    if (now + pause > one.first_start + of_.options_.patience) return false;
    if (what.retry_after.count() > 0) of_.pace_.postpone(now + what.retry_after);
    one.start = std::max(now + pause, of_.pace_.reserve(one.count));
    return true;
  }

  std::string after_tries(const lane& one) const {
    if (one.tries < 2) return {};
    const std::chrono::duration<double> taken = steady::now() - one.first_start;
    return "; this was try number " + std::to_string(one.tries) + " in " +
           detail::number_text(taken.count(), 3) + " s (zo::service_options::patience)";
  }

  void read(const lane& one) {
    std::vector<std::string> wrong(static_cast<std::size_t>(one.count));
    const std::span<double> numbers =
        answers_.subspan(static_cast<std::size_t>(one.first) * width_, wrong.size() * width_);
    const std::string all = detail::programs::read_json_batch(one.by->answer(), numbers, wrong);
    if (!all.empty()) {
      fail(all);
      return;
    }
    for (const std::string& why : wrong) why.empty() ? void(++answered_) : fail(why);
  }

  void fail(const std::string& what) {
    const service_error error = of_.failure(what);
    if (!failure_) failure_ = error.what();
  }

  pool& of_;
  const index_t count_;
  const std::function<std::string(index_t, index_t)>& body_;
  std::span<double> answers_;
  const std::size_t width_;
  permits may_;
  std::vector<lane> lanes_;
  index_t next_ = 0, answered_ = 0;
  steady::time_point next_start_{};
  std::optional<std::string> failure_;
};

void service::pool::ask(index_t count, const std::function<std::string(index_t, index_t)>& body,
                        std::span<double> answers) {
  if (count > 0) many(*this, count, body, answers).run();
}

}  // namespace zo
