#include "src/config/document.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <sstream>
#include <tuple>

#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::config {
namespace {

/// A settings or jobs file is written by hand; more than this is a mistake (a log, a database).
constexpr off_t kFileBytes = off_t{1024} * 1024;

Error unsuitable(const std::string& path, const std::string& why) {
  return Error{ErrorKind::config, "cannot use " + path + ": " + why, path};
}

/// Whoever can write a file of settings or jobs decides what runs, so it must be root's or ours.
Result<void> check_file(const std::string& path, const struct stat& st, uid_t uid) {
  if (S_ISDIR(st.st_mode)) return fail(unsuitable(path, "it is a directory; name a file"));
  if (!S_ISREG(st.st_mode)) return fail(unsuitable(path, "it is not a regular file"));
  if (st.st_uid != 0 && st.st_uid != uid) {
    return fail(unsuitable(path, "it belongs to user id " + std::to_string(st.st_uid) +
                                     ", and only root's files and your own are trusted; chown it"));
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(unsuitable(path, "others can write it, and so decide what runs; chmod go-w it"));
  }
  if (st.st_size > kFileBytes) return fail(unsuitable(path, "it is larger than 1 MiB"));
  return {};
}

Result<std::string> read_trusted(const std::string& path, uid_t uid) {
  // Without O_NONBLOCK a FIFO in a directory of jobs would hang the daemon here.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) {
    Error error = error_from_errno("cannot read " + path, errno);
    if (errno == ENOENT || errno == ENOTDIR) error.kind = ErrorKind::not_found;
    if (error.kind == ErrorKind::failed) error.kind = ErrorKind::config;
    error.where = path;
    return fail(std::move(error));
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail(error_from_errno("cannot read " + path, errno));
  TRY_VOID(check_file(path, st, uid));

  std::string text;
  char buffer[16384];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      Error error = error_from_errno("cannot read " + path, errno);
      if (error.kind == ErrorKind::failed) error.kind = ErrorKind::config;
      error.where = path;
      return fail(std::move(error));
    }
    text.append(buffer, static_cast<std::size_t>(got));
    if (static_cast<off_t>(text.size()) > kFileBytes) {
      return fail(unsuitable(path, "it is larger than 1 MiB"));
    }
  }
}

std::string place(const std::string& path, const toml::source_position& position) {
  return path + ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
}

template <class T>
std::string written(const T& moment) {
  std::ostringstream out;
  out << moment;
  return out.str();
}

Value convert(const toml::node& node, const std::string& path);

void convert_table(const toml::table& table, const std::string& path, Value& value) {
  std::vector<std::tuple<toml::source_position, const toml::key*, const toml::node*>> parts;
  for (const auto& [key, node] : table) parts.emplace_back(key.source().begin, &key, &node);
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return std::get<0>(a) < std::get<0>(b); });
  for (const auto& [position, key, node] : parts) {
    value.table.push_back(
        Entry{std::string(key->str()), place(path, position), convert(*node, path)});
  }
}

Value convert(const toml::node& node, const std::string& path) {
  Value value;
  value.where = place(path, node.source().begin);
  switch (node.type()) {
    case toml::node_type::string:
      value.kind = Value::Kind::string;
      value.text = node.as_string()->get();
      break;
    case toml::node_type::integer:
      value.kind = Value::Kind::integer;
      value.integer = node.as_integer()->get();
      break;
    case toml::node_type::boolean:
      value.kind = Value::Kind::boolean;
      value.boolean = node.as_boolean()->get();
      break;
    case toml::node_type::floating_point:
      value.kind = Value::Kind::number;
      break;
    case toml::node_type::date:
      value.kind = Value::Kind::moment;
      value.text = written(node.as_date()->get());
      break;
    case toml::node_type::time:
      value.kind = Value::Kind::moment;
      value.text = written(node.as_time()->get());
      break;
    case toml::node_type::date_time:
      value.kind = Value::Kind::moment;
      value.text = written(node.as_date_time()->get());
      break;
    case toml::node_type::array:
      value.kind = Value::Kind::list;
      for (const toml::node& item : *node.as_array()) value.list.push_back(convert(item, path));
      break;
    case toml::node_type::table:
      value.kind = Value::Kind::table;
      convert_table(*node.as_table(), path, value);
      break;
    case toml::node_type::none:
      break;
  }
  return value;
}

Error wrong_kind(const Value& value, std::string_view key, std::string_view wanted) {
  return Error{ErrorKind::config,
               std::string(key) + " must be " + std::string(wanted) + ", not " +
                   std::string(kind_name(value.kind)),
               value.where};
}

}  // namespace

std::string_view kind_name(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::string:
      return "a string";
    case Value::Kind::integer:
      return "an integer";
    case Value::Kind::boolean:
      return "true or false";
    case Value::Kind::number:
      return "a fraction";
    case Value::Kind::moment:
      return "a date or time";
    case Value::Kind::list:
      return "a list";
    case Value::Kind::table:
      return "a table";
  }
  return "";
}

Result<std::string> scalar_text(const Value& value, std::string_view key) {
  if (value.kind == Value::Kind::string) return value.text;
  if (value.kind == Value::Kind::integer) return std::to_string(value.integer);
  return fail(wrong_kind(value, key, "a string or an integer"));
}

Result<std::vector<std::string>> string_list(const Value& value, std::string_view key) {
  if (value.kind != Value::Kind::list) {
    return fail(wrong_kind(value, key, "a list of strings ([\"...\", \"...\"])"));
  }
  std::vector<std::string> strings;
  for (const Value& item : value.list) {
    if (item.kind != Value::Kind::string) {
      return fail(wrong_kind(item, "each part of " + std::string(key), "a string"));
    }
    strings.push_back(item.text);
  }
  return strings;
}

std::string unknown_key(std::string_view key, std::string_view what,
                        const std::vector<std::string>& known) {
  std::string message = "'" + escape_control(key) + "' is not " + std::string(what);
  if (const auto near = nearest(key, known)) message += "; did you mean " + *near + "?";
  return message;
}

Result<void> check_retry_table(const Value& table) {
  static const std::vector<std::string> kKeys{"max_attempts", "backoff", "max_delay"};
  for (const Entry& entry : table.table) {
    if (std::find(kKeys.begin(), kKeys.end(), entry.key) == kKeys.end()) {
      return fail(ErrorKind::config, unknown_key(entry.key, "a key of retry", kKeys), entry.where);
    }
  }
  return {};
}

Result<Value> read_document(const std::string& path, uid_t uid) {
  TRY(const std::string text, read_trusted(path, uid));
  try {
    return convert(toml::parse(text), path);
  } catch (const toml::parse_error& error) {
    return fail(ErrorKind::config, escape_control(error.description()),
                place(path, error.source().begin));
  } catch (const std::exception& error) {
    return fail(ErrorKind::config, escape_control(error.what()), path);
  }
}

}  // namespace schedctl::config
