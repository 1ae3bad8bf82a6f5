// libcurl's multi interface on the loop. curl says which descriptors it waits for (on_socket) and
// until when (on_timer); the loop says what came (act). Between the two, act() collects what is
// over and calls `done` when curl is not on the stack any more, so that `done` may send again.
//
// Names are resolved in threads of curl's, one per request, which a descriptor announces: a slow
// name server holds nobody up.
#include "schedctl/loop/http.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "curl.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/loop/timer.hpp"

namespace schedctl::loop {
namespace {

/// Of an answer that is longer than was asked for, this much more is read, so that its connection
/// can be used again; then it is given up: it may have no end.
constexpr std::size_t kMostDropped = std::size_t{1} << 20;
/// Of an answer's header, all lines together.
constexpr std::size_t kMostHeader = std::size_t{256} * 1024;
/// Of the time for the whole exchange, at most this is spent on reaching the other end.
constexpr Duration kMostConnect = std::chrono::seconds(10);
/// Connections kept open for later.
constexpr long kMostIdle = 8;

/// One exchange, from send() until it is over.
struct Transfer {
  const Curl* curl = nullptr;  ///< null: it could not even begin
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  HttpRequest request;
  Http::Done done;
  HttpAnswer answer;
  std::size_t received = 0;
  std::size_t header_size = 0;
  std::array<char, CURL_ERROR_SIZE> details{};

  Transfer(HttpRequest what, Http::Done then) : request(std::move(what)), done(std::move(then)) {}
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() {
    if (easy != nullptr) curl->easy_cleanup(easy);
    if (headers != nullptr) curl->slist_free_all(headers);
  }

  bool body_is_too_long() const { return received > request.most_body + kMostDropped; }
};

class CurlHttp final : public Http {
 public:
  CurlHttp(Loop& loop, MonotonicTimer timer, std::string user_agent)
      : loop_(loop), timer_(std::move(timer)), user_agent_(std::move(user_agent)) {}
  ~CurlHttp() override;
  CurlHttp(const CurlHttp&) = delete;
  CurlHttp& operator=(const CurlHttp&) = delete;

  Result<void> listen();
  void send(HttpRequest request, Done done) override;
  std::size_t under_way() const override { return transfers_.size() + refused_.size(); }

 private:
  Result<void> open();
  Result<void> begin(Transfer& transfer);
  void act(curl_socket_t fd, int events);
  void watch(curl_socket_t fd, int what);
  void unwatch(curl_socket_t fd);
  static int on_socket(CURL* easy, curl_socket_t fd, int what, void* self, void* of_socket);
  static int on_timer(CURLM* multi, long timeout_ms, void* self);
  static int on_close(void* self, curl_socket_t fd);

  Loop& loop_;
  MonotonicTimer timer_;
  std::string user_agent_;
  const Curl* curl_ = nullptr;
  CURLM* multi_ = nullptr;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> transfers_;
  /// Could not begin; told from the loop like all others.
  std::vector<std::unique_ptr<Transfer>> refused_;
  std::set<curl_socket_t> watched_;
};

// --- what curl is told of one request ----------------------------------------------------------

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* context) {
  Transfer& transfer = *static_cast<Transfer*>(context);
  const std::size_t length = size * count;
  transfer.received += length;
  std::string& body = transfer.answer.body;
  body.append(data, std::min(length, transfer.request.most_body - body.size()));
  return transfer.body_is_too_long() ? CURL_WRITEFUNC_ERROR : length;
}

std::size_t on_header(char*, std::size_t size, std::size_t count, void* context) {
  Transfer& transfer = *static_cast<Transfer*>(context);
  const std::size_t length = size * count;
  transfer.header_size += length;
  return transfer.header_size > kMostHeader ? CURL_WRITEFUNC_ERROR : length;
}

// Not inherited by whatever the process executes next.
curl_socket_t on_open(void*, curlsocktype, curl_sockaddr* address) {
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                  address->protocol);
}

/// A line break would end a header early and begin one of a stranger's choice.
bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

Result<void> check(const HttpRequest& request) {
  const auto is_letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (request.method.empty() || !std::ranges::all_of(request.method, is_letter)) {
    return fail(ErrorKind::usage, "this is no HTTP method");
  }
  if (has_line_break(request.url)) return fail(ErrorKind::usage, "a line break in the URL");
  if (std::ranges::any_of(request.headers, has_line_break)) {
    return fail(ErrorKind::usage, "a line break in a header");
  }
  return {};
}

/// curl takes zero for "no limit".
long milliseconds(Duration d) {
  return static_cast<long>(std::clamp<std::int64_t>(d.count() / 1000, 1, 86'400'000));
}

