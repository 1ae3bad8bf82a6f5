#include "codec.hpp"

#include <algorithm>
#include <utility>

#include "schedctl/base/limits.hpp"

// A message is its type (one byte), the length of its body (four bytes) and the body: the fields in
// the order of the struct. Numbers are little endian and of fixed width; a string or a list is its
// length or count as a varint (7 bits a byte, lowest first), then its bytes or elements. A body
// that ends too early, or has bytes left over, is no message.

namespace schedctl::keeper {
namespace {

// Numbers on the wire and in journals: never reused for something else.
enum class Type : std::uint8_t {
  hello = 1,
  welcome = 2,
  refused = 3,
  inventory_end = 4,
  start = 5,
  end = 6,
  acknowledge = 7,
  quit_if_idle = 8,
  ping = 9,
  pong = 10,
  started = 11,
  start_failed = 12,
  ended = 13,
  journal_head = 14,
  launched = 15,
  reexec = 16,
  stayed = 17,
  estate = 18,
  held_run = 19,
  intended = 20,
  // As the messages without "full", which older programs know, with what came later at the end.
  // These are used only where there is something to say in it.
  start_full = 21,
  ended_full = 22,
  held_run_full = 23,
  signal = 24,
  leftover = 25,
};

constexpr std::size_t kFrame = 5;

void put(std::uint64_t v, int width, std::string& out) {
  for (int i = 0; i < width; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}
void put8(std::uint8_t v, std::string& out) {
  put(v, 1, out);
}
void put32(std::uint32_t v, std::string& out) {
  put(v, 4, out);
}
void put64(std::uint64_t v, std::string& out) {
  put(v, 8, out);
}
void put64(std::int64_t v, std::string& out) {
  put(static_cast<std::uint64_t>(v), 8, out);
}
/// Brought into the range that a reader accepts.
void put(Duration d, std::string& out) {
  put64(to_us(std::clamp(d, Duration::zero(), limits::kLongestDuration)), out);
}
void put(Time t, std::string& out) {
  put64(to_us(t), out);
}
void put_count(std::size_t n, std::string& out) {
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<char>((n & 0x7f) | 0x80));
  out.push_back(static_cast<char>(n));
}
void put(const std::string& s, std::string& out) {
  put_count(s.size(), out);
  out += s;
}
void put(const RunKey& key, std::string& out) {
  put(key.store_id, out);
  put64(key.run.value, out);
  put64(key.fence, out);
}
void put(const std::vector<std::string>& list, std::string& out) {
  put_count(list.size(), out);
  for (const std::string& s : list) put(s, out);
}
void put(const std::optional<int>& v, std::string& out) {
  put8(v ? 1 : 0, out);
  if (v) put32(static_cast<std::uint32_t>(*v), out);
}
void put(const Terms& m, std::string& out) {
  put(m.user, out);
  put(m.group, out);
  put32(static_cast<std::uint32_t>(m.umask), out);
  put(m.stdin_file, out);
  put8(m.stdin_text ? 1 : 0, out);
  if (m.stdin_text) put(*m.stdin_text, out);
  put(m.env_file, out);
  put(m.nice, out);
  put8(static_cast<std::uint8_t>(m.io_class), out);
  put32(static_cast<std::uint32_t>(m.io_level), out);
  put_count(m.limits.size(), out);
  for (const Limit& limit : m.limits) {
    put8(static_cast<std::uint8_t>(limit.resource), out);
    put64(limit.value, out);
  }
  put(m.oom_score_adj, out);
  put64(m.memory_max, out);
  put32(static_cast<std::uint32_t>(m.cpu_max), out);
  put64(m.pids_max, out);
  put32(static_cast<std::uint32_t>(m.stop_signal), out);
  put8(m.keep_children ? 1 : 0, out);
  put8(static_cast<std::uint8_t>(m.output), out);
  put64(m.max_output, out);
}
void put(const Care& m, std::string& out) {
  put(m.user, out);
  put32(static_cast<std::uint32_t>(m.stop_signal), out);
  put8(m.keep_children ? 1 : 0, out);
  put8(m.has_cgroup ? 1 : 0, out);
  put64(m.max_output, out);
  put64(m.output_cut, out);
  put(m.marks, out);
}
void put(const std::optional<Duration>& d, std::string& out) {
  put8(d ? 1 : 0, out);
  if (d) put(*d, out);
}
void put(const Started& m, std::string& out) {
  put(m.key, out);
  put64(m.pid, out);
  put(m.at, out);
  put(m.output_path, out);
}

void put(const Launched& m, std::string& out) {
  put(m.started, out);
  put(m.since_boot, out);
}
void put_fd(int fd, std::string& out) {
  put32(static_cast<std::uint32_t>(fd), out);
}

/// Writes the frame, then the body, then the length into the frame.
template <class Body>
void frame(Type type, std::string& out, Body body) {
  const std::size_t at = out.size();
  put8(static_cast<std::uint8_t>(type), out);
  put32(0, out);
  body();
  const std::size_t length = out.size() - at - kFrame;
  for (std::size_t i = 0; i < 4; ++i) out[at + 1 + i] = static_cast<char>(length >> (8 * i));
}

/// Reads fields off the front. After the first thing that does not fit, ok() is false and every
/// value is empty, so that callers need to ask only once, at the end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

