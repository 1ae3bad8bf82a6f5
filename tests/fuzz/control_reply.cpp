// Whatever answers at the control socket's path: the command line takes it as an answer or as an
// error that it knows, and waits no longer than it said.

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <thread>

#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/control.hpp"
#include "target.hpp"

namespace schedctl::fuzz {
namespace {

/// Answers one caller with given bytes.
class Answerer {
 public:
  Answerer() : path_(scratch_ / "control") {
    listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    require(
        ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
            ::listen(listener_.get(), 8) == 0,
        "a socket can be made");
  }

  Result<std::string> ask(const std::string& answer) {
    std::thread other([&] {
      const UniqueFd caller(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::array<char, 64> request{};
      if (::recv(caller.get(), request.data(), request.size(), 0) < 0) return;
      if (::send(caller.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return;
    });
    auto result = host::control_request(path_, "ping", std::chrono::seconds(20));
    other.join();
    return result;
  }

 private:
  Scratch scratch_;
  std::string path_;
  UniqueFd listener_;
};

}  // namespace

std::vector<std::string> seeds() {
  return {"ok",
          "ok 811 1774746000000001 812",
          "error 5 it is stopping",
          "error 77 only root may do this",
          "error",
          "error ",
          "error 6",
          "error -1 x",
          "error 99999999999999999999 x",
          ""};
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  static fuzz::Answerer answerer;
  const std::string answer(reinterpret_cast<const char*>(data), size);
  const Result<std::string> result = answerer.ask(answer);
  if (result) {
    fuzz::require(*result == answer && !answer.starts_with("error "), "an answer is as it was");
  } else {
    fuzz::require(
        result.error().kind >= ErrorKind::failed && result.error().kind <= ErrorKind::config,
        "an error is of a kind that exists");
  }
  return 0;
}
