#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/loop/http.hpp"
#include "schedctl/loop/loop.hpp"

namespace schedctl::alert {

/// One try to tell something.
struct Delivery {
  MessageId message;     ///< none: told from memory, because no row can be written
  std::string notifier;  ///< "slack"
  std::string payload;
};

/// How the try went.
struct Outcome {
  MessageId message;
  std::string notifier;
  int status = 0;      ///< of the HTTP answer; 0: there was none, `answer` says why
  std::string answer;  ///< the beginning of the body, or the reason why there is none; escaped
  std::optional<Duration> retry_after;  ///< the server's wish, at most a day
};

/// What to make of an outcome. Pure.
struct Verdict {
  enum class Kind {
    sent,
    retry,    ///< again after `wait`
    refused,  ///< the other end will never take this message; others perhaps
    stop,     ///< the other end will never take anything: it is gone or we are not welcome
  };
  Kind kind = Kind::sent;
  Duration wait{};
};
/// `tries` counts this one. 2xx is sent; 429 and 503 wait as Retry-After says, if it does, a second
/// at least; other 5xx, 408, 425 and no answer back off from 2 s, doubling to 5 min; 401, 403, 404,
/// 405, 410 and redirects stop; every other 4xx refuses the message.
Verdict judge(const Outcome& outcome, int tries);

/// Where notifiers send to. Secrets: never printed, never logged.
struct Addresses {
  std::string slack;      ///< webhook URL; empty: none
  std::string heartbeat;  ///< URL; empty: none
};

/// Takes what is to be told out of the house. Any thread; nothing blocks: what became of a delivery
/// comes to the sink, exactly once each.
class Courier {
 public:
  virtual ~Courier() = default;
  virtual void deliver(Delivery delivery) = 0;
  /// Tells the outside monitor that all is well.
  virtual void heartbeat() = 0;
};

class OutcomeSink {
 public:
  virtual ~OutcomeSink() = default;
  /// On the io thread; must not block.
  virtual void delivered(Outcome outcome) = 0;
};

/// By HTTP, on the io thread's loop. Made and destroyed on that thread, when nobody delivers any
/// more; the sink hears nothing of what is under way by then. A heartbeat that fails, and one that
/// works again, is a line in the log.
class HttpCourier final : public Courier {
 public:
  static Result<std::unique_ptr<HttpCourier>> create(loop::Loop& loop, loop::Http& http,
                                                     Addresses addresses, OutcomeSink& sink);
  ~HttpCourier() override;

  void configure(Addresses addresses);  ///< io thread
  void deliver(Delivery delivery) override;
  void heartbeat() override;

 private:
  struct Impl;
  explicit HttpCourier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// One try, waited for: what `alerts test` does. Blocks for at most `timeout`.
Result<Outcome> deliver_now(const Addresses& addresses, const Delivery& delivery,
                            const std::string& user_agent, Duration timeout);

/// "5", or an HTTP date, as a wait from `now`; at most a day, at least zero. Nothing: unreadable.
std::optional<Duration> parse_retry_after(const std::string& text, Time now);

}  // namespace schedctl::alert
