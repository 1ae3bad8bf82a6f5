// Restart in place: the same process becomes the program anew, with its locks and its control
// socket, and leaves the jobs to the keeper meanwhile.

#include <fcntl.h>
#include <linux/close_range.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "instance.hpp"
#include "schedctl/base/log.hpp"
#include "tuning.hpp"

namespace schedctl::daemon {

sigset_t handled_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) ::sigaddset(&set, signal);
  return set;
}

void Instance::begin_restart() {
  if (stopping_) {
    log::error("restart-refused", {{"error", "the daemon is stopping"}});
    log::flush();
    return;
  }
  if (const Result<void> may = expect_restartable(); !may) {
    log::error("restart-refused", {{"error", may.error().message}});
    log::flush();
    return;
  }
  const auto loaded = config::load(options_.sources);
  const auto addresses =
      loaded ? addresses_of(loaded->config) : Result<alert::Addresses>(fail(loaded.error()));
  const std::string program = host::program_path();
  if (!addresses || ::access(program.c_str(), X_OK) != 0) {
    log::error("restart-refused",
               {{"error", addresses ? "cannot execute " + program : addresses.error().message}});
    log::flush();
    return;
  }
  restarting_ = true;
  left_ = true;
  log::info("restarting", {{"program", program}});
  // Who asks for something from now on is answered by the successor.
  control_->hand_over();
  runner_->stop(runner::RunnerThread::Stop::leave, Duration::zero());
}

void Instance::exec_successor() {
  courier_.reset();
  http_.reset();
  executor_.reset();
  judge_.reset();
  runner_.reset();
  store_.reset();
  // Whatever a library opened without close-on-exec would be open in every successor, for ever.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  std::string fds;
  for (const int fd : {locks_->runtime.fd(), locks_->database.fd(), control_->hand_over()}) {
    fds += (fds.empty() ? "" : ",") + std::to_string(fd);
    ::fcntl(fd, F_SETFD, 0);
  }
  manager_.reloading();
  ::setenv(kInheritVariable, fds.c_str(), 1);
  std::vector<char*> argv;
  for (std::string& word : options_.argv) argv.push_back(word.data());
  argv.push_back(nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  const sigset_t set = handled_signals();
  // Blocked across the exec: a signal in that moment waits for the successor's signalfd.
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (signal_for_successor_ != 0) ::kill(::getpid(), signal_for_successor_);
  ::execv(host::program_path().c_str(), argv.data());
  log::error("restart-failed", {{"error", errno_text(errno)}, {"exit", kExitLeft}});
  log::flush();
  // The jobs go on with the keeper; a service manager starts a new daemon after this code.
  host::remove_pidfile(config_.pid_file());
  ::_exit(kExitLeft);
}

}  // namespace schedctl::daemon