// HTTPS: whom to trust.
#include "certificates.hpp"

#include <httplib.h>

#include <cmath>

#include "service/servers.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;

// A good service by https.
class safe_server {
 public:
  safe_server(const std::string& certificate, const std::string& key)
      : server_(certificate.c_str(), key.c_str()) {
    server_.Post("/ask", [](const httplib::Request& asked, httplib::Response& answer) {
      answer.set_content(good_answer(asked.body), "application/json");
    });
    server_.set_tcp_nodelay(true);
    server_.set_keep_alive_max_count(1000);
    port_ = server_.bind_to_any_port("127.0.0.1");
    listening_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  safe_server(const safe_server&) = delete;
  safe_server& operator=(const safe_server&) = delete;
  ~safe_server() {
    server_.stop();
    listening_.join();
  }
  std::string address(const std::string& host = "localhost") const {
    return "https://" + host + ":" + std::to_string(port_) + "/ask";
  }

 private:
  httplib::SSLServer server_;
  int port_ = 0;
  std::thread listening_;
};

const std::vector<double> somewhere{1, 2, 3};

std::string failure_at(const std::string& address, const std::string& authority) {
  zo::service_options how;
  how.certificates = authority;
  const zo::service f(address, how);
  const std::string sentence =
      failure_of([&] { EXPECT_EQ(f(somewhere), valley<double>(somewhere)); });
  EXPECT_EQ(f.requests(), 1);  // no use in asking again
  return sentence;
}

void expect_said(const std::string& sentence, const std::string& part) {
  EXPECT_NE(sentence.find(part), sentence.npos) << part << "\nis not in\n" << sentence;
}

TEST(service_certificates, that_hold) {
  const certificates own;
  const safe_server safe(own.of("localhost"), own.key());
  zo::service_options how{.workers = 2, .points_per_request = 2};
  how.certificates = own.authority();
  const zo::service f(safe.address(), how);
  const std::vector<double> x = ramp<double>(12);
  std::vector<double> losses(12);
  for (int k = 0; k < 3; ++k) {
    f.batch()(zo::points<double>{x, 12, 1}, losses);
    for (std::size_t i = 0; i < 12; ++i) {
      EXPECT_EQ(losses[i], valley(std::span<const double>(x).subspan(i, 1)));
    }
  }
}

TEST(service_certificates, that_do_not) {
  const std::string words = "shows a certificate that does not hold: ";
  const certificates own;
  const std::string good = own.of("localhost");
  const safe_server safe(good, own.key());
  expect_said(failure_at(safe.address(), ""), words);  // the system does not know this authority
  expect_said(failure_at(safe.address("127.0.0.1"), own.authority()), words);  // not its name
  const safe_server other(own.of("example.com"), own.key());
  expect_said(failure_at(other.address(), own.authority()), words);
  const safe_server self_signed(own.authority(), own.key());
  expect_said(failure_at(self_signed.address(), ""), words);
  const safe_server late(own.of("localhost", "-1"), own.key());
  expect_said(failure_at(late.address(), own.authority()), words);
}

TEST(service_certificates, that_are_no_file_of_certificates) {
  const certificates own;
  const safe_server safe(own.of("localhost"), own.key());
  expect_said(failure_at(safe.address(), "/etc/passwd"),
              "cannot be asked: \"error setting certificate");
}

TEST(service_certificates, of_who_speaks_no_https) {
  const server plain(be_good, 0, "HTTP/1.1 400 What?\r\n\r\n");
  const std::string address = "https://localhost:" + std::to_string(plain.port()) + "/ask";
  expect_said(failure_at(address, ""), "wrong version number");
}

}  // namespace
