// What a question to a service costs beyond the request that it is.
#include <httplib.h>

#include <charconv>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include <zo/service.hpp>

#include "claims.hpp"

namespace bench {
namespace {

// A service on this machine that answers as fast as it can.
class half_of_anything {
 public:
  half_of_anything() {
    server_.Post("/", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("{\"answers\":[0.5]}", "application/json");
    });
    server_.set_tcp_nodelay(true);
    server_.set_keep_alive_max_count(1'000'000'000);
    port_ = server_.bind_to_any_port("127.0.0.1");
    listening_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  half_of_anything(const half_of_anything&) = delete;
  half_of_anything& operator=(const half_of_anything&) = delete;
  ~half_of_anything() {
    server_.stop();
    listening_.join();
  }
  int port() const { return port_; }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread listening_;
};

// A request with a number in it, over a connection that is kept.
class bare_request {
 public:
  explicit bare_request(int port) : client_("127.0.0.1", port) {
    client_.set_keep_alive(true);
    client_.set_tcp_nodelay(true);
  }
  double operator()(double x) {
    std::string body = "{\"points\":[[";
    std::array<char, 32> text{};
    body.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), x).ptr);
    body += "]]}";
    const httplib::Result result = client_.Post("/", body, "application/json");
    double answer = 0;
    if (!result) return answer;
    const std::string& said = result->body;
    std::from_chars(said.data() + said.find('[') + 1, said.data() + said.size(), answer);
    return answer;
  }

 private:
  httplib::Client client_;
};

outcome questions_to_a_service(timing clock, const effort& effort) {
  constexpr int questions = 50;
  const half_of_anything server;
  const zo::service kept("http://127.0.0.1:" + std::to_string(server.port()) + "/");
  bare_request bare(server.port());
  const auto ask_each = [](const auto& ask) {
    for (int k = 0; k < questions; ++k) {
      if (ask(1.0 / (k + 3)) != 0.5) throw std::runtime_error("the service answers otherwise");
    }
  };
  const auto ours = [&] {
    ask_each([&](double x) { return kept(std::span<const double>(&x, 1)); });
  };
  const auto theirs = [&] { ask_each([&](double x) { return bare(x); }); };
  return times_the_bare_cost(compare(clock, effort, ours, theirs), questions * 1e3);
}

}  // namespace

std::vector<claim> service_claims() {
  return {
      {"Question to a service on this machine, from the question to its answer",
       "a bare HTTP request", "us/question", bar::at_most, 2,
       [](const effort& how) { return questions_to_a_service(timing::wall, how); }},
      {"The same, processor time of the thread that asks", "a bare HTTP request", "us/question",
       bar::none, 0, [](const effort& how) { return questions_to_a_service(timing::thread, how); }},
  };
}

}  // namespace bench
