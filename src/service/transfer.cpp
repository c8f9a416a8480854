#include "service/transfer.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <system_error>

#include "process/text.hpp"
#include "zo/error.hpp"

namespace zo::detail::services {
namespace {

using programs::quoted;

constexpr std::size_t glimpse = 200;
constexpr std::size_t longest_headers = 1 << 16;

// Of a safe connection that is not made: whether it broke. Where the other side refuses, or does not
// understand, OpenSSL has an error with a number.
bool broke(std::string_view why) {
  return why.find("error:") == why.npos || why.find("unexpected eof") != why.npos;
}

}  // namespace

template <class Value>
void transfer::set(CURLoption option, Value value) {
  if (curl_easy_setopt(easy_.get(), option, value) != CURLE_OK) {
    throw std::runtime_error("zo::service: this libcurl does not take its option number " +
                             std::to_string(option));
  }
}

transfer::transfer(const recipe& how, const service_options& options)
    : easy_(curl_easy_init()),
      timeout_(options.timeout),
      longest_answer_(static_cast<std::size_t>(options.longest_answer)) {
  if (easy_ == nullptr) throw std::bad_alloc();
  const auto add = [&](const std::string& header) {
    curl_slist* const longer = curl_slist_append(headers_.get(), header.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    headers_.release();
    headers_.reset(longer);
  };
  add("Content-Type: application/json");
  add("Accept: application/json");
  add("Expect:");  // a long question is not announced first
  for (const std::string& header : how.headers) add(header);
  set(CURLOPT_URL, how.address.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_USERAGENT, "zo");
  set(CURLOPT_POST, 1L);
  set(CURLOPT_HTTPHEADER, headers_.get());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_HEADERFUNCTION, &transfer::take_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &transfer::take_answer);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (how.is_here) set(CURLOPT_NOPROXY, "*");
  if (!options.certificates.empty()) {  // these, and no others
    set(CURLOPT_CAINFO, options.certificates.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
}

std::size_t transfer::take_header(char*, std::size_t, std::size_t bytes, void* self) {
  transfer& mine = *static_cast<transfer*>(self);
  mine.header_bytes_ += bytes;
  return mine.header_bytes_ <= longest_headers ? bytes : 0;
}

std::size_t transfer::take_answer(char* data, std::size_t, std::size_t bytes, void* self) {
  transfer& mine = *static_cast<transfer*>(self);
  if (mine.answer_.size() + bytes > mine.longest_answer_) {
    mine.answer_.append(data, std::min(bytes, mine.longest_answer_ - mine.answer_.size() + 1));
    return 0;
  }
  mine.answer_.append(data, bytes);
  return bytes;
}

void transfer::prepare(std::string_view body) {
  answer_.clear();
  header_bytes_ = 0;
  error_.front() = '\0';
  set(CURLOPT_POSTFIELDS, body.data());
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
}

outcome transfer::end(CURLcode code, bool reached) const {
  return code == CURLE_OK ? by_status() : lost_or_failed(code, reached);
}

std::string transfer::error_of_system() const {
  long number = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &number);
  return number == 0 ? "" : ": " + std::generic_category().message(static_cast<int>(number));
}

outcome transfer::lost_or_failed(CURLcode code, bool reached) const {
  const std::string_view error = error_.front() != '\0' ? error_.data() : curl_easy_strerror(code);
  const std::string said = quoted(error, glimpse);
  switch (static_cast<int>(code)) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {reached ? fate::lost : fate::failed, "cannot be found: " + said};
    case CURLE_COULDNT_CONNECT:
      return {fate::lost, "cannot be reached: " + said + error_of_system()};
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return {fate::lost, "broke the connection before its answer was complete: " + said};
    case CURLE_SSL_CONNECT_ERROR:
      return {broke(error) ? fate::lost : fate::failed, "and we make no safe connection: " + said};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {fate::failed, "shows a certificate that does not hold: " + said +
                                "; an authority of your own goes into "
                                "zo::service_options::certificates"};
    case CURLE_OPERATION_TIMEDOUT:
      return {fate::failed, "gave no whole answer within " +
                                number_text(static_cast<double>(timeout_.count()) / 1000) +
                                " s (zo::service_options::timeout)"};
    case CURLE_WRITE_ERROR:
      if (header_bytes_ > longest_headers) {
        return {fate::failed,
                "sent more than " + std::to_string(longest_headers) + " bytes of headers"};
      }
      return {fate::failed,
              "sent an answer longer than " + std::to_string(longest_answer_) +
                  " bytes (zo::service_options::longest_answer): " + quoted(answer_, glimpse)};
    default:
      return {fate::failed, "cannot be asked: " + said};
  }
}

outcome transfer::by_status() const {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return {fate::answered};
  std::string why = "answered with status " + std::to_string(status);
  if (status == 429 || status == 502 || status == 503 || status == 504) {
    curl_off_t wait = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &wait);
    if (wait > 0) why += ", and to come back after " + std::to_string(wait) + " s";
    const std::chrono::seconds most = std::chrono::hours(24 * 365);
    return {fate::busy, why + ": " + quoted(answer_, glimpse),
            std::clamp(std::chrono::seconds(wait), std::chrono::seconds(0), most)};
  }
  const char* elsewhere = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &elsewhere);
  if (elsewhere != nullptr) {
    return {fate::failed, why + ", a redirect to " + quoted(elsewhere, glimpse) +
                              ", which is not followed: give that address if you trust it"};
  }
  return {fate::failed, why + ": " + quoted(answer_, glimpse)};
}

}  // namespace zo::detail::services
