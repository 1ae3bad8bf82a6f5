#include "schedctl/loop/directory_watch.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace schedctl::loop {
namespace {

constexpr std::uint32_t kChanges = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                   IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF;
/// Far more than a database of time zones has; each costs the kernel a kilobyte.
constexpr std::size_t kMostPlaces = 200;

}  // namespace

Result<std::unique_ptr<DirectoryWatch>> DirectoryWatch::create(Loop& loop, Places places,
                                                               Duration settle,
                                                               std::function<void()> changed) {
  TRY(MonotonicTimer timer, MonotonicTimer::create());
  std::unique_ptr<DirectoryWatch> self(
      new DirectoryWatch(loop, std::move(places), settle, std::move(changed), std::move(timer)));
  DirectoryWatch* raw = self.get();
  TRY_VOID(loop.watch(raw->timer_.fd(), EPOLLIN, [raw](auto) { raw->on_settled(); }));
  TRY_VOID(self->begin());
  return self;
}

DirectoryWatch::DirectoryWatch(Loop& loop, Places places, Duration settle,
                               std::function<void()> changed, MonotonicTimer timer)
    : loop_(loop),
      places_(std::move(places)),
      settle_(settle),
      changed_(std::move(changed)),
      timer_(std::move(timer)) {}

DirectoryWatch::~DirectoryWatch() {
  loop_.unwatch(timer_.fd());
  end();
}

Result<void> DirectoryWatch::begin() {
  inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify_) return fail(error_from_errno("inotify_init1", errno));
  std::size_t left = kMostPlaces;
  for (Place& place : places_()) {
    if (left-- == 0) break;
    const int id =
        ::inotify_add_watch(inotify_.get(), place.directory.c_str(), kChanges | IN_ONLYDIR);
    if (id >= 0) {
      // One directory may be several places: then all that is in it counts.
      const auto [known, is_new] = only_.emplace(id, place.entry);
      if (!is_new && known->second != place.entry) known->second.clear();
    } else if (errno == ENOSPC || errno == ENOMEM) {
      return fail(error_from_errno("inotify_add_watch", errno));
    }
  }
  return loop_.watch(inotify_.get(), EPOLLIN, [this](auto) { on_events(); });
}

void DirectoryWatch::end() {
  if (inotify_) loop_.unwatch(inotify_.get());
  inotify_.reset();
  only_.clear();
}

void DirectoryWatch::on_events() {
  alignas(inotify_event) std::array<char, 4096> buffer{};
  bool counts = false;
  while (!counts) {
    const ssize_t size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = event.len > 0 ? buffer.data() + at + sizeof event : "";
      at += sizeof event + event.len;
      const auto place = only_.find(event.wd);
      // Without a name it speaks of the directory itself, or of events that were dropped.
      counts = counts || event.len == 0 || place == only_.end() || place->second.empty() ||
               place->second == name;
    }
  }
  if (!counts) return;
  // What else happens is looked at together: nothing wakes this thread until then.
  end();
  timer_.arm(settle_);
}

void DirectoryWatch::on_settled() {
  timer_.drain();
  // Without a watch it is not told again, but what has changed until now is.
  if (!begin()) end();
  changed_();
}

}  // namespace schedctl::loop
