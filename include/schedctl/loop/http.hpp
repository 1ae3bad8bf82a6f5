#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/loop/loop.hpp"

namespace schedctl::loop {

struct HttpRequest {
  std::string method = "GET";
  std::string url = {};                   ///< http or https; others are refused
  std::vector<std::string> headers = {};  ///< "Content-Type: application/json"
  std::string body = {};
  Duration timeout = std::chrono::seconds(10);     ///< of the whole exchange
  std::size_t most_body = std::size_t{64} * 1024;  ///< of the answer; what is beyond is dropped
};

struct HttpAnswer {
  int status = 0;     ///< 0: there was no answer, and `error` says why
  std::string error;  ///< "Could not connect to server", without the url, which may be a secret
  std::string body;
  std::optional<std::string> retry_after;  ///< the header, as it came
  Duration took{};
};

/// HTTP on the event loop, by libcurl's multi interface. Many requests at once; none blocks. Does
/// not follow redirects, sends no credentials by itself, verifies certificates, and goes through a
/// proxy where the environment names one (https_proxy, no_proxy). Used on the loop's thread.
///
/// libcurl is loaded with the first request. Where that fails, or a request makes no sense, the
/// answer says so like any other.
class Http {
 public:
  using Done = std::function<void(const HttpAnswer&)>;

  /// `user_agent`: "schedctl/0.3.0".
  static Result<std::unique_ptr<Http>> create(Loop& loop, const std::string& user_agent);
  virtual ~Http() = default;  ///< what is under way is dropped, its `done` never called
  /// Calls `done` exactly once, later, from the loop. `done` may send again; it may not destroy
  /// this object. An answer that breaks off is none; of one that is much longer than `most_body`
  /// the rest is not waited for.
  virtual void send(HttpRequest request, Done done) = 0;
  virtual std::size_t under_way() const = 0;
};

}  // namespace schedctl::loop
