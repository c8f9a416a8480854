#include "service/recipe.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "process/text.hpp"
#include "zo/error.hpp"

namespace zo::detail::services {
namespace {

using programs::quoted;

constexpr const char* who = "zo::service: ";

void check(const service_options& options) {
  require(options.workers >= 1 && options.workers <= 1000, who,
          "workers must be at least 1 and at most 1000, got ", options.workers);
  require(options.points_per_request >= 1, who, "points_per_request must be at least 1, got ",
          options.points_per_request);
  require(options.longest_answer >= 1, who, "longest_answer must be at least 1 byte, got ",
          options.longest_answer);
  constexpr std::chrono::milliseconds month = std::chrono::hours(24 * 20);  // what a long can count
  const auto within = [&](const char* name, std::chrono::milliseconds given, int least) {
    require(given.count() >= least && given <= month, who, name, " must be at least ", least,
            " ms and at most 20 days, got ", static_cast<index_t>(given.count()), " ms");
  };
  within("timeout", options.timeout, 1);
  within("patience", options.patience, 0);
  within("first_pause", options.first_pause, 1);
  within("longest_pause", options.longest_pause, 1);
  for (const auto& rate : {options.requests_per_second, options.points_per_second}) {
    require(!rate || (*rate >= 1e-6 && *rate <= 1e9), who,
            "requests_per_second and points_per_second must be between 1e-6 and 1e9, got ",
            rate.value_or(0));
  }
}

// By its name or number; 127.0.0.1.example.com is somewhere else.
bool means_this_machine(const std::string& host) {
  in_addr number{};
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && inet_pton(AF_INET, host.c_str(), &number) == 1);
}

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

// The value of an environment variable that is to be kept secret.
std::string secret_of(const std::string& variable) {
  const char* const found = std::getenv(variable.c_str());
  require(found != nullptr && *found != '\0', who, "headers wants the environment variable ",
          quoted(variable), ", which is not set");
  const std::string value = found;
  require(std::ranges::none_of(value, is_control), who, "the environment variable ",
          quoted(variable), " has a line end or another control character in it");
  return value;
}

std::string with_secrets(const std::string& header, std::vector<std::string>& secrets) {
  std::string text;
  for (std::size_t at = 0; at < header.size();) {
    const std::size_t mark = header.find("${", at);
    text += header.substr(at, mark == header.npos ? mark : mark - at);
    if (mark == header.npos) break;
    const std::size_t end = header.find('}', mark);
    require(end != header.npos, who, "headers has \"${\" without \"}\"");
    secrets.push_back(secret_of(header.substr(mark + 2, end - mark - 2)));
    text += secrets.back();
    at = end + 1;
  }
  return text;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
}

}  // namespace

recipe::recipe(const std::string& given, const service_options& options) : address(given) {
  check(options);
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
  const bool good = curl_url_set(url.get(), CURLUPART_URL, given.c_str(), 0) == CURLUE_OK;
  const std::string scheme = good ? part_of(url.get(), CURLUPART_SCHEME) : "";
  require(scheme == "http" || scheme == "https", who,
          "the address is http:// or https://, a host, perhaps a port, and a path; got ",
          quoted(given.substr(0, given.find('?'))));
  require(
      part_of(url.get(), CURLUPART_USER).empty() && part_of(url.get(), CURLUPART_PASSWORD).empty(),
      who,
      "no name or password in the address; name an environment variable in headers: "
      "\"Authorization: Bearer ${MY_TOKEN}\"");
  require(part_of(url.get(), CURLUPART_FRAGMENT).empty(), who, "no \"#\" in the address");
  const std::string host = part_of(url.get(), CURLUPART_HOST);
  is_here = means_this_machine(host);
  curl_url_set(url.get(), CURLUPART_QUERY, nullptr, 0);
  name = part_of(url.get(), CURLUPART_URL);

  for (const std::string& one : options.headers) {
    const std::size_t colon = one.find(':');
    require(colon != one.npos && colon > 0 && one.find_first_of(" \t") > colon &&
                std::ranges::none_of(one, is_control),
            who, "headers consists of \"Name: value\", without line ends");
    headers.push_back(with_secrets(one, secrets));
  }
  require(
      secrets.empty() || scheme == "https" || is_here, who,
      "a secret of the environment is not sent by http://, where all on the way can read it, but "
      "to this machine; use https://");
  require(options.certificates.empty() || scheme == "https", who, "certificates are for https://");
  require(options.certificates.empty() || std::ifstream(options.certificates).good(), who,
          "certificates names ", quoted(options.certificates), ", which cannot be read");
}

std::string recipe::blotted(std::string text) const {
  constexpr std::string_view blot = "***", cut = "…";
  for (const std::string& secret : secrets) {
    replace_all(text, secret, blot);
    constexpr std::size_t telling = 4;
    for (std::size_t length = secret.size(); length-- > telling;) {
      replace_all(text, secret.substr(0, length) + std::string(cut),
                  std::string(blot) + std::string(cut));
    }
  }
  return text;
}

}  // namespace zo::detail::services
