// A line is put together here and handed to one spdlog logger whose pattern is the bare message:
// the time stamp is the local one with its offset, which spdlog's own pattern flags cannot write
// with milliseconds and a colon in one go.

#include "schedctl/base/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::log {
namespace {

// More than this in one beat is written out early, so that a storm does not grow the process.
constexpr std::size_t kBufferBytes = std::size_t{64} * 1024;

std::string_view word(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info ";
    case Level::warning:
      return "warn ";
    case Level::error:
      return "error";
  }
  return "info ";
}

/// What the lines of one second have in common, which a busy beat has many of.
struct Second {
  time_t second = -1;
  long zone = 0;                  ///< as tzset(3) has it
  std::array<char, 64> text{};    ///< date and time of day
  std::array<char, 32> offset{};  ///< from UTC
};

void append_time(std::string& line) {
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  thread_local Second last;
  const auto second = static_cast<time_t>(ms / 1000);
  if (second != last.second || ::timezone != last.zone) {
    last.second = second;
    last.zone = ::timezone;
    tm local{};
    ::localtime_r(&second, &local);
    const long minutes = local.tm_gmtoff / 60;
    std::snprintf(last.text.data(), last.text.size(), "%04d-%02d-%02dT%02d:%02d:%02d",
                  local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour,
                  local.tm_min, local.tm_sec);
    std::snprintf(last.offset.data(), last.offset.size(), "%c%02ld:%02ld", minutes < 0 ? '-' : '+',
                  std::labs(minutes) / 60, std::labs(minutes) % 60);
  }
  const auto rest = static_cast<int>(ms % 1000);
  line += last.text.data();
  line += '.';
  line += static_cast<char>('0' + rest / 100);
  line += static_cast<char>('0' + rest / 10 % 10);
  line += static_cast<char>('0' + rest % 10);
  line += last.offset.data();
}

void append_head(std::string& line, Level level, std::string_view event) {
  append_time(line);
  line += ' ';
  line += word(level);
  line += ' ';
  line += event;
}

