// A black box behind an address, to copy: POST /ask answers points, until it is killed.
//   service_example PORT
#include <httplib.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using nlohmann::json;

double f(const std::vector<double>& x) {
  const double a = 1 - x.at(0), b = x.at(1) - x.at(0) * x.at(0);
  return a * a + 100 * b * b;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: service_example PORT\n");
    return 2;
  }
  httplib::Server server;
  server.Post("/ask", [](const httplib::Request& request, httplib::Response& response) {
    json answers = json::array(), failures = json::array();
    try {
      const json asked = json::parse(request.body);
      for (const json& x : asked.at("points")) {
        const double y = f(x.get<std::vector<double>>());
        const bool finite = std::isfinite(y);  // JSON has no other numbers
        answers.push_back(finite ? json(y) : json());
        failures.push_back(finite ? json() : json("f is not finite here"));
      }
      response.set_content(json{{"answers", answers}, {"failures", failures}}.dump(),
                           "application/json");
    } catch (const std::exception& error) {
      response.status = 400;
      response.set_content(error.what(), "text/plain");
    }
  });
  server.set_tcp_nodelay(true);                // or the end of an answer waits for 40 ms
  server.set_keep_alive_max_count(1'000'000);  // of questions over a connection
  server.listen("127.0.0.1", std::stoi(argv[1]));
  std::fprintf(stderr, "service_example: port %s of this machine cannot be used\n", argv[1]);
  return 1;
}
