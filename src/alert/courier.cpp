#include "schedctl/alert/courier.hpp"

#include <variant>

#include "delivery.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/loop/mailbox.hpp"

namespace schedctl::alert {
namespace {

struct Heartbeat {};
using Letter = std::variant<Delivery, Heartbeat>;

/// A monitor that does not answer by then has not heard.
constexpr Duration kHeartbeatTimeout = std::chrono::seconds(10);

}  // namespace

struct HttpCourier::Impl {
  Impl(loop::Loop& a_loop, loop::Http& a_http, Addresses where, OutcomeSink& a_sink,
       loop::Mailbox<Letter> letters)
      : loop(a_loop),
        http(a_http),
        addresses(std::move(where)),
        sink(a_sink),
        box(std::move(letters)) {}

  void collect();
  void send(Delivery delivery);
  void beat();
  void note_heartbeat(const loop::HttpAnswer& answer, const std::string& address);

  loop::Loop& loop;
  loop::Http& http;
  Addresses addresses;
  OutcomeSink& sink;
  loop::Mailbox<Letter> box;
  bool beating = false;          ///< a heartbeat is under way
  bool heartbeat_fails = false;  ///< and the log says so
  /// Gone when this is: answers that come later find nobody.
  std::shared_ptr<Impl*> self = std::make_shared<Impl*>(this);
};

void HttpCourier::Impl::collect() {
  for (Letter& letter : box.take()) {
    if (std::holds_alternative<Heartbeat>(letter)) {
      beat();
    } else {
      send(std::get<Delivery>(std::move(letter)));
    }
  }
}

void HttpCourier::Impl::send(Delivery delivery) {
  const std::string address = address_of(addresses, delivery.notifier);
  if (address.empty()) return sink.delivered(not_configured(delivery));
  loop::HttpRequest request = request_of(delivery, address);
  delivery.payload.clear();
  http.send(std::move(request), [impl = std::weak_ptr(self), delivery = std::move(delivery),
                                 address](const loop::HttpAnswer& answer) {
    if (const auto living = impl.lock())
      (*living)->sink.delivered(outcome_of(delivery, answer, address));
  });
}

// One at a time: a monitor that hangs is not asked again and again meanwhile.
void HttpCourier::Impl::beat() {
  if (beating || addresses.heartbeat.empty()) return;
  beating = true;
  http.send(
      {.url = addresses.heartbeat, .timeout = kHeartbeatTimeout},
      [impl = std::weak_ptr(self), address = addresses.heartbeat](const loop::HttpAnswer& answer) {
        if (const auto living = impl.lock()) (*living)->note_heartbeat(answer, address);
      });
}

void HttpCourier::Impl::note_heartbeat(const loop::HttpAnswer& answer, const std::string& address) {
  beating = false;
  if (address != addresses.heartbeat) return;  // of one that is not asked any more
  const bool fails = answer.status < 200 || answer.status > 299;
  if (fails == heartbeat_fails) return;
  heartbeat_fails = fails;
  if (fails) {
    log::warning("heartbeat-failed",
                 {{"status", answer.status}, {"answer", answer_text(answer, address)}});
  } else {
    log::info("heartbeat-ok");
  }
}

HttpCourier::HttpCourier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpCourier::~HttpCourier() {
  impl_->loop.unwatch(impl_->box.fd());
}

Result<std::unique_ptr<HttpCourier>> HttpCourier::create(loop::Loop& loop, loop::Http& http,
                                                         Addresses addresses, OutcomeSink& sink) {
  TRY(auto box, loop::Mailbox<Letter>::create());
  auto impl = std::make_unique<Impl>(loop, http, std::move(addresses), sink, std::move(box));
  TRY_VOID(loop.watch(impl->box.fd(), EPOLLIN,
                      [courier = impl.get()](std::uint32_t) { courier->collect(); }));
  return std::unique_ptr<HttpCourier>(new HttpCourier(std::move(impl)));
}

void HttpCourier::configure(Addresses addresses) {
  if (addresses.heartbeat != impl_->addresses.heartbeat) impl_->heartbeat_fails = false;
  impl_->addresses = std::move(addresses);
}

void HttpCourier::deliver(Delivery delivery) {
  impl_->box.post(std::move(delivery));
}

void HttpCourier::heartbeat() {
  impl_->box.post(Heartbeat{});
}

}  // namespace schedctl::alert
