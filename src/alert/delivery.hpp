#pragma once

#include <string>

#include "schedctl/alert/courier.hpp"
#include "schedctl/loop/http.hpp"

namespace schedctl::alert {

/// Where this notifier sends to; "" if it is not set up.
std::string address_of(const Addresses& addresses, const std::string& notifier);

/// The request that delivers it to that address.
loop::HttpRequest request_of(const Delivery& delivery, const std::string& address);

/// What a person may read of an answer: one short line without control characters, and without
/// the secret parts of the address, which some servers repeat.
std::string answer_text(const loop::HttpAnswer& answer, const std::string& address);

Outcome outcome_of(const Delivery& delivery, const loop::HttpAnswer& answer,
                   const std::string& address);
/// That it could not even be tried.
Outcome not_configured(const Delivery& delivery);

}  // namespace schedctl::alert
