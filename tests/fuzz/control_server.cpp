// Callers of the control socket who send anything, say nothing, or leave: the server hands on what
// was asked as it was, answers or hangs up, and goes on.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/control.hpp"
#include "target.hpp"

namespace schedctl::fuzz {
namespace {

constexpr std::size_t kMostRequest = 4096;

/// A step of the input: which caller, what it does, with what.
enum Step : unsigned { ask, leave, serve, answer_late };

class Callers {
 public:
  Callers() : path_(scratch_ / "control") {
    server_ = std::move(*host::ControlServer::listen(path_));
    server_->set_handler([this](const std::string& request, host::ControlServer::Reply reply) {
      require(request.size() <= kMostRequest, "no request is longer than its limit");
      require(std::find(asked_.begin(), asked_.end(), request) != asked_.end(),
              "a request arrives as it was sent");
      // Half of them are answered later, as the daemon answers a reload.
      if (request.size() % 2 == 0) return reply("ok " + request);
      later_.push_back(std::move(reply));
    });
  }

  void run(Input& input) {
    for (int steps = 0; !input.empty() && steps < 200; ++steps) {
      const std::uint8_t what = input.byte();
      UniqueFd& caller = callers_[(what >> 2) % callers_.size()];
      switch (what & 3U) {
        case ask:
          if (!caller) caller = connect();
          ask_for(caller, input.text());
          break;
        case leave:
          caller.reset();
          break;
        case serve:
          server_->on_ready();
          break;
        case answer_late:
          if (!later_.empty()) later_.front()("ok later");
          if (!later_.empty()) later_.erase(later_.begin());
          break;
      }
      listen_to(caller);
    }
    for (UniqueFd& caller : callers_) caller.reset();
    for (pollfd more{server_->fd(), POLLIN, 0}; ::poll(&more, 1, 0) > 0;) server_->on_ready();
    later_.clear();
    asked_.clear();
  }

 private:
  UniqueFd connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      fd.reset();
    }
    return fd;
  }

  void ask_for(const UniqueFd& caller, const std::string& request) {
    if (!caller) return;
    asked_.push_back(request);
    if (::send(caller.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
      return;
    }
  }

  static void listen_to(UniqueFd& caller) {
    if (!caller) return;
    std::array<char, std::size_t{128} * 1024> reply{};
    const ssize_t n = ::recv(caller.get(), reply.data(), reply.size(), MSG_DONTWAIT);
    if (n <= 0) return;
    const std::string_view text(reply.data(), static_cast<std::size_t>(n));
    require(text.starts_with("ok ") || text.starts_with("error "), "a reply is ok or an error");
  }

  Scratch scratch_;
  std::string path_;
  std::unique_ptr<host::ControlServer> server_;
  std::array<UniqueFd, 4> callers_;
  std::vector<std::string> asked_;
  std::vector<host::ControlServer::Reply> later_;
};

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string word : {"poke", "ping", "reload", "reopen-logs", "stop-now", ""}) {
    all.push_back(Recipe().byte(ask).text(word).byte(serve).byte(serve).byte(answer_late));
  }
  all.push_back(Recipe().byte(ask).text("poke").byte(leave).byte(serve));
  all.push_back(Recipe().byte(ask).text(std::string(5000, 'x')).byte(serve).byte(serve));
  all.push_back(Recipe()
                    .byte(ask)
                    .text("ping")
                    .byte(ask | 4U)
                    .text("poke")
                    .byte(ask)
                    .text("again")
                    .byte(serve)
                    .byte(leave | 4U)
                    .byte(serve)
                    .byte(answer_late));
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static schedctl::fuzz::Callers callers;
  schedctl::fuzz::Input input(data, size);
  callers.run(input);
  return 0;
}
