#include "delivery.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

#include "schedctl/base/text.hpp"

namespace schedctl::alert {
namespace {

/// Nobody waits longer because a server says so: it may have its clock or its units wrong.
constexpr Duration kMostWait = std::chrono::hours(24);
/// A server that says "at once" would be asked in a circle.
constexpr Duration kLeastWait = std::chrono::seconds(1);
constexpr Duration kFirstBackoff = std::chrono::seconds(2);
constexpr Duration kMostBackoff = std::chrono::minutes(5);
/// Slack answers "invalid_payload"; others a page.
constexpr std::size_t kMostAnswer = 200;
/// Of an address, what is shorter ("hook") is no secret, but may be part of any word.
constexpr std::size_t kLeastSecret = 6;

Duration backoff(int tries) {
  // 2 s doubled eight times is more than five minutes.
  return std::min(kMostBackoff, kFirstBackoff * (1 << std::clamp(tries - 1, 0, 8)));
}

/// The parts of an address that nobody may see: all but the scheme and the host.
std::vector<std::string> secrets_of(const std::string& address) {
  std::vector<std::string> secrets;
  const std::size_t scheme = address.find("://");
  std::string_view rest = address;
  if (scheme != std::string::npos) rest.remove_prefix(scheme + 3);
  const std::size_t host_end = std::min(rest.find_first_of("/?#"), rest.size());
  const auto add = [&](std::string_view part) {
    if (part.size() >= kLeastSecret) secrets.emplace_back(part);
  };
  const std::size_t user_end = rest.substr(0, host_end).rfind('@');
  if (user_end != std::string_view::npos) {
    const std::string_view user = rest.substr(0, user_end);
    const std::size_t colon = std::min(user.find(':'), user.size());
    add(user);
    add(user.substr(0, colon));
    if (colon < user.size()) add(user.substr(colon + 1));
  }
  std::string_view path = rest.substr(host_end);
  add(path);
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find_first_of("/?#&="), path.size());
    add(path.substr(0, end));
    path.remove_prefix(end);
  }
  // The longest first, so that none is left in pieces.
  std::ranges::sort(secrets, std::ranges::greater(), &std::string::size);
  return secrets;
}

/// A month's name to its number; 0: it is none.
unsigned month_number(std::string_view name) {
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto found = std::find(kMonths.begin(), kMonths.end(), name);
  return found == kMonths.end() ? 0 : static_cast<unsigned>(found - kMonths.begin()) + 1;
}

/// The three forms of an HTTP-date, RFC 9110 section 5.6.7.
std::optional<Time> parse_http_date(const std::string& text, Time now) {
  std::array<char, 10> weekday{};
  std::array<char, 4> month{};
  int day = 0;
  int year = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int end = 0;
  const auto is_whole = [&](int fields) {
    return fields == 7 && static_cast<std::size_t>(end) == text.size();
  };
  namespace ch = std::chrono;
  if (!is_whole(std::sscanf(text.c_str(), "%3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
                            weekday.data(), &day, month.data(), &year, &hour, &minute, &second,
                            &end)) &&
      !is_whole(std::sscanf(text.c_str(), "%3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n",
                            weekday.data(), month.data(), &day, &hour, &minute, &second, &year,
                            &end))) {
    if (!is_whole(std::sscanf(text.c_str(), "%9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
                              weekday.data(), &day, month.data(), &year, &hour, &minute, &second,
                              &end))) {
      return std::nullopt;
    }
    // Two digits: what would be over 50 years ahead is of the century before.
    const int this_year = static_cast<int>(ch::year_month_day(ch::floor<ch::days>(now)).year());
    year += this_year / 100 * 100;
    if (year > this_year + 50) year -= 100;
  }
  const ch::year_month_day date(ch::year(year), ch::month(month_number(month.data())),
                                ch::day(static_cast<unsigned>(std::max(day, 0))));
  const bool is_time = hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 &&
                       second <= 60;  // a leap second
  if (!date.ok() || !is_time) return std::nullopt;
  return Time(ch::sys_days(date)) + ch::hours(hour) + ch::minutes(minute) + ch::seconds(second);
}

}  // namespace