  std::uint64_t number(std::size_t width) {
    if (!need(width)) return 0;
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < width; ++i) {
      v |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    }
    rest_.remove_prefix(width);
    return v;
  }
  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::int64_t i64() { return static_cast<std::int64_t>(number(8)); }
  bool boolean() {
    const std::uint8_t v = u8();
    if (v > 1) ok_ = false;
    return v == 1;
  }
  Time time() { return time_from_us(i64()); }
  /// Not negative and not so long that adding it to an instant could overflow.
  Duration duration() {
    const Duration d{i64()};
    if (d < Duration::zero() || d > limits::kLongestDuration) ok_ = false;
    return ok_ ? d : Duration::zero();
  }
  /// How many things follow; each takes a byte at least, so more than there are bytes is a lie.
  std::size_t count() {
    std::uint64_t n = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      const std::uint8_t byte = u8();
      n |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        if (n > rest_.size()) ok_ = false;
        return ok_ ? static_cast<std::size_t>(n) : 0;
      }
    }
    ok_ = false;
    return 0;
  }
  std::string text() {
    const std::size_t n = count();
    std::string s(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return s;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> list;
    const std::size_t n = count();
    for (std::size_t i = 0; i < n && ok_; ++i) list.push_back(text());
    return list;
  }
  RunKey key() {
    RunKey key;
    key.store_id = text();
    key.run = RunId(i64());
    key.fence = i64();
    return key;
  }
  Started started() {
    Started m;
    m.key = key();
    m.pid = i64();
    m.at = time();
    m.output_path = text();
    return m;
  }
  Launched launched() { return Launched{started(), duration()}; }
  int fd() { return static_cast<int>(u32()); }
  int integer() { return static_cast<int>(u32()); }
  std::optional<int> maybe_integer() {
    return boolean() ? std::optional<int>(integer()) : std::nullopt;
  }
  std::optional<Duration> maybe_duration() {
    return boolean() ? std::optional<Duration>(duration()) : std::nullopt;
  }
  /// One of those up to `last`.
  template <class Enum>
  Enum one_of(Enum last) {
    const std::uint8_t v = u8();
    if (v > static_cast<std::uint8_t>(last)) ok_ = false;
    return ok_ ? static_cast<Enum>(v) : Enum{};
  }

 private:
  bool need(std::size_t n) {
    if (ok_ && rest_.size() >= n) return true;
    ok_ = false;
    rest_ = {};
    return false;
  }

  std::string_view rest_;
  bool ok_ = true;
};

StartOrder read_start(Reader& in) {
  StartOrder m;
  m.key = in.key();
  m.argv = in.texts();
  m.env = in.texts();
  m.cwd = in.text();
  m.timeout = in.duration();
  m.kill_grace = in.duration();
  return m;
}

