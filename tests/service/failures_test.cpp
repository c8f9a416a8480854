// Questions that are not answered, each with a sentence that says why; requests that are repeated.
#include <cmath>
#include <cstdlib>

#include "service/servers.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using std::chrono::milliseconds;
using std::chrono::seconds;

const std::vector<double> somewhere{1, 2, 3};
const zo::service_options impatient{.timeout = milliseconds(300), .patience = milliseconds(0)};
const zo::service_options patient{.first_pause = milliseconds(1), .longest_pause = milliseconds(4)};

void expect_said(const std::string& sentence, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(sentence.find(part), sentence.npos) << part << "\nis not in\n" << sentence;
  }
  EXPECT_LT(sentence.size(), 600u) << sentence;
}

std::string failure_at(const server& to, const zo::service_options& how = impatient) {
  const zo::service f(to.address(), how);
  const std::string sentence = failure_of([&] { f(somewhere); });
  EXPECT_EQ(f.last_failure(), sentence == "nothing failed" ? "" : sentence);
  return sentence;
}

std::string failure_of_answer(const std::string& body, const std::string& status = "200 OK",
                              const std::string& headers = "") {
  const server talker(
      [&](visitor& who, const visitor::request&) { who.answer(body, status, headers); });
  return failure_at(talker);
}