// --- how an exchange ended ---------------------------------------------------------------------

/// Whether curl's details are worth more than its general words, and never hold the URL: names of
/// certificates, what the proxy said, how long it took.
bool has_details(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_RECV_ERROR:
      return true;
    default:
      return false;
  }
}

std::string error_words(const Transfer& transfer, CURLcode code) {
  if (transfer.header_size > kMostHeader) return "the answer's header is too long";
  const Curl& curl = *transfer.curl;
  std::string words = curl.easy_strerror(code);
  long error_number = 0;
  if (code == CURLE_COULDNT_CONNECT &&
      curl.easy_getinfo(transfer.easy, CURLINFO_OS_ERRNO, &error_number) == CURLE_OK &&
      error_number != 0) {
    words += ": " + errno_text(static_cast<int>(error_number));
  }
  const std::string_view details = transfer.details.data();
  if (has_details(code) && !details.empty()) words += ": " + escape_control(details);
  return words;
}

void conclude(Transfer& transfer, CURLcode code) {
  const Curl& curl = *transfer.curl;
  HttpAnswer& answer = transfer.answer;
  curl_off_t took_us = 0;
  curl.easy_getinfo(transfer.easy, CURLINFO_TOTAL_TIME_T, &took_us);
  answer.took = Duration(took_us);
  const bool cut_by_us = code == CURLE_WRITE_ERROR && transfer.body_is_too_long();
  if (code != CURLE_OK && !cut_by_us) {
    answer.error = error_words(transfer, code);
    answer.body.clear();
    return;
  }
  long status = 0;
  curl.easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  if (status == 0) answer.error = "the answer has no status";
  curl_header* header = nullptr;
  if (curl.easy_header(transfer.easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
    answer.retry_after = header->value;
  }
}

// --- the driver --------------------------------------------------------------------------------

CurlHttp::~CurlHttp() {
  loop_.unwatch(timer_.fd());
  for (const auto& [easy, transfer] : transfers_) curl_->multi_remove_handle(multi_, easy);
  transfers_.clear();
  if (multi_ != nullptr) curl_->multi_cleanup(multi_);
  for (const curl_socket_t fd : watched_) loop_.unwatch(fd);
}

Result<void> CurlHttp::listen() {
  return loop_.watch(timer_.fd(), EPOLLIN, [this](std::uint32_t) {
    timer_.drain();
    act(CURL_SOCKET_TIMEOUT, 0);
  });
}

// With the first request: a daemon that tells nobody anything needs no curl.
Result<void> CurlHttp::open() {
  if (multi_ != nullptr) return {};
  TRY(curl_, load_curl());
  CURLM* multi = curl_->multi_init();
  if (multi == nullptr) return fail(ErrorKind::failed, "cannot set up libcurl");
  bool ok = true;
  const auto set = [&](CURLMoption option, auto value) {
    ok = curl_->multi_setopt(multi, option, value) == CURLM_OK && ok;
  };
  set(CURLMOPT_SOCKETFUNCTION, &CurlHttp::on_socket);
  set(CURLMOPT_SOCKETDATA, this);
  set(CURLMOPT_TIMERFUNCTION, &CurlHttp::on_timer);
  set(CURLMOPT_TIMERDATA, this);
  set(CURLMOPT_MAXCONNECTS, kMostIdle);
  if (!ok) {
    curl_->multi_cleanup(multi);
    return fail(ErrorKind::failed, "cannot set up libcurl");
  }
  multi_ = multi;
  return {};
}

void CurlHttp::send(HttpRequest request, Done done) {
  auto transfer = std::make_unique<Transfer>(std::move(request), std::move(done));
  if (const auto begun = begin(*transfer); !begun) {
    transfer->answer.error = begun.error().message;
    refused_.push_back(std::move(transfer));
    timer_.arm(Duration::zero());
    return;
  }
  CURL* easy = transfer->easy;
  transfers_.emplace(easy, std::move(transfer));
}

Result<void> CurlHttp::begin(Transfer& transfer) {
  TRY_VOID(check(transfer.request));
  TRY_VOID(open());
  transfer.curl = curl_;
  transfer.easy = curl_->easy_init();
  if (transfer.easy == nullptr) return fail(ErrorKind::failed, "out of memory");
  for (const std::string& header : transfer.request.headers) {
    curl_slist* longer = curl_->slist_append(transfer.headers, header.c_str());
    if (longer == nullptr) return fail(ErrorKind::failed, "out of memory");
    transfer.headers = longer;
  }
  CURLcode first_error = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    const CURLcode code = curl_->easy_setopt(transfer.easy, option, value);
    if (first_error == CURLE_OK) first_error = code;
  };
  const HttpRequest& request = transfer.request;
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(CURLOPT_HTTP09_ALLOWED, 0L);
  set(CURLOPT_USERAGENT, user_agent_.c_str());
  set(CURLOPT_TIMEOUT_MS, milliseconds(request.timeout));
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(std::min(request.timeout, kMostConnect)));
  set(CURLOPT_NOSIGNAL, 1L);
  // Without it, the end of a request that still waits for a name server waits for that too. The
  // thread that does the waiting cleans up after itself.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_ERRORBUFFER, transfer.details.data());
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_OPENSOCKETFUNCTION, &on_open);
  set(CURLOPT_CLOSESOCKETFUNCTION, &CurlHttp::on_close);
  set(CURLOPT_CLOSESOCKETDATA, this);
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST" || !request.body.empty()) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (request.method != "HEAD" && request.method != "POST" &&
      (request.method != "GET" || !request.body.empty())) {
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  if (transfer.headers != nullptr) set(CURLOPT_HTTPHEADER, transfer.headers);
  if (first_error != CURLE_OK) {
    return fail(ErrorKind::failed, curl_->easy_strerror(first_error));
  }
  const CURLMcode added = curl_->multi_add_handle(multi_, transfer.easy);
  if (added != CURLM_OK) return fail(ErrorKind::failed, curl_->multi_strerror(added));
  return {};
}

