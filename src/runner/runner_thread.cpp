#include "schedctl/runner/runner_thread.hpp"

#include <pthread.h>

#include "schedctl/base/log.hpp"

namespace schedctl::runner {
namespace {

// An end can wait this long for a beat that is about to be anyway, as a start can for its end.
constexpr Duration kCompany = Runner::kStartAlone;
// While the next starts are claimed already, nothing is gained by recording each alone; but before
// what follows them is due.
constexpr Duration kCompanyAhead = Runner::kLookAhead - std::chrono::milliseconds(10);
// In a crowd ends, too, gather for a moment.
constexpr Duration kCrowdedCompany = std::chrono::milliseconds(3);
// After a beat that failed (database locked, disk full) nothing is to be gained by hurrying.
constexpr Duration kAfterFailure = std::chrono::seconds(1);
// Ends that a broken store keeps from being recorded, or that a keeper does not tell in time, are
// in the keeper's journal; the daemon need not wait for ever to end itself.
constexpr Duration kLastWords = std::chrono::seconds(10);

}  // namespace

Result<std::unique_ptr<RunnerThread>> RunnerThread::create(const Clock& clock) {
  TRY(std::unique_ptr<loop::Loop> loop, loop::Loop::create());
  TRY(loop::Mailbox<Message> inbox, loop::Mailbox<Message>::create());
  TRY(loop::WallTimer wall, loop::WallTimer::create());
  TRY(loop::MonotonicTimer delay, loop::MonotonicTimer::create());
  TRY(loop::MonotonicTimer tidying, loop::MonotonicTimer::create());
  std::unique_ptr<RunnerThread> self(new RunnerThread(clock, std::move(loop), std::move(inbox),
                                                      std::move(wall), std::move(delay),
                                                      std::move(tidying)));
  RunnerThread* raw = self.get();
  TRY_VOID(raw->loop_->watch(raw->inbox_.fd(), EPOLLIN, [raw](auto) { raw->read_inbox(); }));
  TRY_VOID(raw->loop_->watch(raw->wall_.fd(), EPOLLIN, [raw](auto) {
    raw->wall_.drain();
    raw->due_ = true;
  }));
  TRY_VOID(raw->loop_->watch(raw->delay_.fd(), EPOLLIN, [raw](auto) {
    raw->delay_.drain();
    raw->on_delay();
  }));
  TRY_VOID(raw->loop_->watch(raw->tidying_.fd(), EPOLLIN, [raw](auto) {
    raw->tidying_.drain();
    raw->tidy_due_ = true;
  }));
  return self;
}

RunnerThread::RunnerThread(const Clock& clock, std::unique_ptr<loop::Loop> loop,
                           loop::Mailbox<Message> inbox, loop::WallTimer wall,
                           loop::MonotonicTimer delay, loop::MonotonicTimer tidying)
    : clock_(clock),
      loop_(std::move(loop)),
      inbox_(std::move(inbox)),
      wall_(std::move(wall)),
      delay_(std::move(delay)),
      tidying_(std::move(tidying)) {}

RunnerThread::~RunnerThread() {
  join();
}

void RunnerThread::run(std::unique_ptr<Runner> runner, store::Store& store,
                       std::promise<Result<void>> first_beat, std::function<void()> ended) {
  runner_ = std::move(runner);
  store_ = &store;
  ended_ = std::move(ended);
  thread_ = std::thread([this, promise = std::move(first_beat)]() mutable {
    ::pthread_setname_np(::pthread_self(), "runner");
    main_loop(std::move(promise));
    ended_();
  });
}

void RunnerThread::join() {
  if (thread_.joinable()) thread_.join();
}

void RunnerThread::report(executor::Report report) {
  const bool finished = report.kind == executor::Report::Kind::finished;
  inbox_.leave(Message(std::move(report)));
  // Asked after it was left there: whoever stops gathering looks into the inbox after that.
  if (gathering_.load() < (finished ? Gathering::ends : Gathering::starts)) inbox_.ring();
}
void RunnerThread::adopt(executor::Adoption adoption) {
  inbox_.post(Message(std::move(adoption)));
}
void RunnerThread::keeper_lost(std::string why) {
  inbox_.post(Message(KeeperLost{std::move(why)}));
}
void RunnerThread::alive() {
  inbox_.post(Message(Alive{}));
}
void RunnerThread::delivered(alert::Outcome outcome) {
  inbox_.post(Message(std::move(outcome)));
}
void RunnerThread::judged(Judge::Verdict verdict) {
  inbox_.post(Message(std::move(verdict)));
}
void RunnerThread::poke() {
  inbox_.post(Message(Poke{}));
}
void RunnerThread::post(Task task) {
  inbox_.post(Message(std::move(task)));
}
void RunnerThread::ask(Task task) {
  inbox_.post(Message(Question{std::move(task)}));
}
void RunnerThread::stop(Stop how, Duration patience) {
  inbox_.post(Message(StopOrder{how, patience}));
}

void RunnerThread::main_loop(std::promise<Result<void>> first_beat) {
  read_inbox();
  beat();
  const bool good = !last_failure_.has_value();
  first_beat.set_value(good ? Result<void>{} : Result<void>(tl::unexpected(*last_failure_)));
  if (!good) return;
  while (!stop_is_complete()) {
    if (due_ && !failing_until_) {
      beat();
      continue;
    }
    if (tidy_due_ && !failing_until_ && !stop_) {
      tidy();
      // Whatever came in meanwhile is next.
      read_inbox();
      continue;
    }
    if (const auto waited = loop_->run_once(); !waited) {
      log::error("loop-failed", {{"error", waited.error().message}});
      log::flush();
      return;
    }
  }
}

void RunnerThread::on_delay() {
  armed_until_.reset();
  const Duration now = clock_.elapsed();
  if (failing_until_ && now < *failing_until_) {
    wake_at(*failing_until_);
    return;
  }
  failing_until_.reset();
  due_ = true;
}

void RunnerThread::wake_at(Duration elapsed) {
  if (armed_until_ && *armed_until_ <= elapsed) return;
  armed_until_ = elapsed;
  delay_.arm(elapsed - clock_.elapsed());
}

void RunnerThread::want_company(Gathering what, Duration for_at_most) {
  if (due_) return;  // a beat is about to be
  gathering_.store(std::max(gathering_.load(), what));
  const Duration until = clock_.elapsed() + for_at_most;
  if (company_until_ && *company_until_ <= until) return;
  company_until_ = until;
  wake_at(until);
}

void RunnerThread::read_inbox() {
  for (Message& message : inbox_.take()) {
    if (auto* report = std::get_if<executor::Report>(&message)) {
      const bool finished = report->kind == executor::Report::Kind::finished;
      runner_->take(std::move(*report));
      if (!finished) {
        want_company(Gathering::starts, runner_->is_ahead() ? kCompanyAhead : kCompany);
      } else if (runner_->is_ahead()) {
        want_company(Gathering::ends, kCompanyAhead);
      } else if (runner_->is_crowded()) {
        want_company(Gathering::ends, kCrowdedCompany);
      } else if (next_fall_due_ && *next_fall_due_ - clock_.wall() <= kCompany) {
        want_company(Gathering::ends, kCompany);
      } else {
        due_ = true;
      }
    } else if (auto* adoption = std::get_if<executor::Adoption>(&message)) {
      runner_->take(std::move(*adoption));
      due_ = true;
    } else if (const auto* lost = std::get_if<KeeperLost>(&message)) {
      runner_->keeper_lost(lost->why);
      due_ = true;
    } else if (std::holds_alternative<Alive>(message)) {
      runner_->keeper_alive();
      due_ = true;
    } else if (auto* outcome = std::get_if<alert::Outcome>(&message)) {
      // One without a message was told from memory, because there can be no beat.
      due_ = due_ || outcome->message;
      runner_->take(std::move(*outcome));
    } else if (auto* verdict = std::get_if<Judge::Verdict>(&message)) {
      runner_->take(std::move(*verdict));
      due_ = true;
    } else if (std::holds_alternative<Poke>(message)) {
      runner_->poked();
      due_ = true;
    } else if (const auto* task = std::get_if<Task>(&message)) {
      (*task)(*runner_, *store_);
      due_ = true;
      // It may have been a reload, with other rules.
      tidy_due_ = true;
    } else if (const auto* question = std::get_if<Question>(&message)) {
      question->task(*runner_, *store_);
    } else if (const auto* order = std::get_if<StopOrder>(&message)) {
      obey(*order);
    }
  }
}

void RunnerThread::obey(const StopOrder& order) {
  // A second, milder wish does not undo a stronger one, and the same one again gains no time.
  if (stop_ && (stop_->how != Stop::drain || order.how == Stop::drain)) return;
  stop_ = order;
  runner_->drain();
  due_ = true;
  if (order.how == Stop::leave) return;
  const Duration patience = order.how == Stop::now ? Duration::zero() : order.patience;
  stop_deadline_ = clock_.elapsed() + patience;
  if (runner_->live() > 0) {
    log::info("waiting-for-runs",
              {{"runs", runner_->live_words()}, {"for_at_most", format_duration(patience)}});
    log::flush();
  }
}

void RunnerThread::beat() {
  // What came in meanwhile shares its commit, and some of it came without a word.
  due_ = true;
  gathering_.store(Gathering::nothing);
  read_inbox();
  due_ = false;
  company_until_.reset();
  if (armed_until_) delay_.disarm();
  armed_until_.reset();
  const auto done = runner_->beat();
  if (!done) {
    on_beat_failed(done.error());
    return;
  }
  if (last_failure_) {
    log::info("store-back", {{"after", format_duration(clock_.elapsed() - failing_since_)}});
    log::flush();
    last_failure_.reset();
  }
  due_ = due_ || done->again;
  next_fall_due_ = done->wake;
  wall_.arm(done->wake);
  if (done->holds_starts) want_company(Gathering::starts, Runner::kStartAlone);
}

void RunnerThread::tidy() {
  tidy_due_ = false;
  tidying_.arm(runner_->tidy() - clock_.elapsed());
}

void RunnerThread::on_beat_failed(const Error& error) {
  if (!last_failure_ || last_failure_->message != error.message) {
    log::error("beat-failed",
               {{"error", error.message}, {"next_try_in", format_duration(kAfterFailure)}});
    log::flush();
  }
  if (!last_failure_) failing_since_ = clock_.elapsed();
  last_failure_ = error;
  runner_->store_failing(error, failing_since_);
  failing_until_ = clock_.elapsed() + kAfterFailure;
  wake_at(*failing_until_);
}

bool RunnerThread::stop_is_complete() {
  if (!stop_) return false;
  const bool failing = failing_until_.has_value();
  if (stop_->how == Stop::leave && !failing && runner_->is_ahead()) {
    wake_at(clock_.elapsed() + Runner::kLookAhead);
    return false;
  }
  if (stop_->how == Stop::leave) return !due_ || failing;
  const Duration now = clock_.elapsed();
  if (runner_->live() == 0) return !due_ || failing;
  if (!give_up_at_ && now >= *stop_deadline_) {
    log::warning("ending-runs", {{"runs", runner_->live_words()}});
    log::flush();
    give_up_at_ = now + runner_->end_all() + kLastWords;
  }
  // The store cannot be written: what ended is safe with the keeper, and the next start records it.
  if (give_up_at_ && failing && now >= *stop_deadline_ + kLastWords) return true;
  // The keeper does not do as it is told, or a process does not die of a KILL. Whoever waits for
  // this daemon's end cannot mend that.
  if (give_up_at_ && now >= *give_up_at_) {
    log::error("runs-left", {{"runs", runner_->live_words()}});
    log::flush();
    return true;
  }
  wake_at(give_up_at_ ? *give_up_at_ : *stop_deadline_);
  return false;
}

}  // namespace schedctl::runner
