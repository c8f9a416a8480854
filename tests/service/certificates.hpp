// Certificates that a test makes for itself, with the openssl command.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace testing_zo {

/// An authority of its own, and what it vouches for.
class certificates {
 public:
  certificates() {
    std::filesystem::create_directories(folder_);
    openssl("ecparam -genkey -name prime256v1 -noout -out " + key());
    openssl("req -x509 -new -key " + key() + " -subj /CN=authority -days 2 -out " + authority());
  }
  certificates(const certificates&) = delete;
  certificates& operator=(const certificates&) = delete;
  ~certificates() { std::filesystem::remove_all(folder_); }

  /// The file with the certificate of a host.
  std::string of(const std::string& host, const std::string& days = "2") const {
    const std::string file = folder_ + "/" + host + days + ".pem", asked = folder_ + "/asked.pem",
                      extension = folder_ + "/names";
    [[maybe_unused]] const int echoed =
        std::system(("echo subjectAltName=DNS:" + host + " >" + extension).c_str());
    openssl("req -new -key " + key() + " -subj /CN=service -out " + asked);
    openssl("x509 -req -in " + asked + " -CA " + authority() + " -CAkey " + key() +
            " -CAcreateserial -days " + days + " -extfile " + extension + " -out " + file);
    return file;
  }
  std::string key() const { return folder_ + "/key.pem"; }
  std::string authority() const { return folder_ + "/authority.pem"; }

 private:
  void openssl(const std::string& what) const {
    const std::string command = "openssl " + what + " 2>" + folder_ + "/errors";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::string folder_ = testing::TempDir() + "zo-certificates-" + std::to_string(getpid());
};

}  // namespace testing_zo
