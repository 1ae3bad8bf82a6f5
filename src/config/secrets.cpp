// Addresses that are secrets in themselves: whoever knows a webhook's URL can post to it.

#include <unistd.h>

#include <algorithm>

#include "schedctl/config/config.hpp"
#include "src/config/document.hpp"
#include "src/config/settings.hpp"

namespace schedctl::config {
namespace {

Result<std::string> secret(const std::string& given, const std::string& file, const char* key) {
  if (!given.empty() || file.empty()) return given;
  auto text = read_trusted_file(file, ::geteuid());
  if (!text) {
    Error error = std::move(text).error();
    if (error.kind == ErrorKind::not_found) error.kind = ErrorKind::config;
    error.where = key;
    return fail(std::move(error));
  }
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text->empty() && blank(text->back())) text->pop_back();
  text->erase(text->begin(), std::find_if_not(text->begin(), text->end(), blank));
  if (text->empty()) return fail(ErrorKind::config, file + " is empty; it must hold a URL", key);
  TRY_VOID(check_address(*text, "the first line of " + file));
  return text;
}

}  // namespace

Result<void> check_address(std::string_view url, std::string_view key) {
  const auto wrong = [&](const char* why) {
    return fail(ErrorKind::config, std::string(key) + " must be an http:// or https:// URL" + why);
  };
  const bool plain = url.starts_with("http://");
  if (!plain && !url.starts_with("https://")) return wrong("");
  for (const char c : url) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) return wrong("; it has a space or a control character in it");
  }
  const std::string_view rest = url.substr(plain ? 7 : 8);
  const std::string_view host = rest.substr(0, rest.find_first_of("/?#"));
  if (host.empty() || host.front() == ':' || host.back() == '@')
    return wrong("; its host is missing");
  return {};
}

std::vector<std::string> Alerts::notifiers() const {
  std::vector<std::string> names;
  if (slack.configured()) names.emplace_back("slack");
  return names;
}

Result<std::string> slack_webhook_url(const Config& config) {
  const Slack& slack = config.alerts.slack;
  return secret(slack.webhook_url, slack.webhook_url_file, "alerts.slack.webhook_url_file");
}

Result<std::string> heartbeat_address(const Config& config) {
  return secret(config.heartbeat_url, config.heartbeat_url_file, "heartbeat_url_file");
}

}  // namespace schedctl::config
