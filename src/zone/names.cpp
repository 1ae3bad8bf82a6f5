#include "src/zone/names.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "schedctl/base/text.hpp"
#include "src/zone/data.hpp"

namespace schedctl::zone {
namespace {

/// The longest name of the database has 32 characters.
constexpr std::size_t kNameBytes = 128;
/// More than ten times what the database has.
constexpr std::size_t kMaxNames = 10'000;

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_name_char(char c) {
  return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-' || c == '/';
}

/// As somebody may type it: "europe/berlin", "America/New York".
std::string as_typed(std::string_view text) {
  std::string out = lowered(text);
  std::replace(out.begin(), out.end(), ' ', '_');
  return out;
}

/// Why `name` cannot be a zone's; empty if it can.
std::string_view objection(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > kNameBytes) return "it is too long";
  if (name.front() == '/') return "it is a path";
  if (!is_letter(name.front())) return "it begins with no letter";
  if (name.find("..") != std::string_view::npos) return "it has '..' in it";
  if (!std::all_of(name.begin(), name.end(), is_name_char)) {
    return "it has characters that no such name has";
  }
  if (name == "localtime" || name == "posixrules") return "it stands for another zone";
  if (name.starts_with("right/") || name.starts_with("posix/")) {
    return "it is another zone's copy for other clocks";
  }
  return {};
}

/// The `Z name` and `L target name` lines of tzdata.zi, the whole database in one text file.
std::vector<std::string> names_in_source(std::istream& in) {
  std::vector<std::string> names;
  for (std::string line; names.size() < kMaxNames && std::getline(in, line);) {
    std::istringstream words(line);
    std::string kind, name, alias;
    words >> kind >> name >> alias;
    if (kind == "Z" && !name.empty()) names.push_back(name);
    if (kind == "L" && !alias.empty()) names.push_back(alias);
  }
  return names;
}

std::vector<std::string> names_in_tree(const std::filesystem::path& root) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(root, error);
  for (;
       !error && at != std::filesystem::recursive_directory_iterator() && names.size() < kMaxNames;
       at.increment(error)) {
    const std::string name = at->path().lexically_relative(root).string();
    if (name == "posix" || name == "right") at.disable_recursion_pending();
    std::error_code ignored;
    if (at->is_regular_file(ignored) && objection(name).empty()) names.push_back(name);
  }
  return names;
}

}  // namespace

Result<void> check_zone_name(const std::string& name) {
  const std::string_view why = objection(name);
  if (why.empty()) return {};
  std::string message = "'" + escape_control(utf8_prefix(name, kNameBytes)) +
                        "' is not a time zone: " + std::string(why);
  const auto near = nearest_zone_name(name);
  message +=
      near ? "; did you mean " + *near + "?" : "; expected an IANA name like Europe/Berlin, or UTC";
  return fail(ErrorKind::usage, std::move(message), "timezone");
}

std::vector<std::string> zone_names() {
  std::vector<std::string> names;
  // To open a FIFO would be to wait for somebody who writes to it.
  const auto path = database() / "tzdata.zi";
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error)) {
    std::ifstream source(path);
    names = names_in_source(source);
  }
  if (names.empty()) names = names_in_tree(database());
  names.emplace_back("UTC");
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::optional<std::string> nearest_zone_name(const std::string& name) {
  const std::vector<std::string> names = zone_names();
  const std::string wanted = as_typed(utf8_prefix(name, kNameBytes));
  std::vector<std::string> lower_names, cities;
  for (const std::string& candidate : names) {
    lower_names.push_back(as_typed(candidate));
    cities.push_back(lower_names.back().substr(lower_names.back().rfind('/') + 1));
  }
  for (const std::vector<std::string>& table : {lower_names, cities}) {
    const auto exact = std::find(table.begin(), table.end(), wanted);
    if (exact != table.end()) return names[static_cast<std::size_t>(exact - table.begin())];
  }
  for (const std::vector<std::string>& table : {lower_names, cities}) {
    const auto near = nearest(wanted, table);
    if (!near) continue;
    const auto at = std::find(table.begin(), table.end(), *near);
    return names[static_cast<std::size_t>(at - table.begin())];
  }
  return std::nullopt;
}

}  // namespace schedctl::zone