Verdict judge(const Outcome& outcome, int tries) {
  using Kind = Verdict::Kind;
  const int status = outcome.status;
  if (status >= 200 && status <= 299) return {Kind::sent, {}};
  if (status >= 300 && status <= 399) return {Kind::stop, {}};
  switch (status) {
    case 401:
    case 403:
    case 404:
    case 405:
    case 410:
      return {Kind::stop, {}};
    case 429:
    case 503:
      if (outcome.retry_after) return {Kind::retry, std::max(kLeastWait, *outcome.retry_after)};
      return {Kind::retry, backoff(tries)};
    case 408:
    case 425:
      return {Kind::retry, backoff(tries)};
    default:
      if (status >= 400 && status <= 499) return {Kind::refused, {}};
      return {Kind::retry, backoff(tries)};
  }
}

std::optional<Duration> parse_retry_after(const std::string& raw, Time now) {
  constexpr std::string_view kSpace = " \t";
  const std::size_t first = raw.find_first_not_of(kSpace);
  if (first == std::string::npos) return std::nullopt;
  const std::string text = raw.substr(first, raw.find_last_not_of(kSpace) - first + 1);
  if (text.find_first_not_of("0123456789") == std::string::npos) {
    const std::optional<std::int64_t> seconds = parse_int(text);
    if (!seconds || *seconds > 86'400) return kMostWait;  // more digits than any number has
    return Duration(std::chrono::seconds(*seconds));
  }
  const std::optional<Time> at = parse_http_date(text, now);
  if (!at) return std::nullopt;
  return std::clamp<Duration>(*at - now, Duration::zero(), kMostWait);
}

std::string address_of(const Addresses& addresses, const std::string& notifier) {
  if (notifier == "heartbeat") return addresses.heartbeat;
  return notifier == "slack" ? addresses.slack : std::string();
}

loop::HttpRequest request_of(const Delivery& delivery, const std::string& address) {
  if (delivery.notifier == "heartbeat") return {.method = "GET", .url = address};
  return {.method = "POST",
          .url = address,
          .headers = {"Content-Type: application/json"},
          .body = delivery.payload};
}

std::string answer_text(const loop::HttpAnswer& answer, const std::string& address) {
  std::string text = answer.status == 0 ? answer.error : answer.body;
  for (const std::string& secret : secrets_of(address)) {
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos;) {
      text.replace(at, secret.size(), "***");
      at += 3;
    }
  }
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  text = escape_control(utf8_prefix(text, end == std::string::npos ? 0 : end + 1));
  return std::string(utf8_prefix(text, kMostAnswer));
}

Outcome outcome_of(const Delivery& delivery, const loop::HttpAnswer& answer,
                   const std::string& address) {
  Outcome outcome{.message = delivery.message,
                  .notifier = delivery.notifier,
                  .status = answer.status,
                  .answer = answer_text(answer, address),
                  .retry_after = std::nullopt};
  if (answer.retry_after) {
    const Time now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
    outcome.retry_after = parse_retry_after(*answer.retry_after, now);
  }
  return outcome;
}

Outcome not_configured(const Delivery& delivery) {
  return {.message = delivery.message,
          .notifier = delivery.notifier,
          .status = 0,
          .answer = escape_control(delivery.notifier) + " is not configured",
          .retry_after = std::nullopt};
}

Result<Outcome> deliver_now(const Addresses& addresses, const Delivery& delivery,
                            const std::string& user_agent, Duration timeout) {
  const std::string address = address_of(addresses, delivery.notifier);
  if (address.empty()) return not_configured(delivery);
  TRY(const std::unique_ptr<loop::Loop> loop, loop::Loop::create());
  TRY(const std::unique_ptr<loop::Http> http, loop::Http::create(*loop, user_agent));
  loop::HttpRequest request = request_of(delivery, address);
  request.timeout = timeout;
  std::optional<Outcome> outcome;
  http->send(std::move(request), [&](const loop::HttpAnswer& answer) {
    outcome = outcome_of(delivery, answer, address);
  });
  while (!outcome) TRY_VOID(loop->run_once());
  return *outcome;
}

}  // namespace schedctl::alert
