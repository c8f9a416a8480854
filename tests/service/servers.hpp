// Servers on loopback that answer as zo::service wants it, or in any other way.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../process/function.hpp"
#include "zo/service.hpp"

namespace testing_zo {

/// A number of an answer, as JSON has it.
inline nlohmann::json json_number(double y) {
  if (std::isfinite(y)) return y;
  return std::isnan(y) ? "nan" : y > 0 ? "inf" : "-inf";
}

/// What a good service answers: valley, noisy_valley of a sample or of rows; `mapped` numbers a
/// point where `outputs` is not 0.
inline std::string good_answer(const std::string& question, std::size_t outputs = 0) {
  const auto asked = nlohmann::json::parse(question);
  auto answers = nlohmann::json::array();
  for (std::size_t k = 0; k < asked.at("points").size(); ++k) {
    const auto x = asked["points"][k].get<std::vector<double>>();
    const std::span<const double> all(x);
    if (outputs > 0) {
      answers.push_back(nlohmann::json::array());
      for (std::size_t i = 0; i < outputs; ++i) answers.back().push_back(mapped(all, i));
    } else if (asked.contains("sample")) {
      answers.push_back(noisy_valley(all, asked["sample"].get<std::uint64_t>()));
    } else if (asked.contains("rows")) {
      answers.push_back(noisy_valley(all, asked["rows"][k].get<std::uint64_t>()));
    } else {
      answers.push_back(valley(all));
    }
  }
  return nlohmann::json{{"answers", answers}}.dump();
}

/// Points of a question.
inline std::size_t points_in(const std::string& question) {
  return nlohmann::json::parse(question).at("points").size();
}

/// A connection as a server sees it.
class visitor {
 public:
  explicit visitor(int socket) : socket_(socket) {}

  struct request {
    std::string head, body;
  };
  /// False where the client has gone.
  bool read(request& asked) {
    std::size_t end = 0;
    while ((end = text_.find("\r\n\r\n")) == text_.npos) {
      if (!more()) return false;
    }
    asked.head = text_.substr(0, end + 2);
    const std::size_t at = asked.head.find("Content-Length: ");
    const std::size_t size = at == asked.head.npos ? 0 : std::stoul(asked.head.substr(at + 16));
    while (text_.size() < end + 4 + size) {
      if (!more()) return false;
    }
    asked.body = text_.substr(end + 4, size);
    text_.erase(0, end + 4 + size);
    return true;
  }

  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  bool answer(std::string_view body, std::string_view status = "200 OK",
              std::string_view headers = "") {
    std::string text = "HTTP/1.1 ";
    text.append(status).append("\r\nContent-Length: ").append(std::to_string(body.size()));
    text.append("\r\n").append(headers).append("\r\n").append(body);
    return send(text);
  }
  /// The client sees a connection that was reset.
  void reset() {
    const linger at_once{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    leave = true;
  }

  bool leave = false;  ///< close when the behaviour returns

 private:
  bool more() {
    char bytes[1 << 14];
    const ssize_t got = recv(socket_, bytes, sizeof bytes, 0);
    if (got > 0) text_.append(bytes, static_cast<std::size_t>(got));
    return got > 0;
  }

  int socket_;
  std::string text_;
};

/// Does to each request what it is told to, each connection in a thread of its own.
class server {
 public:
  using behaviour = std::function<void(visitor& who, const visitor::request& asked)>;

  /// `greeting` is said before anything is asked.
  explicit server(behaviour what, int port = 0, std::string greeting = "")
      : what_(std::move(what)), greeting_(std::move(greeting)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_, generic, size) != 0 || listen(listener_, 64) != 0) {
      ADD_FAILURE() << "no server on loopback";
    }
    getsockname(listener_, generic, &size);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() {
    going_ = false;
    shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    close(listener_);
    {
      const std::lock_guard lock(mutex_);
      for (const int one : open_) shutdown(one, SHUT_RDWR);
    }
    for (std::thread& one : threads_) one.join();
  }

  int port() const { return port_; }
  std::string address(const std::string& path = "/ask") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  int connections() const { return connections_; }
  int requests() const { return requests_; }
  /// Whether a behaviour that takes its time should go on.
  bool going() const { return going_; }

 private:
  void accept_all() {
    while (going_) {
      const int one = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (one < 0) continue;
      const int on = 1;
      setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ++connections_;
      const std::lock_guard lock(mutex_);
      open_.push_back(one);
      threads_.emplace_back([this, one] { serve(one); });
    }
  }
  void serve(int socket) {
    visitor who(socket);
    who.send(greeting_);
    for (visitor::request asked; !who.leave && who.read(asked);) {
      ++requests_;
      what_(who, asked);
    }
    const std::lock_guard lock(mutex_);
    open_.remove(socket);
    close(socket);
  }

  behaviour what_;
  std::string greeting_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> going_{true};
  std::atomic<int> connections_{0}, requests_{0};
  std::thread accepting_;
  std::mutex mutex_;
  std::list<int> open_;
  std::list<std::thread> threads_;
};

/// Answers well.
inline void be_good(visitor& who, const visitor::request& asked) {
  who.answer(good_answer(asked.body));
}

/// The sentence of a question that fails.
template <class Ask>
std::string failure_of(const Ask& ask) {
  try {
    ask();
  } catch (const zo::service_error& error) {
    return error.what();
  }
  return "nothing failed";
}

}  // namespace testing_zo