Terms read_terms(Reader& in) {
  Terms m;
  m.user = in.text();
  m.group = in.text();
  m.umask = in.integer();
  m.stdin_file = in.text();
  if (in.boolean()) m.stdin_text = in.text();
  m.env_file = in.text();
  m.nice = in.maybe_integer();
  m.io_class = in.one_of(IoClass::idle);
  m.io_level = in.integer();
  const std::size_t n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) {
    const auto resource = in.one_of(Resource::fsize);
    m.limits.push_back({resource, in.u64()});
  }
  m.oom_score_adj = in.maybe_integer();
  m.memory_max = in.i64();
  m.cpu_max = in.integer();
  m.pids_max = in.i64();
  m.stop_signal = in.integer();
  m.keep_children = in.boolean();
  m.output = in.one_of(Output::discard);
  m.max_output = in.i64();
  return m;
}

StartOrder read_start_full(Reader& in) {
  StartOrder m = read_start(in);
  m.terms = read_terms(in);
  return m;
}

Care read_care(Reader& in) {
  Care m;
  m.user = in.text();
  m.stop_signal = in.integer();
  m.keep_children = in.boolean();
  m.has_cgroup = in.boolean();
  m.max_output = in.i64();
  m.output_cut = in.i64();
  m.marks = in.texts();
  return m;
}

Leftover read_leftover(Reader& in) {
  Leftover m;
  m.key = in.key();
  m.session = in.i64();
  m.since_boot = in.duration();
  m.group_told = in.boolean();
  m.told_to_end = in.boolean();
  m.kill_grace = in.duration();
  m.kill_at = in.maybe_duration();
  m.care = read_care(in);
  return m;
}

Ended read_ended(Reader& in) {
  Ended m;
  m.key = in.key();
  m.pid = in.i64();
  m.started_at = in.time();
  m.ended_at = in.time();
  m.wait_status = static_cast<int>(in.u32());
  m.timed_out = in.boolean();
  m.ended_on_order = in.boolean();
  m.cpu = in.duration();
  if (in.boolean()) m.max_rss_kb = in.i64();
  m.output_path = in.text();
  m.output_bytes = in.i64();
  return m;
}

Ended read_ended_full(Reader& in) {
  Ended m = read_ended(in);
  m.output_cut = in.i64();
  m.oom_killed = in.boolean();
  return m;
}

StartFailed read_start_failed(Reader& in) {
  StartFailed m;
  m.key = in.key();
  m.stage = in.one_of(Stage::oom_score);
  m.error_number = static_cast<int>(in.u32());
  m.at = in.time();
  return m;
}

Estate read_estate(Reader& in) {
  Estate m;
  m.version = in.u32();
  m.instance = in.text();
  m.program = in.text();
  m.last_epoch = in.u64();
  m.files_made = in.u64();
  for (int* fd : {&m.lock, &m.keeper_dir, &m.listener, &m.output_dir}) *fd = in.fd();
  if (in.boolean()) {
    const std::uint64_t soft = in.u64();
    m.files = {soft, in.u64()};
  }
  if (in.boolean()) m.oom_score = in.text();
  return m;
}

HeldRun read_held_run(Reader& in) {
  HeldRun m;
  m.launched = in.launched();
  m.phase = in.one_of(RunPhase::held);
  m.output = in.fd();
  m.output_device = in.u64();
  m.output_inode = in.u64();
  m.pending = in.fd();
  for (bool* flag : {&m.ending, &m.killed, &m.timed_out, &m.ended_on_order}) *flag = in.boolean();
  m.kill_grace = in.duration();
  m.deadline = in.maybe_duration();
  return m;
}

HeldRun read_held_run_full(Reader& in) {
  HeldRun m = read_held_run(in);
  m.care = read_care(in);
  return m;
}