// Lets curl do what is ready, then tells what is over.
void CurlHttp::act(curl_socket_t fd, int events) {
  std::vector<std::unique_ptr<Transfer>> over = std::exchange(refused_, {});
  if (multi_ != nullptr) {
    int running = 0;
    curl_->multi_socket_action(multi_, fd, events, &running);
    int left = 0;
    while (const CURLMsg* message = curl_->multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* easy = message->easy_handle;
      const CURLcode code = message->data.result;  // the message is gone with its handle
      auto node = transfers_.extract(easy);
      conclude(*node.mapped(), code);
      curl_->multi_remove_handle(multi_, easy);
      over.push_back(std::move(node.mapped()));
    }
  }
  for (const std::unique_ptr<Transfer>& transfer : over) transfer->done(transfer->answer);
}

// --- what curl asks of the loop ----------------------------------------------------------------

void CurlHttp::watch(curl_socket_t fd, int what) {
  std::uint32_t events = 0;
  if ((what & CURL_POLL_IN) != 0) events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) events |= EPOLLOUT;
  const Loop::Handler handler = [this, fd](std::uint32_t ready) {
    int mask = 0;
    if ((ready & (EPOLLIN | EPOLLHUP)) != 0) mask |= CURL_CSELECT_IN;
    if ((ready & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
    if ((ready & EPOLLERR) != 0) mask |= CURL_CSELECT_ERR;
    act(fd, mask);
  };
  watched_.insert(fd);
  if (loop_.watch(fd, events, handler)) return;
  // The number was another descriptor's, which was closed without a word. If it fails still, the
  // request runs into its timeout.
  loop_.unwatch(fd);
  [[maybe_unused]] const auto watched = loop_.watch(fd, events, handler);
}

void CurlHttp::unwatch(curl_socket_t fd) {
  if (watched_.erase(fd) != 0) loop_.unwatch(fd);
}

int CurlHttp::on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
  CurlHttp& http = *static_cast<CurlHttp*>(self);
  if ((what & CURL_POLL_INOUT) != 0) {
    http.watch(fd, what);
  } else {
    http.unwatch(fd);
  }
  return 0;
}

int CurlHttp::on_timer(CURLM*, long timeout_ms, void* self) {
  CurlHttp& http = *static_cast<CurlHttp*>(self);
  if (!http.refused_.empty()) {
    // At once; curl asks again when it is called before its time.
    http.timer_.arm(Duration::zero());
  } else if (timeout_ms < 0) {
    http.timer_.disarm();
  } else {
    http.timer_.arm(std::chrono::milliseconds(timeout_ms));
  }
  return 0;
}

// Connections outlive the request that opened them; curl does not always say goodbye first.
int CurlHttp::on_close(void* self, curl_socket_t fd) {
  static_cast<CurlHttp*>(self)->unwatch(fd);
  return ::close(fd);
}

}  // namespace

Result<std::unique_ptr<Http>> Http::create(Loop& loop, const std::string& user_agent) {
  TRY(MonotonicTimer timer, MonotonicTimer::create());
  auto http = std::make_unique<CurlHttp>(loop, std::move(timer), user_agent);
  TRY_VOID(http->listen());
  return http;
}

}  // namespace schedctl::loop
