// A keeper whose callers send anything, in any order: it answers in its protocol, one daemon at a
// time, and starts nothing twice. What it would execute is replaced by a few harmless processes.

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <set>

#include "messages.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/loop/loop.hpp"
#include "src/host/child.hpp"
#include "src/keeper/server.hpp"
#include "target.hpp"

namespace schedctl::host {

/// In the place of the one in host/child.cpp: no command is executed, whatever an order says. A
/// child that shares the keeper's memory ends at once; a forked one fails, ends, or stays until it
/// is killed, as the first byte of its argv says.
__attribute__((no_sanitize("address", "undefined", "coverage"))) int become_command(void* pointer) {
  ChildPlan& plan = *static_cast<ChildPlan*>(pointer);
  const int kind = plan.argv.front() == nullptr ? 0 : plan.argv.front()[0];
  if (plan.report_fd < 0) {
    if (kind % 4 == 1) plan.failed_step = static_cast<int>(Step::exec);
    ::_exit(3);
  }
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGTERM, &action, nullptr);
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(127);
  if (kind % 4 == 1) {
    const ChildReport report{static_cast<int>(Step::exec), 2};
    if (::write(plan.report_fd, &report, sizeof report) < 0) ::_exit(1);
    ::_exit(127);
  }
  ::close(plan.report_fd);
  if (kind % 4 == 2) ::pause();
  ::_exit(kind);
}

}  // namespace schedctl::host