std::optional<Message> read_body(Type type, Reader& in) {
  // The fields of a braced list are read in the order they are written in.
  switch (type) {
    case Type::hello:
      return Hello{in.u32(), in.u64()};
    case Type::welcome: {
      Welcome m{in.u32(), in.u64(), in.i64(), in.text()};
      if (m.version >= 2) m.build = in.text();
      return m;
    }
    case Type::refused:
      return Refused{in.u32(), in.u64()};
    case Type::inventory_end:
      return InventoryEnd{};
    case Type::start:
      return read_start(in);
    case Type::end:
      return End{in.key(), in.duration()};
    case Type::acknowledge: {
      Acknowledge m;
      const std::size_t n = in.count();
      for (std::size_t i = 0; i < n && in.ok(); ++i) m.keys.push_back(in.key());
      return m;
    }
    case Type::quit_if_idle:
      return QuitIfIdle{};
    case Type::ping:
      return Ping{in.u64()};
    case Type::pong:
      return Pong{in.u64()};
    case Type::started:
      return in.started();
    case Type::start_failed:
      return read_start_failed(in);
    case Type::ended:
      return read_ended(in);
    case Type::journal_head:
      return JournalHead{in.u32(), in.text(), in.text()};
    case Type::launched:
      return in.launched();
    case Type::reexec:
      return Reexec{};
    case Type::stayed:
      return Stayed{in.text()};
    case Type::estate:
      return read_estate(in);
    case Type::held_run:
      return read_held_run(in);
    case Type::intended:
      return Intended{in.key(), in.duration(), in.text()};
    case Type::start_full:
      return read_start_full(in);
    case Type::ended_full:
      return read_ended_full(in);
    case Type::held_run_full:
      return read_held_run_full(in);
    case Type::signal:
      return Signal{in.key(), in.integer()};
    case Type::leftover:
      return read_leftover(in);
  }
  return std::nullopt;
}

}  // namespace

void encode(const Hello& m, std::string& out) {
  frame(Type::hello, out, [&] { put32(m.version, out), put64(m.epoch, out); });
}

void encode(const Welcome& m, std::string& out) {
  frame(Type::welcome, out, [&] {
    put32(m.version, out);
    put64(m.epoch, out);
    put64(m.pid, out);
    put(m.instance, out);
    if (m.version >= 2) put(m.build, out);
  });
}

void encode(const Refused& m, std::string& out) {
  frame(Type::refused, out, [&] { put32(m.version, out), put64(m.last_epoch, out); });
}

void encode(const InventoryEnd&, std::string& out) {
  frame(Type::inventory_end, out, [] {});
}

void encode(const StartOrder& m, std::string& out) {
  const bool plain = m.terms == Terms{};
  frame(plain ? Type::start : Type::start_full, out, [&] {
    put(m.key, out);
    put(m.argv, out);
    put(m.env, out);
    put(m.cwd, out);
    put(m.timeout, out);
    put(m.kill_grace, out);
    if (!plain) put(m.terms, out);
  });
}

void encode(const End& m, std::string& out) {
  frame(Type::end, out, [&] { put(m.key, out), put(m.kill_grace, out); });
}

void encode(const Acknowledge& m, std::string& out) {
  frame(Type::acknowledge, out, [&] {
    put_count(m.keys.size(), out);
    for (const RunKey& key : m.keys) put(key, out);
  });
}

void encode(const QuitIfIdle&, std::string& out) {
  frame(Type::quit_if_idle, out, [] {});
}

void encode(const Ping& m, std::string& out) {
  frame(Type::ping, out, [&] { put64(m.token, out); });
}

void encode(const Pong& m, std::string& out) {
  frame(Type::pong, out, [&] { put64(m.token, out); });
}

void encode(const Started& m, std::string& out) {
  frame(Type::started, out, [&] { put(m, out); });
}

void encode(const StartFailed& m, std::string& out) {
  frame(Type::start_failed, out, [&] {
    put(m.key, out);
    put8(static_cast<std::uint8_t>(m.stage), out);
    put32(static_cast<std::uint32_t>(m.error_number), out);
    put(m.at, out);
  });
}