std::size_t lines_in(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// A descriptor that lines go to. What it does not take (a full disk, a pipe that nobody reads) must
// not stop a scheduler: lines are lost, and as soon as there is room again a line says how many.
class Outlet {
 public:
  // A pipe or a terminal may stand still. Its description may be shared with others, so that it is
  // not to be made non-blocking; a pipe that can be written takes PIPE_BUF.
  void write(int fd, std::string_view text) {
    struct stat st {};
    const bool is_file = ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    write(fd, text, is_file ? kAll : PIPE_BUF);
  }

 private:
  static constexpr std::size_t kAll = SIZE_MAX;

  void write(int fd, std::string_view text, std::size_t at_once) {
    if (lost_ > 0) {
      std::string notice = torn_ ? "\n" : "";
      append_head(notice, Level::warning, "log-lines-lost");
      notice += " lines=" + std::to_string(lost_) + "\n";
      if (put(fd, notice, at_once) < notice.size()) {
        lost_ += lines_in(text);
        return;
      }
    }
    lost_ = lines_in(text.substr(put(fd, text, at_once)));
  }

  // How many bytes of it were taken.
  std::size_t put(int fd, std::string_view text, std::size_t at_once) {
    std::size_t done = 0;
    while (done < text.size()) {
      pollfd room{fd, POLLOUT, 0};
      if (at_once != kAll && ::poll(&room, 1, 0) <= 0) break;
      const ssize_t n = ::write(fd, text.data() + done, std::min(at_once, text.size() - done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      done += static_cast<std::size_t>(n);
    }
    if (done > 0) torn_ = text[done - 1] != '\n';
    return done;
  }

  std::size_t lost_ = 0;
  bool torn_ = false;  ///< what was taken ends within a line
};

// Buffers whole lines and writes them in one go; the descriptor is O_APPEND, so that a line is
// never torn by another writer of the same file.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FileSink(UniqueFd file, bool also_stderr) : file_(std::move(file)), also_stderr_(also_stderr) {}
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  // A thread may have got hold of the logger just before open() made another.
  ~FileSink() override { write_out(); }

  void replace(UniqueFd file) {
    std::lock_guard lock(mutex_);
    write_out();
    file_ = std::move(file);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    buffer_.append(message.payload.data(), message.payload.size());
    buffer_ += '\n';
    if (buffer_.size() >= kBufferBytes || !file_) write_out();
  }
  void flush_() override { write_out(); }

 private:
  void write_out() {
    if (buffer_.empty()) return;
    if (file_) to_file_.write(file_.get(), buffer_);
    if (!file_ || also_stderr_) to_stderr_.write(STDERR_FILENO, buffer_);
    buffer_.clear();
  }

  UniqueFd file_;
  bool also_stderr_;
  Outlet to_file_;
  Outlet to_stderr_;
  std::string buffer_;
};

struct State {
  std::mutex mutex;
  std::shared_ptr<FileSink> sink;
  std::shared_ptr<spdlog::logger> logger;
  std::string path;
};

State& state() {
  static State instance;
  return instance;
}

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void install(UniqueFd file, Level level, bool also_stderr) {
  State& s = state();
  s.sink = std::make_shared<FileSink>(std::move(file), also_stderr);
  s.logger = std::make_shared<spdlog::logger>("schedctl", s.sink);
  s.logger->set_level(spdlog_level(level));
  // Whoever reports an error may have no beat of its own that flushes.
  s.logger->flush_on(spdlog::level::err);
}

std::shared_ptr<spdlog::logger> logger() {
  State& s = state();
  std::lock_guard lock(s.mutex);
  if (!s.logger) install(UniqueFd(), Level::info, false);
  return s.logger;
}

Result<UniqueFd> open_file(const std::string& path) {
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
  if (fd < 0) {
    return fail(error_from_errno("cannot open the log file " + path, errno));
  }
  return UniqueFd(fd);
}

void append_value(std::string& line, std::string_view value) {
  const std::string escaped = escape_control(value);
  const bool plain = !escaped.empty() && escaped.find_first_of(" \"=\\") == std::string::npos;
  if (plain) {
    line += escaped;
    return;
  }
  line += '"';
  for (const char c : escaped) {
    if (c == '"') line += '\\';
    line += c;
  }
  line += '"';
}

}  // namespace

Result<void> open(const std::string& path, Level level, bool also_stderr) {
  UniqueFd file;
  if (!path.empty()) {
    TRY(file, open_file(path));
  }
  State& s = state();
  std::lock_guard lock(s.mutex);
  if (s.sink) s.sink->flush();
  s.path = path;
  install(std::move(file), level, also_stderr);
  return {};
}

Result<void> reopen() {
  State& s = state();
  std::lock_guard lock(s.mutex);
  if (s.path.empty() || !s.sink) return {};
  TRY(UniqueFd file, open_file(s.path));
  s.sink->replace(std::move(file));
  return {};
}

void set_level(Level level) {
  logger()->set_level(spdlog_level(level));
}

Result<Level> parse_level(std::string_view text) {
  if (text == "debug") return Level::debug;
  if (text == "info") return Level::info;
  if (text == "warning" || text == "warn") return Level::warning;
  if (text == "error") return Level::error;
  return fail(ErrorKind::config,
              "\"" + std::string(text) + "\" is not a log level: use debug, info, warning or error",
              "log_level");
}

void write(Level level, std::string_view event, std::span<const Field> fields) {
  const std::shared_ptr<spdlog::logger> log = logger();
  if (!log->should_log(spdlog_level(level))) return;
  std::string line;
  line.reserve(160);
  append_head(line, level, event);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  log->log(spdlog_level(level), spdlog::string_view_t(line));
}

void flush() {
  logger()->flush();
}

}  // namespace schedctl::log
