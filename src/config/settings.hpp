#pragma once

#include <string>
#include <vector>

#include "schedctl/config/config.hpp"

/// The table of settings: what each is called, how it is read, how it is printed.
namespace schedctl::config {

/// A value somebody gave for a setting.
struct Given {
  std::string text;
  std::vector<std::string> list;  ///< of a list setting
  bool relative_allowed = false;  ///< paths may count from the working directory
};

struct SettingSpec {
  enum class Type { string, text_or_integer, list };
  std::string key;
  Type type = Type::string;
  /// Checks and stores it. Errors are of kind config, without `where`.
  Result<void> (*read)(Config& config, const std::string& key, const Given& given) = nullptr;
  std::string (*print)(const Config& config, const std::string& key) = nullptr;
  /// Who may set a variable, or the flags of a command, must not decide it.
  bool file_only = false;

  std::string variable() const;  ///< "SCHEDCTL_DEFAULTS_MISFIRE_GRACE"; empty: it has none
};

/// All of them, in the order in which people should read them.
const std::vector<SettingSpec>& setting_specs();
/// nullptr if there is none.
const SettingSpec* find_setting(std::string_view key);
/// Their keys, for suggestions.
std::vector<std::string> setting_keys();

/// An http or https URL with a host. The error names `key` and not the URL, which is a secret.
Result<void> check_address(std::string_view url, std::string_view key);

/// Makes a store URL's path absolute and checks its kind.
Result<std::string> read_store_url(const std::string& text, bool relative_allowed);

}  // namespace schedctl::config