void encode(const Ended& m, std::string& out) {
  const bool plain = m.output_cut == 0 && !m.oom_killed;
  frame(plain ? Type::ended : Type::ended_full, out, [&] {
    put(m.key, out);
    put64(m.pid, out);
    put(m.started_at, out);
    put(m.ended_at, out);
    put32(static_cast<std::uint32_t>(m.wait_status), out);
    put8(m.timed_out ? 1 : 0, out);
    put8(m.ended_on_order ? 1 : 0, out);
    put(m.cpu, out);
    put8(m.max_rss_kb ? 1 : 0, out);
    if (m.max_rss_kb) put64(*m.max_rss_kb, out);
    put(m.output_path, out);
    put64(m.output_bytes, out);
    if (plain) return;
    put64(m.output_cut, out);
    put8(m.oom_killed ? 1 : 0, out);
  });
}

void encode(const JournalHead& m, std::string& out) {
  frame(Type::journal_head, out, [&] {
    put32(m.version, out);
    put(m.instance, out);
    put(m.boot_id, out);
  });
}

void encode(const Launched& m, std::string& out) {
  frame(Type::launched, out, [&] { put(m, out); });
}

void encode(const Intended& m, std::string& out) {
  frame(Type::intended, out, [&] {
    put(m.key, out);
    put(m.since_boot, out);
    put(m.mark, out);
  });
}

void encode(const Reexec&, std::string& out) {
  frame(Type::reexec, out, [] {});
}

void encode(const Stayed& m, std::string& out) {
  frame(Type::stayed, out, [&] { put(m.why, out); });
}

void encode(const Estate& m, std::string& out) {
  frame(Type::estate, out, [&] {
    put32(m.version, out);
    put(m.instance, out);
    put(m.program, out);
    put64(m.last_epoch, out);
    put64(m.files_made, out);
    for (const int fd : {m.lock, m.keeper_dir, m.listener, m.output_dir}) put_fd(fd, out);
    put8(m.files ? 1 : 0, out);
    if (m.files) put64(m.files->first, out), put64(m.files->second, out);
    put8(m.oom_score ? 1 : 0, out);
    if (m.oom_score) put(*m.oom_score, out);
  });
}

void encode(const HeldRun& m, std::string& out) {
  frame(Type::held_run_full, out, [&] {
    put(m.launched, out);
    put8(static_cast<std::uint8_t>(m.phase), out);
    put_fd(m.output, out);
    put64(m.output_device, out);
    put64(m.output_inode, out);
    put_fd(m.pending, out);
    for (const bool flag : {m.ending, m.killed, m.timed_out, m.ended_on_order}) {
      put8(flag ? 1 : 0, out);
    }
    put(m.kill_grace, out);
    put(m.deadline, out);
    put(m.care, out);
  });
}

void encode(const Leftover& m, std::string& out) {
  frame(Type::leftover, out, [&] {
    put(m.key, out);
    put64(m.session, out);
    put(m.since_boot, out);
    put8(m.group_told ? 1 : 0, out);
    put8(m.told_to_end ? 1 : 0, out);
    put(m.kill_grace, out);
    put(m.kill_at, out);
    put(m.care, out);
  });
}

void encode(const Signal& m, std::string& out) {
  frame(Type::signal, out, [&] { put(m.key, out), put_fd(m.signo, out); });
}

StartFailed as_told_in(std::uint32_t version, StartFailed m) {
  if (version < 3 && m.stage > Stage::exec) m.stage = Stage::setup;
  return m;
}

Ended as_told_in(std::uint32_t version, Ended m) {
  if (version < 3) m.output_cut = 0, m.oom_killed = false;
  return m;
}

Result<Message> decode(std::string_view& bytes) {
  Reader head(bytes);
  const std::uint8_t type = head.u8();
  const std::uint32_t length = head.u32();
  if (!head.ok() || length > bytes.size() - kFrame) {
    return fail(ErrorKind::failed, "a keeper message is cut off");
  }
  Reader body(bytes.substr(kFrame, length));
  std::optional<Message> message = read_body(static_cast<Type>(type), body);
  if (!message || !body.ok() || !body.at_end()) {
    return fail(ErrorKind::failed,
                "a keeper message of type " + std::to_string(type) + " makes no sense");
  }
  bytes.remove_prefix(kFrame + length);
  return std::move(*message);
}

}  // namespace schedctl::keeper