namespace schedctl::fuzz {
namespace {

using keeper::RunKey;

enum Step : unsigned { packet, leave, turn, hello, start, finish, ask, wait, steps };

/// One caller, and what it was told.
struct Caller {
  UniqueFd fd;
  bool welcomed = false;
};

/// A keeper without its process: the loop of serve.cpp, one turn at a time.
class Keeper {
 public:
  explicit Keeper(const Scratch& scratch) {
    for (const char* name : {"keeper", "output"}) {
      std::filesystem::remove_all(scratch / name);
      std::filesystem::create_directory(scratch / name);
    }
    dir_ = std::move(*host::open_directory(scratch / "keeper"));
    loop_ = std::move(*loop::Loop::create());
    server_ = std::make_unique<keeper::Server>(
        *loop_, std::move(*host::listen_in(dir_.get(), keeper::kSocket)), kInstance, ::geteuid());
    runs_ = std::make_unique<keeper::Runs>(
        *loop_,
        keeper::Runs::Means{.masters = {},
                            .launcher = std::move(*host::Launcher::create(-1)),
                            .spool = std::move(*host::Spool::open(scratch / "output", kInstance)),
                            .journal = std::move(*keeper::create_journal(
                                dir_.get(), {keeper::kJournalVersion, kInstance, "boot"}))},
        kInstance, [this](const keeper::Report& report) { server_->report(report); });
    require(server_->listen(*runs_).has_value(), "the keeper listens");
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() {
    runs_->kill_all();
    for (int tries = 0; !runs_->is_idle(); ++tries) {
      require(tries < 20'000, "what was killed ends");
      ::poll(nullptr, 0, tries == 0 ? 0 : 1);
      runs_->on_child();
    }
    server_.reset();
    runs_->close();
  }

  void turn(Duration patience) {
    require(loop_->run_once(server_->is_busy() ? Duration::zero() : patience).has_value(),
            "the loop turns");
    runs_->on_child();
    runs_->on_time();
    server_->turn();
    if (server_->take_reexec_wish()) server_->stay("there is no other program");
  }
  UniqueFd connect() const {
    Result<UniqueFd> fd = host::connect_in(dir_.get(), keeper::kSocket);
    return fd ? std::move(*fd) : UniqueFd();
  }
  /// The journal of this keeper, as the next one would read it.
  keeper::JournalContents journal() const {
    return keeper::read_journal(dir_.get(), std::string("journal-") + kInstance);
  }

 private:
  static constexpr const char* kInstance = "0123456789abcdef";
  UniqueFd dir_;
  std::unique_ptr<loop::Loop> loop_;
  std::unique_ptr<keeper::Server> server_;
  std::unique_ptr<keeper::Runs> runs_;
};

class Game {
 public:
  explicit Game(const Scratch& scratch) : keeper_(scratch) {}

  void play(Input& input) {
    for (int step = 0; !input.empty() && step < 60; ++step) {
      const std::uint8_t what = input.byte();
      Caller& caller = callers_[what / steps % callers_.size()];
      act(what % steps, caller, input);
      listen();
    }
    for (int i = 0; i < 3; ++i) {
      keeper_.turn(Duration::zero());
      listen();
    }
  }

 private:
  void act(unsigned step, Caller& caller, Input& input) {
    using namespace keeper;
    switch (step) {
      case packet:
        return send(caller, input.text());
      case leave:
        caller = Caller();
        return;
      case turn:
        return keeper_.turn(Duration::zero());
      case hello:
        return send(caller, bytes_of(Hello{kProtocolVersion, input.byte()}));
      case start:
        return send(caller, bytes_of(small_order(input.byte(), input.byte())));
      case finish:
        return send(caller, bytes_of(End{key_of(input.byte() % 8), Duration(input.byte() * 100)}));
      case ask:
        return send(caller, bytes_of(Ping{input.byte()}));
      case wait:
        // A child may have come to something.
        return keeper_.turn(std::chrono::milliseconds(1));
      default:
        return;
    }
  }

  /// In a directory that nobody has looked up the child is forked, in / it shares memory.
  static keeper::StartOrder small_order(unsigned run, unsigned kind) {
    keeper::StartOrder order = order_of(run % 8);
    order.argv = {std::string(1, static_cast<char>('0' + kind % 4))};
    order.cwd = kind & 4U ? "/nowhere/" + std::to_string(kind) : "/";
    order.timeout = kind & 8U ? Duration(1000) : Duration{};
    return order;
  }

  void send(Caller& caller, const std::string& bytes) {
    if (!caller.fd) caller = Caller{keeper_.connect()};
    if (!caller.fd) return;
    note_acknowledged(bytes);
    if (::send(caller.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
      return;
    }
  }

  /// Who acknowledges gives up the promise: the run may be started anew.
  void note_acknowledged(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto message = keeper::decode(bytes);
      if (!message) return;
      if (const auto* gone = std::get_if<keeper::Acknowledge>(&*message)) {
        acknowledged_.insert(gone->keys.begin(), gone->keys.end());
      }
    }
  }

  void listen() {
    static std::array<char, std::size_t{256} * 1024> packet;
    for (Caller& caller : callers_) {
      while (caller.fd) {
        const ssize_t n = ::recv(caller.fd.get(), packet.data(), packet.size(), MSG_DONTWAIT);
        if (n <= 0) break;
        std::string_view rest(packet.data(), static_cast<std::size_t>(n));
        while (!rest.empty()) {
          const auto message = keeper::decode(rest);
          require(message.has_value(), "what a keeper says is of its protocol");
          hear(caller, *message);
        }
      }
    }
  }

  void hear(Caller& caller, const keeper::Message& message) {
    if (const auto* welcome = std::get_if<keeper::Welcome>(&message)) {
      require(epochs_.insert(welcome->epoch).second, "an epoch is welcomed once");
      caller.welcomed = true;
      return;
    }
    if (std::holds_alternative<keeper::Refused>(message)) return;
    require(caller.welcomed, "who was not welcomed is told nothing");
    if (const auto* started = std::get_if<keeper::Started>(&message)) {
      note(started->key, started->pid);
    } else if (const auto* ended = std::get_if<keeper::Ended>(&message)) {
      note(ended->key, ended->pid);
      require(in_journal(ended->key), "an end is in the journal before it is told");
    }
  }

  void note(const RunKey& key, std::int64_t pid) {
    const auto [known, fresh] = pids_.emplace(key, pid);
    require(fresh || known->second == pid || acknowledged_.contains(key), "a run is started once");
    known->second = pid;
  }

  bool in_journal(const RunKey& key) const {
    if (acknowledged_.contains(key)) return true;
    const keeper::JournalContents journal = keeper_.journal();
    return std::any_of(journal.ended.begin(), journal.ended.end(),
                       [&](const keeper::Ended& ended) { return ended.key == key; });
  }

  Keeper keeper_;
  std::array<Caller, 3> callers_;
  std::map<RunKey, std::int64_t> pids_;
  std::set<RunKey> acknowledged_;
  std::set<std::uint64_t> epochs_;
};

}  // namespace

std::vector<std::string> seeds() {
  const auto of = [](unsigned caller, Step step) { return caller * steps + step; };
  std::vector<std::string> all;
  const std::string welcomed = Recipe().byte(of(0, hello)).byte(5).byte(turn).byte(turn);
  all.push_back(welcomed);
  for (unsigned kind = 0; kind < 16; ++kind) {
    all.push_back(Recipe()
                      .rest(welcomed)
                      .byte(start)
                      .byte(1)
                      .byte(kind)
                      .byte(turn)
                      .byte(wait)
                      .byte(start)
                      .byte(1)
                      .byte(kind)
                      .byte(turn)
                      .byte(finish)
                      .byte(1)
                      .byte(1)
                      .byte(turn)
                      .byte(wait)
                      .byte(packet)
                      .text(bytes_of(keeper::Acknowledge{{key_of(1)}}))
                      .byte(turn));
  }
  all.push_back(Recipe()
                    .rest(welcomed)
                    .byte(start)
                    .byte(1)
                    .byte(6)
                    .byte(of(1, hello))
                    .byte(6)
                    .byte(turn)
                    .byte(of(1, start))
                    .byte(1)
                    .byte(6)
                    .byte(turn)
                    .byte(leave)
                    .byte(wait)
                    .byte(of(2, hello))
                    .byte(6)
                    .byte(turn)
                    .byte(of(2, hello))
                    .byte(9)
                    .byte(turn));
  for (const std::string& message : one_of_each()) {
    all.push_back(Recipe().byte(packet).text(message).byte(turn));
    if (message == bytes_of(order_of(1))) continue;
    all.push_back(Recipe().rest(welcomed).byte(packet).text(message).byte(turn));
  }
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const schedctl::fuzz::Scratch scratch;
  schedctl::fuzz::Input input(data, size);
  schedctl::fuzz::Game(scratch).play(input);
  return 0;
}