TEST(service_failures, of_answers) {
  expect_said(failure_of_answer("hello"), {"zo::service: http://127.0.0.1:",
                                           "/ask answered what is "
                                           "no JSON: \"hello\""});
  expect_said(failure_of_answer(""), {"no JSON"});
  expect_said(failure_of_answer("{\"answers\": [1"), {"no JSON"});
  expect_said(failure_of_answer("{\"answers\": [NaN]}"), {"no JSON"});
  expect_said(failure_of_answer("{\"answers\": [1e999]}"), {"no JSON"});
  expect_said(failure_of_answer("[1]"), {"JSON without an array \"answers\": \"[1]\""});
  expect_said(failure_of_answer("{\"answers\": 1}"), {"without an array \"answers\""});
  expect_said(failure_of_answer("{\"answers\": []}"), {"gave 0 answers to 1 point"});
  expect_said(failure_of_answer("{\"answers\": [1, 2]}"), {"gave 2 answers to 1 point"});
  expect_said(failure_of_answer("{\"answers\": [[1, 2]]}"),
              {"answered 2 numbers where 1 number is wanted"});
  expect_said(failure_of_answer("{\"answers\": [true]}"), {"answered \"true\", no number"});
  expect_said(failure_of_answer("{\"answers\": [\"7\"]}"), {"no number"});
  expect_said(failure_of_answer("{\"answers\": [null]}"), {"has no answer, null"});
  expect_said(failure_of_answer("{\"answers\": [null], \"failures\": [\"no\nlicence\"]}"),
              {"no JSON"});  // a line end in a text is none
  expect_said(failure_of_answer("{\"answers\": [null], \"failures\": [\"no\\nlicence\"]}"),
              {"says that it failed: \"no?licence\""});
  expect_said(failure_of_answer("{\"answers\": [null], \"failures\": [{\"code\": 7}]}"), {"code"});
  expect_said(failure_of_answer(std::string(100'000, '[')), {"no JSON: \"[[["});
  expect_said(failure_of_answer("{\"answers\": [" + std::string(50'000, '[') +
                                std::string(50'000, ']') + "]}"),
              {"no number"});
}

TEST(service_failures, of_vectors) {
  const server talker([&](visitor& who, const visitor::request&) {
    who.answer("{\"answers\": [[1, 2], 3, [4, \"x\"], [5, 6, 7]]}");
  });
  const zo::service f(talker.address(), impatient);
  const std::vector<double> x = ramp<double>(4);
  std::vector<double> y(8, -7);
  f.vector()(zo::points<double>{x, 4, 1}, y);
  EXPECT_EQ(y, (std::vector<double>{1, 2, -7, -7, -7, -7, -7, -7}));
  expect_said(f.last_failure(), {"answered 3 numbers where 2 numbers are wanted"});
}

TEST(service_failures, of_status) {
  expect_said(failure_of_answer("{\"answers\": [1]}", "500 Oh"), {"answered with status 500: \"{"});
  expect_said(failure_of_answer("who are you?", "401 No"), {"status 401: \"who are you?\""});
  expect_said(failure_of_answer("", "404 Not Found"), {"status 404"});
  expect_said(failure_of_answer("later", "503 No"), {"status 503: \"later\""});
  expect_said(failure_of_answer(std::string(1'000'000, 'x'), "400 No"), {"xxx…\""});
}

TEST(service_failures, of_redirects) {
  std::atomic<int> elsewhere{0};
  const server other([&](visitor& who, const visitor::request& asked) {
    ++elsewhere;
    be_good(who, asked);
  });
  for (const char* status : {"301 M", "302 F", "303 S", "307 T", "308 P"}) {
    expect_said(failure_of_answer("", status, "Location: " + other.address() + "\r\n"),
                {std::string("status ") + std::string(status, 3),
                 "a redirect to \"" + other.address(), "not followed"});
  }
  EXPECT_EQ(elsewhere, 0);
}

TEST(service_failures, of_what_is_no_http) {
  const auto said = [](const std::string& text, bool leave = true) {
    const server talker([&](visitor& who, const visitor::request&) {
      who.send(text);
      who.leave = leave;
    });
    return failure_at(talker);
  };
  expect_said(said("garbage\r\n\r\n"), {"cannot be asked: \"Received HTTP/0.9"});
  expect_said(said(""), {"broke the connection before its answer was complete"});
  expect_said(said("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"answers\""),
              {"broke the connection"});
  expect_said(said("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), {"zo::service"});
  expect_said(said("HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n"), {"zo::service"});
  expect_said(said("HTTP/1.1 200 " + std::string(3'000'000, 'a')), {"zo::service"});
  std::string many = "HTTP/1.1 200 OK\r\n";
  while (many.size() < 1'000'000) many += "Header: " + std::string(1000, 'a') + "\r\n";
  expect_said(said(many), {"sent more than 65536 bytes of headers"});
}

TEST(service_failures, of_late_answers) {
  const server silent([](visitor&, const visitor::request&) {});
  expect_said(failure_at(silent),
              {"gave no whole answer within 0.3 s (zo::service_options::timeout)"});
}

// A byte now and then is no answer either: in the status, the headers, the body.
TEST(service_failures, of_slow_answers) {
  const std::string whole =
      "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + std::string(400, ' ');
  for (const std::size_t start : {std::size_t{0}, std::size_t{20}, std::size_t{60}}) {
    const server* self = nullptr;
    const server slow([&](visitor& who, const visitor::request&) {
      who.send(whole.substr(0, start));
      for (std::size_t at = start; at < whole.size() && self->going(); ++at) {
        if (!who.send(whole.substr(at, 1))) break;
        std::this_thread::sleep_for(milliseconds(20));
      }
      who.leave = true;
    });
    self = &slow;
    expect_said(failure_at(slow), {"gave no whole answer within 0.3 s"});
  }
}

TEST(service_failures, of_answers_without_end) {
  const server* self = nullptr;
  std::atomic<long> sent{0};
  const server flood([&](visitor& who, const visitor::request&) {
    who.send("HTTP/1.1 200 OK\r\n\r\n");
    const std::string much(1 << 16, '1');
    while (self->going() && who.send(much)) sent += 1 << 16;
    who.leave = true;
  });
  self = &flood;
  const zo::service f(flood.address(), {.timeout = seconds(60), .longest_answer = 1 << 20});
  expect_said(
      failure_of([&] { f(somewhere); }),
      {"sent an answer longer than 1048576 bytes (zo::service_options::longest_answer): \"111"});
  EXPECT_EQ(f.requests(), 1);
  EXPECT_LT(sent, 64l << 20);  // what lies in the buffers of two sockets
}

// Questions that nobody reads, longer than sockets hold: no signal kills this program.
TEST(service_failures, to_listen_cause_no_sigpipe) {
  const server deaf([](visitor& who, const visitor::request&) { who.reset(); });
  const zo::service f(deaf.address(), impatient);
  for (int k = 0; k < 5; ++k) {
    expect_said(failure_of([&] { f(std::vector<double>(100'000, 0.1)); }), {"zo::service"});
  }
}

TEST(service_failures, of_addresses_where_nobody_is) {
  int port = 0;
  { port = server(be_good).port(); }
  const zo::service f("http://127.0.0.1:" + std::to_string(port), impatient);
  expect_said(failure_of([&] { f(somewhere); }), {"cannot be reached", "refused"});
  const zo::service g("http://no-such-host.invalid/", patient);
  expect_said(failure_of([&] { g(somewhere); }), {"cannot be found: \"Could not resolve host"});
  EXPECT_EQ(g.requests(), 1);
}

TEST(service_failures, of_some_points_of_a_batch_leave_the_others) {
  const server choosy([](visitor& who, const visitor::request& asked) {
    const auto points = nlohmann::json::parse(asked.body)["points"];
    if (points[0][0] == 9) return void(who.answer("no", "500 No"));
    auto answers = nlohmann::json::array(), failures = answers;
    for (const auto& x : points) {
      const bool bad = x[0] < 0;
      answers.push_back(bad ? nlohmann::json() : x[0]);
      failures.push_back(bad ? nlohmann::json("below 0") : nlohmann::json());
    }
    who.answer(nlohmann::json{{"answers", answers}, {"failures", failures}}.dump());
  });
  for (const int workers : {1, 3}) {
    const zo::service f(choosy.address(), {.workers = workers, .points_per_request = 2});
    const std::vector<double> x{1, -2, -3, -4, 9, 5, 6};
    std::vector<double> losses(x.size(), -7);
    f.batch()(zo::points<double>{x, 7, 1}, losses);
    EXPECT_EQ(losses, (std::vector<double>{1, -7, -7, -7, -7, -7, 6}));
    EXPECT_NE(f.last_failure(), "");
    const std::vector<double> bad{-1, -2, 9};
    expect_said(failure_of([&] {
                  f.batch()(zo::points<double>{bad, 3, 1}, losses);
                }),
                {"zo::service"});
  }
}

// Fails twice, then answers.
TEST(service_failures, are_repeated_where_that_may_help) {
  std::string status;
  std::atomic<int> bad{0};
  const server moody([&](visitor& who, const visitor::request& asked) {
    if (bad-- <= 0) return be_good(who, asked);
    if (status == "lost") return void(who.leave = true);
    if (status == "reset") return who.reset();
    if (status == "half") {
      who.send("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{\"answers\": [1");
      return void(who.leave = true);
    }
    who.answer("not now", status);
  });
  for (const char* kind :
       {"429 Many", "502 Bad", "503 Busy", "504 Late", "lost", "reset", "half"}) {
    status = kind;
    bad = 2;
    const zo::service f(moody.address(), patient);
    EXPECT_EQ(f(somewhere), valley<double>(somewhere)) << kind;
    EXPECT_LE(f.requests(), 3) << kind;
    EXPECT_EQ(f.last_failure(), "") << kind;
  }
}

TEST(service_failures, are_repeated_until_patience_ends) {
  const server busy([&](visitor& who, const visitor::request&) { who.answer("full", "503 Busy"); });
  zo::service_options how = patient;
  how.patience = milliseconds(50);
  const zo::service f(busy.address(), how);
  expect_said(failure_of([&] { f(somewhere); }),
              {"status 503: \"full\"; this was try number ", " s (zo::service_options::patience)"});
  EXPECT_GT(f.requests(), 5);
  EXPECT_EQ(f.requests(), busy.requests());
}

TEST(service_failures, are_repeated_when_the_service_wants_it) {
  using clock = std::chrono::steady_clock;
  std::string when;
  std::atomic<int> bad{0};
  const server busy([&](visitor& who, const visitor::request& asked) {
    if (bad-- <= 0) return be_good(who, asked);
    who.answer("", "429 Many", "Retry-After: " + when + "\r\n");
  });
  const auto seconds_of = [&] {
    bad = 1;
    const zo::service f(busy.address(), patient);
    const auto start = clock::now();
    EXPECT_EQ(f(somewhere), valley<double>(somewhere));
    return std::chrono::duration<double>(clock::now() - start).count();
  };
  when = "1";
  EXPECT_GE(seconds_of(), 1);
  const std::time_t in_two_seconds = std::time(nullptr) + 2;
  char date[64];
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&in_two_seconds));
  when = date;
  EXPECT_GT(seconds_of(), 0.5);
  when = "86400";
  bad = 1;
  const zo::service f(busy.address(), patient);
  expect_said(failure_of([&] { f(somewhere); }), {"429, and to come back after 86400 s"});
  EXPECT_EQ(f.requests(), 1);
}

TEST(service_failures, tell_no_secret) {
  setenv("ZO_TEST_TOKEN", "s3cr3t-t0k3n", 1);
  std::atomic<bool> seen{false};
  const server nosy([&](visitor& who, const visitor::request& asked) {
    seen = seen || asked.head.find("\r\nX-Key: Bearer s3cr3t-t0k3n!\r\n") != asked.head.npos;
    const int pad = static_cast<int>(asked.body.size() % 16);
    if (asked.body.find("\"sample\"") == asked.body.npos) {
      return void(who.answer(asked.head, "401 No"));
    }
    who.answer(std::string(190 + static_cast<std::size_t>(pad), 'x') + "s3cr3t-t0k3n");
  });
  const zo::service f(nosy.address("/ask?key=hidden"),
                      {.headers = {"X-Key: Bearer ${ZO_TEST_TOKEN}!"}});
  unsetenv("ZO_TEST_TOKEN");
  const std::string sentence = failure_of([&] { f(somewhere); });
  EXPECT_EQ(sentence.find("s3cr"), sentence.npos) << sentence;
  EXPECT_NE(sentence.find("status 401"), sentence.npos) << sentence;
  EXPECT_TRUE(sentence.starts_with("zo::service: " + nosy.address() + " answered")) << sentence;
  for (std::uint64_t sample = 1; sample < 1'000'000'000'000'000; sample *= 10) {  // cut anywhere
    const std::string cut = failure_of([&] { f.sampled()(somewhere, sample); });
    EXPECT_NE(cut.find("no JSON"), cut.npos) << cut;
    EXPECT_EQ(cut.find("s3cr"), cut.npos) << cut;
  }
  EXPECT_TRUE(seen);
}

TEST(service_failures, of_options) {
  const auto refused = [](const std::string& address, const zo::service_options& how,
                          const std::string& part) {
    try {
      zo::service(address, how);
      ADD_FAILURE() << address << " is taken";
    } catch (const std::invalid_argument& error) {
      expect_said(error.what(), {"zo::service: ", part});
    }
  };
  const std::string good = "https://example.com/ask";
  for (const char* bad :
       {"", "example.com", "ftp://example.com/", "file:///etc/passwd", "http://", "http://:80/"}) {
    refused(bad, {}, "the address is http");
  }
  refused("https://me:word@example.com/", {}, "no name or password in the address");
  refused(good + "#part", {}, "no \"#\"");
  refused(good, {.workers = 0}, "workers must be at least 1");
  refused(good, {.points_per_request = 0}, "points_per_request");
  refused(good, {.timeout = milliseconds(0)}, "timeout must be at least 1 ms");
  refused(good, {.timeout = milliseconds::max()}, "timeout");
  refused(good, {.patience = milliseconds(-1)}, "patience");
  refused(good, {.first_pause = milliseconds(0)}, "first_pause");
  refused(good, {.longest_pause = milliseconds(0)}, "longest_pause");
  refused(good, {.requests_per_second = 0}, "requests_per_second");
  refused(good, {.points_per_second = std::nan("")}, "points_per_second");
  refused(good, {.longest_answer = 0}, "longest_answer");
  refused(good, {.headers = {"no value"}}, "headers consists of");
  refused(good, {.headers = {"A: b\r\nC: d"}}, "headers consists of");
  refused(good, {.headers = {"A: ${ZO_TEST_NOWHERE}"}}, "\"ZO_TEST_NOWHERE\", which is not set");
  refused(good, {.headers = {"A: ${B"}}, "without \"}\"");
  refused(good, {.certificates = "/no/such/file"}, "cannot be read");
  refused("http://127.0.0.1/", {.certificates = "/etc/passwd"}, "certificates are for https");
  setenv("ZO_TEST_TOKEN", "a\r\nb", 1);
  refused(good, {.headers = {"A: ${ZO_TEST_TOKEN}"}}, "has a line end");
  setenv("ZO_TEST_TOKEN", "secret", 1);
  refused("http://example.com/", {.headers = {"A: ${ZO_TEST_TOKEN}"}}, "not sent by http://");
  EXPECT_NO_THROW(zo::service("http://localhost:1/", {.headers = {"A: ${ZO_TEST_TOKEN}"}}));
  EXPECT_NO_THROW(zo::service("http://[::1]:1/", {.headers = {"A: ${ZO_TEST_TOKEN}"}}));
  refused("http://127.0.0.1.example.com/", {.headers = {"A: ${ZO_TEST_TOKEN}"}},
          "not sent by http://");
  unsetenv("ZO_TEST_TOKEN");
}

// Also where a connection is waited for, or the end of a pause.
TEST(service_failures, end_when_the_wait_is_interrupted) {
  const server silent([](visitor&, const visitor::request&) {});
  const server busy([](visitor& who, const visitor::request&) { who.answer("", "503 Busy"); });
  for (const server* one : {&silent, &busy}) {
    std::atomic<int> waited{0};
    const zo::service f(one->address(), {.first_pause = seconds(20), .while_waiting = [&] {
                                           if (++waited > 3) throw zo::interrupted("stopped");
                                         }});
    EXPECT_THROW(f(somewhere), zo::interrupted);
    std::vector<std::thread> both;
    for (int k = 0; k < 2; ++k) {
      both.emplace_back([&] { EXPECT_THROW(f(somewhere), zo::interrupted); });
    }
    for (std::thread& thread : both) thread.join();
  }
}

}  // namespace
