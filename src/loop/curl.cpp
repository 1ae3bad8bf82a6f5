#include "curl.hpp"

#include <dlfcn.h>

#include <string>

namespace schedctl::loop {
namespace {

Result<Curl> load() {
  // The name holds the version of the interface: it is the one whose headers were compiled with.
  void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  const auto reason = [] {
    const char* text = ::dlerror();
    return std::string(text != nullptr ? text : "unknown reason");
  };
  if (library == nullptr) return fail(ErrorKind::failed, "cannot load libcurl: " + reason());
  Curl curl;
  bool complete = true;
  const auto find = [&](auto& function, const char* name) {
    function =
        reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    complete = complete && function != nullptr;
  };
  find(curl.global_init, "curl_global_init");
  find(curl.slist_append, "curl_slist_append");
  find(curl.slist_free_all, "curl_slist_free_all");
  find(curl.easy_init, "curl_easy_init");
  find(curl.easy_setopt, "curl_easy_setopt");
  find(curl.easy_getinfo, "curl_easy_getinfo");
  find(curl.easy_header, "curl_easy_header");
  find(curl.easy_strerror, "curl_easy_strerror");
  find(curl.easy_cleanup, "curl_easy_cleanup");
  find(curl.multi_init, "curl_multi_init");
  find(curl.multi_setopt, "curl_multi_setopt");
  find(curl.multi_add_handle, "curl_multi_add_handle");
  find(curl.multi_remove_handle, "curl_multi_remove_handle");
  find(curl.multi_socket_action, "curl_multi_socket_action");
  find(curl.multi_info_read, "curl_multi_info_read");
  find(curl.multi_strerror, "curl_multi_strerror");
  find(curl.multi_cleanup, "curl_multi_cleanup");
  if (!complete) return fail(ErrorKind::failed, "this libcurl is too old: " + reason());
  const CURLcode code = curl.global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) {
    return fail(ErrorKind::failed,
                std::string("cannot initialize libcurl: ") + curl.easy_strerror(code));
  }
  return curl;
}

}  // namespace

Result<const Curl*> load_curl() {
  static const Result<Curl> loaded = load();
  if (!loaded) return fail(loaded.error());
  return &*loaded;
}

}  // namespace schedctl::loop
