#include "schedctl/job/transition.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "schedctl/base/limits.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::minutes;
using std::chrono::seconds;
using H = Happening;
using R = Reason;
using S = RunState;

namespace {

constexpr Time kNow = time_from_us(1'800'000'000'000'000);

const std::vector<S> kStates = {S::pending,   S::running, S::succeeded, S::failed,
                                S::cancelled, S::lost,    S::skipped,   S::missed};

Run run_in(S state) {
  Run run;
  run.id = RunId(42);
  run.state = state;
  return run;
}

struct Expected {
  H happening;
  S from;
  S to;
  R reason;
};

/// Every cell that does something, under a policy without retries.
const std::vector<Expected> kExpected = {
    {H::claimed, S::pending, S::running, R::none},
    {H::overlapped, S::pending, S::skipped, R::overlap},
    {H::queue_full, S::pending, S::skipped, R::queue_full},
    {H::replaced, S::pending, S::cancelled, R::replaced},
    {H::replaced, S::running, S::cancelled, R::replaced},
    {H::expired, S::pending, S::missed, R::expired},
    {H::withdrawn_changed, S::pending, S::skipped, R::schedule_changed},
    {H::withdrawn_removed, S::pending, S::skipped, R::removed},
    {H::waited_too_long, S::pending, S::missed, R::waited_too_long},
    {H::exhausted, S::pending, S::skipped, R::max_runs},
    {H::cancelled_pending, S::pending, S::cancelled, R::operator_},
    {H::never_started, S::running, S::pending, R::none},
    {H::start_refused, S::running, S::pending, R::none},
    {H::exec_failed, S::running, S::failed, R::exec_error},
    {H::exited_zero, S::running, S::succeeded, R::none},
    {H::exited_nonzero, S::running, S::failed, R::exit_status},
    {H::wrong_output, S::running, S::failed, R::output},
    {H::killed_by_signal, S::running, S::failed, R::signal},
    {H::timed_out, S::running, S::failed, R::timeout},
    {H::stopped_by_operator, S::running, S::cancelled, R::operator_},
    {H::stopped_by_shutdown, S::running, S::cancelled, R::shutdown},
    {H::lost_keeper, S::running, S::lost, R::keeper_died},
    {H::lost_reboot, S::running, S::lost, R::rebooted},
};

Policy retrying() {
  Policy policy;
  policy.max_attempts = 5;
  policy.backoff = seconds(10);
  policy.max_delay = minutes(5);
  return policy;
}

const std::vector<H> kFailures = {H::exec_failed, H::exited_nonzero, H::wrong_output,
                                  H::killed_by_signal, H::timed_out};

}  // namespace

TEST_CASE("every state meets every happening as the table says") {
  // One can happen in two states.
  CHECK(kExpected.size() == static_cast<std::size_t>(kHappenings) + 1);
  for (const S state : kStates) {
    for (int h = 0; h < kHappenings; ++h) {
      const auto happening = static_cast<H>(h);
      const auto step = transition(run_in(state), happening, Policy{}, kNow);
      const Expected* cell = nullptr;
      for (const Expected& e : kExpected) {
        if (e.happening == happening && e.from == state) cell = &e;
      }
      INFO("state ", to_string(state), " happening ", h);
      CHECK(step.has_value() == (cell != nullptr));
      if (!step || cell == nullptr) continue;
      CHECK(step->state == cell->to);
      CHECK(step->reason == cell->reason);
      CHECK(step->attempt == 1);
      CHECK(step->lost_count == 0);
      CHECK(step->due_at.has_value() == (step->state == S::pending));
    }
  }
}

TEST_CASE("a run that has been tried never becomes one that did not run") {
  Run failed = run_in(S::pending);
  failed.attempt = 2;
  Run recovered = run_in(S::pending);
  recovered.attempt = 2;
  recovered.lost_count = 1;
  Run refused = run_in(S::pending);
  refused.start_failures = 3;
  for (const Run& tried : {failed, recovered}) {
    CHECK_FALSE(transition(tried, H::withdrawn_changed, Policy{}, kNow).has_value());
    const auto step = transition(tried, H::withdrawn_removed, Policy{}, kNow);
    REQUIRE(step.has_value());
    CHECK(step->state == S::cancelled);
    CHECK(step->reason == R::removed);
    CHECK(step->attempt == 2);
    CHECK(step->lost_count == tried.lost_count);
  }
  // The machine could not start this one: it has not begun.
  CHECK(transition(refused, H::withdrawn_changed, Policy{}, kNow)->state == S::skipped);
  CHECK(transition(refused, H::withdrawn_removed, Policy{}, kNow)->state == S::skipped);
}

TEST_CASE("a failed attempt is tried again until max_attempts, later each time") {
  const Policy policy = retrying();
  for (const H failure : kFailures) {
    Run run = run_in(S::running);
    Duration longest_before{};
    for (int attempt = 1; attempt < policy.max_attempts; ++attempt) {
      run.attempt = attempt;
      run.start_failures = 3;
      const auto step = transition(run, failure, policy, kNow);
      REQUIRE(step.has_value());
      CHECK(step->state == S::pending);
      CHECK(step->reason == R::none);
      CHECK(step->attempt == attempt + 1);
      CHECK(step->start_failures == 0);
      const Duration delay = *step->due_at - kNow;
      const Duration plain = policy.backoff * (1 << (attempt - 1));
      CHECK(delay >= plain);
      CHECK(delay <= plain + plain / 5);
      CHECK(delay > longest_before);
      longest_before = delay;
    }
    run.attempt = policy.max_attempts;
    CHECK(transition(run, failure, policy, kNow)->state == S::failed);
  }
}

TEST_CASE("the delay of a retry never exceeds max_delay and never overflows") {
  Policy policy = retrying();
  policy.max_attempts = limits::kMaxAttempts;
  for (const int attempt : {5, 6, 7, 63, 64, 65, 999}) {
    Run run = run_in(S::running);
    run.attempt = attempt;
    CHECK(*transition(run, H::exited_nonzero, policy, kNow)->due_at <= kNow + policy.max_delay);
  }
  Run run = run_in(S::running);
  run.attempt = 900;
  CHECK(*transition(run, H::exited_nonzero, policy, kNow)->due_at == kNow + policy.max_delay);
  policy.max_delay = policy.backoff = limits::kLongestDuration;
  CHECK(*transition(run, H::exited_nonzero, policy, Time::max())->due_at == Time::max());
  policy.backoff = Duration::zero();
  CHECK(*transition(run, H::exited_nonzero, policy, kNow)->due_at == kNow);
}

TEST_CASE("retries of different runs are spread, and the same question has the same answer") {
  const Policy policy = retrying();
  Run one = run_in(S::running), other = run_in(S::running);
  other.id = RunId(43);
  const auto due = [&](const Run& run) {
    return *transition(run, H::exited_nonzero, policy, kNow)->due_at;
  };
  CHECK(due(one) == due(one));
  CHECK(due(one) != due(other));
}

TEST_CASE("a start that the machine refused is the same attempt, ever later, then given up") {
  Run run = run_in(S::running);
  run.attempt = 2;
  const std::vector<int> pauses = {1, 2, 4, 8, 16, 32, 60, 60};
  for (std::size_t i = 0; i < pauses.size(); ++i) {
    run.start_failures = static_cast<int>(i);
    const auto step = transition(run, H::start_refused, Policy{}, kNow);
    REQUIRE(step.has_value());
    CHECK(step->state == S::pending);
    CHECK(step->attempt == 2);
    CHECK(step->start_failures == run.start_failures + 1);
    CHECK(*step->due_at == kNow + seconds(pauses[i]));
  }
  run.start_failures = limits::kMaxAttempts - 1;
  const auto last = transition(run, H::start_refused, retrying(), kNow);
  CHECK(last->state == S::failed);
  CHECK(last->reason == R::start_error);
}

TEST_CASE("an order that never reached the keeper is pending again at once") {
  Run run = run_in(S::running);
  run.attempt = 3;
  const auto step = transition(run, H::never_started, Policy{}, kNow);
  CHECK(step->attempt == 3);
  CHECK(*step->due_at == kNow);
}

TEST_CASE("an order that was given back before the fire time waits for it") {
  Run run = run_in(S::running);
  run.cause = Cause::schedule;
  run.fire_time = kNow + std::chrono::milliseconds(20);
  const auto step = transition(run, H::never_started, Policy{}, kNow);
  CHECK(step->state == S::pending);
  CHECK(*step->due_at == run.fire_time);
}

TEST_CASE("a lost run is started again only if on_lost says so, three times at most") {
  for (const H lost : {H::lost_keeper, H::lost_reboot}) {
    Run run = run_in(S::running);
    Policy policy = retrying();
    CHECK(transition(run, lost, policy, kNow)->state == S::lost);
    policy.on_lost = OnLost::retry;
    policy.max_attempts = 1;
    for (int i = 0; i < limits::kMaxLost; ++i) {
      run.lost_count = i;
      run.attempt = i + 1;
      const auto step = transition(run, lost, policy, kNow);
      CHECK(step->state == S::pending);
      CHECK(step->attempt == i + 2);
      CHECK(step->lost_count == i + 1);
      CHECK(*step->due_at >= kNow + policy.backoff);
    }
    run.lost_count = limits::kMaxLost;
    const auto step = transition(run, lost, policy, kNow);
    CHECK(step->state == S::lost);
    CHECK(step->lost_count == limits::kMaxLost);
  }
}

TEST_CASE("a cancelled run is never pending again") {
  Policy policy = retrying();
  policy.on_lost = OnLost::retry;
  for (const Expected& e : kExpected) {
    if (e.from != S::running) continue;
    Run run = run_in(S::running);
    run.cancel_requested = true;
    const auto step = transition(run, e.happening, policy, kNow);
    REQUIRE(step.has_value());
    CHECK(is_final(step->state));
    const bool was_not_started = e.happening == H::never_started || e.happening == H::start_refused;
    CHECK(step->state == (was_not_started ? S::cancelled : e.to));
    CHECK(step->reason == (was_not_started ? R::operator_ : e.reason));
    run.replaced_by = RunId(43);
    const auto replaced = transition(run, e.happening, policy, kNow);
    CHECK(replaced->reason == (was_not_started ? R::replaced : e.reason));
  }
}
