// One HTTP request after another, and what became of each.
#pragma once

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "service/recipe.hpp"

namespace zo::detail::services {

enum class fate {
  answered,
  busy,    // the service asks for another time
  lost,    // nothing, or not all, has come back
  failed,  // asking again would not help
};

struct outcome {
  fate what = fate::failed;
  std::string why{};                    // not answered: the end of a sentence
  std::chrono::seconds retry_after{0};  // as the service wants it
};

class transfer {
 public:
  transfer(const recipe& how, const service_options& options);
  transfer(const transfer&) = delete;
  transfer& operator=(const transfer&) = delete;

  CURL* handle() const { return easy_.get(); }
  /// Takes the text that is sent next; it must stay where it is until the outcome is known.
  void prepare(std::string_view body);
  /// `reached`: whether the service has been heard of before.
  outcome end(CURLcode code, bool reached) const;
  const std::string& answer() const { return answer_; }

 private:
  outcome lost_or_failed(CURLcode code, bool reached) const;
  outcome by_status() const;
  std::string error_of_system() const;
  static std::size_t take_header(char* data, std::size_t one, std::size_t bytes, void* self);
  static std::size_t take_answer(char* data, std::size_t one, std::size_t bytes, void* self);
  template <class Value>
  void set(CURLoption option, Value value);

  struct end_easy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  };
  struct end_list {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  std::unique_ptr<curl_slist, end_list> headers_;
  std::unique_ptr<CURL, end_easy> easy_;
  std::chrono::milliseconds timeout_;
  std::size_t longest_answer_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::size_t header_bytes_ = 0;
  std::string answer_;
};

}  // namespace zo::detail::services
