// A good service that is killed:
//   service_child PORT [CERTIFICATE KEY]      https with the last two
#include <httplib.h>
#include <unistd.h>

#include "service/servers.hpp"

int main(int argc, char** argv) {
  using namespace testing_zo;
  alarm(120);  // a test that fails leaves nothing behind for long
  const int port = std::stoi(argv[1]);
  if (argc < 4) {
    const server good(be_good, port);
    for (;;) pause();
  }
  httplib::SSLServer good(argv[2], argv[3]);
  good.Post("/ask", [](const httplib::Request& asked, httplib::Response& answer) {
    answer.set_content(good_answer(asked.body), "application/json");
  });
  good.set_tcp_nodelay(true);
  good.listen("127.0.0.1", port);
}
